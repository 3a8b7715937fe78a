"""Asked: the answers of one model to one measure's items, kept so that they can be changed and scored again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fairsqueeze.engine.requests import Answer, CandidateScores, Outputs, OutputTable, Request, TokenScores, Vector
from fairsqueeze.errors import ModelError
from fairsqueeze.items import Row
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import Frame, call_with
from fairsqueeze.study.evaluation import Evaluation
from fairsqueeze.study.progress import Progress, Silent

if TYPE_CHECKING:
    import pyarrow as pa

    from fairsqueeze.models.model import Model

Answers = Mapping[str, Answer]
"""The answers to one item, by the names that the measure gave its requests."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Answers to the items of `evaluation`, in their order."""

    evaluation: Evaluation
    answers: tuple[Answers, ...]

    def rows(self, index: int, answers: Answers | None = None) -> list[Row]:
        """The rows of the item `index`, from `answers` in place of its own if given."""
        evaluation = self.evaluation
        found = self.answers[index] if answers is None else answers
        return list(call_with(evaluation.declared.score, evaluation.items[index], found, settings=evaluation.settings))

    def table(self, step: str = "", checkpoint: str = "", **metadata: Any) -> pa.Table:
        """The records of all items."""
        rows = [row for index in range(len(self.answers)) for row in self.rows(index)]
        name = self.evaluation.declared.name
        return table_of(rows, step=step, checkpoint=checkpoint, measure=name, metadata={"step": step, **metadata})

    def frame(self) -> Frame:
        """The records as columns."""
        return frame_of(self.table())

    def changed(self, change: Callable[[int, Answers], Answers]) -> Asked:
        """A copy in which the answers to each item are `change(index, answers)`."""
        return replace(self, answers=tuple(change(k, answers) for k, answers in enumerate(self.answers)))


def ask(
    model: Model,
    evaluation: Evaluation,
    *,
    rewrite: Callable[[Request], Request] | None = None,
    progress: Progress | None = None,
) -> Asked:
    """Ask `model` all items of `evaluation`.

    Args:
        rewrite: changes each request before it is asked (another spelling); its answer goes by the old name.

    Raises: as `Engine.answer` does.
    """
    from fairsqueeze.engine.answer import Engine

    progress = progress or Silent()
    named = [
        {name: rewrite(request) if rewrite else request for name, request in evaluation.asks(item).items()}
        for item in evaluation.items
    ]
    pool = [request for asked in named for request in asked.values()]
    found = Engine(model).answer(pool, lambda done, total: progress.advance("scoring", done, total))
    return Asked(evaluation, tuple({name: found[request] for name, request in asked.items()} for asked in named))


def numbers_of(answer: Answer) -> np.ndarray:
    """What a score can depend on, flat: the total of token scores (nats), logits, candidates' scores, a vector."""
    if isinstance(answer, TokenScores):
        return np.array([answer.total]) if answer.n_tokens else np.zeros(0)
    if isinstance(answer, (Outputs, OutputTable)):
        return answer.logits.ravel()
    if isinstance(answer, CandidateScores):
        return np.array([value for value in answer.logprobs if value is not None], dtype=np.float64)
    if isinstance(answer, Vector):
        return answer.values.astype(np.float64)
    raise ModelError(
        f"A {type(answer).__name__} can't be degraded.", "Validate a measure of single texts, pairs or vectors."
    )


def with_numbers(answer: Answer, numbers: np.ndarray) -> Answer:
    """`answer` with other numbers; a change of a total is spread evenly over its tokens."""
    if isinstance(answer, TokenScores):
        if not answer.n_tokens:
            return answer
        return replace(answer, logprobs=answer.logprobs + (float(numbers[0]) - answer.total) / answer.n_tokens)
    if isinstance(answer, (Outputs, OutputTable)):
        return replace(answer, logits=np.asarray(numbers, dtype=np.float64).reshape(answer.logits.shape))
    if isinstance(answer, CandidateScores):
        values = iter(float(n) for n in numbers)
        return CandidateScores(tuple(None if value is None else next(values) for value in answer.logprobs))
    assert isinstance(answer, Vector)
    return replace(answer, values=np.asarray(numbers, dtype=np.float32))


def of_one_token(answer: Answer, number: float) -> Answer:
    """Token scores as one token of this score, so that sums and means over tokens are the same number."""
    assert isinstance(answer, TokenScores)
    return replace(answer, logprobs=np.array([number], dtype=np.float64))


def spread_of(answers: Sequence[Answers]) -> tuple[float, float]:
    """Mean over all numbers of all answers, and the standard deviation of numbers within an item."""
    each = [np.concatenate([numbers_of(a) for a in one.values()] or [np.zeros(0)]) for one in answers]
    each = [values for values in each if len(values)]
    everything = np.concatenate(each) if each else np.zeros(1)
    within = np.concatenate([values - values.mean() for values in each]) if each else np.zeros(1)
    return float(everything.mean()), float(within.std()) or 1.0
