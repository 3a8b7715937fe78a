"""A small measure with its own items, and scores under full control, so that damage can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from fairsqueeze.engine.requests import TextLogProb, TokenScores
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Measure, Statistic, measure, measures
from fairsqueeze.study.evaluation import Evaluation
from fairsqueeze.validation.asked import Asked

PEOPLE = ("baker", "nurse", "pilot", "clerk", "judge", "miner")
NEUTRAL = 2


def _items(files: dict) -> list[Item]:
    return [
        Item(
            f"{axis}-{who}-{k}", axis, who, f"{axis}-{who}-{k // 2}",
            {"s": f"the {who} ran {k}", "a": f"a {who} sat {k}", "u": f"{k} {who} {axis}"},
        )
        for axis in ("one", "two", "three")
        for who in PEOPLE
        for k in range(6)
    ]  # fmt: skip


def _asks(item: Item) -> dict[str, TextLogProb]:
    asked = {name: TextLogProb(text) for name, text in item.content.items()}
    return asked | {
        f"{name}/{n}": TextLogProb(text, prefix="so" * (n + 1)) for name, text in item.content.items() for n in range(2)
    }


def _score(item: Item, answers: dict[str, TokenScores]) -> list[Row]:
    """Which of two texts is likelier, and how much likelier both are than a third."""
    s, a, u = (answers[name].total for name in "sau")
    preference, control = s - a, (s + a) / 2 - u
    pulls = [answers[f"s/{n}"].total - answers[f"a/{n}"].total for n in range(NEUTRAL)]
    shows = [(answers[f"s/{n}"].total + answers[f"a/{n}"].total) / 2 - answers[f"u/{n}"].total for n in range(NEUTRAL)]
    answer = {
        "score_s": s,
        "score_a": a,
        "preference_prior": preference - float(np.mean(pulls)),
        "control_prior": control - float(np.mean(shows)),
        "preference_by_context": [preference - p for p in pulls],
        "control_by_context": [control - c for c in shows],
    }
    return [item.row(preference, control, answer=answer, n_tokens=sum(answers[n].n_tokens for n in "sau"))]


def _share(frame: dict, weights: np.ndarray) -> np.ndarray:
    return 100 * (weights @ (frame["score_s"] > frame["score_a"])) / weights.sum(axis=1)


SHARE = Statistic("share", _share, 50.0, 50.0, 0.0, (0.0, 100.0), needs=("score_s", "score_a"))


@pytest.fixture
def options() -> Iterator[Measure]:
    """The measure `options.sum`, registered for one test."""
    measures.names()
    measure(
        "options.sum", version=1, kinds={"causal"}, data=(), source="self", items=_items, asks=_asks,
        statistics=(SHARE,), card=Card("the third text", neutral="two beginnings", criticisms=("it is a toy",)),
    )(_score)  # fmt: skip
    yield measures.get("options.sum")
    measures._by_name.pop("options.sum")


@pytest.fixture
def answered(options: Measure) -> Callable[..., Asked]:
    """Made-up answers: scores of "s", "a" and "u" are drawn around means; the neutral ones are 0."""

    def make(means: Sequence[float] = (0.4, 0.0, -2.0), spread: float = 1.0, tokens: int = 2, seed: int = 0) -> Asked:
        rng = np.random.default_rng(seed)
        items = tuple(_items({}))
        answers = []
        for _ in items:
            scores = dict(zip("sau", np.asarray(means) + spread * rng.standard_normal(3), strict=True))
            own = {name: TokenScores(np.full(tokens, value / tokens)) for name, value in scores.items()}
            answers.append(own | {f"{n}/{k}": TokenScores(np.full(tokens, 0.0)) for n in "sau" for k in range(NEUTRAL)})
        evaluation = Evaluation(options, {}, items, len(items), "made up", {})
        return Asked(evaluation, tuple(answers))

    return make
