"""Engine: answers requests with one model. Requests are pooled, made unique, batched by tokens and remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fairsqueeze.engine.budget import Budget, Work
from fairsqueeze.engine.causal import plan_stream, plan_text
from fairsqueeze.engine.limits import text_config
from fairsqueeze.engine.logprobs import Scorer
from fairsqueeze.engine.masked import plan_blank, plan_candidates, plan_pseudo
from fairsqueeze.engine.pairs import Bundle, Judge, Pair, labels_of, plan_pair, plan_pairs
from fairsqueeze.engine.passages import Passage
from fairsqueeze.engine.plan import Plan
from fairsqueeze.engine.reading import Reader, beginning
from fairsqueeze.engine.requests import (
    Answer,
    BlankFill,
    MaskCandidates,
    PairOutput,
    PairOutputs,
    PseudoLogProb,
    Request,
    SentenceVector,
    StaticVector,
    StreamLogProb,
    TextLogProb,
)
from fairsqueeze.engine.usage import Usage
from fairsqueeze.engine.vectors import Pooled, Pooler, Static, plan_sentence, plan_static, static_vectors
from fairsqueeze.errors import ModelError, NonFinite
from fairsqueeze.models.finite import check_finite
from fairsqueeze.models.model import Model

Progress = Callable[[int, int], None]
"""Called with tokens done and tokens in all."""


@dataclass(frozen=True)
class _Load:
    """Pieces of one sort in their order, how to run them, and what single results one of them has."""

    pieces: Sequence[Any]
    work: Work[Any, Any]
    results: Callable[[Any, Any], Iterable[tuple[Hashable, np.ndarray]]]

    @property
    def tokens(self) -> int:
        return sum(self.work.size(piece) for piece in self.pieces)


class Engine:
    """Answers requests with `model`: the only caller of its forward.

    An answer depends neither on the order of the requests nor, beyond 1e-4, on what else is asked (float32).

    Args:
        model: the model; set to eval mode.
        token_budget: tokens of a forward pass, padding included; None is a default by device (see `Budget`).
        prefix_sharing: False computes common beginnings anew for each text, as a check.
    """

    def __init__(self, model: Model, *, token_budget: int | None = None, prefix_sharing: bool = True) -> None:
        model.network.eval()
        self.model = model
        self.usage = Usage()
        self._sharing = prefix_sharing
        self._budget = Budget(model, self.usage, token_budget)
        self._reader = Reader(model)
        self._plans: dict[Request, Plan] = {}
        self._answers: dict[Request, Answer] = {}

    def answer(self, requests: Iterable[Request], progress: Progress | None = None) -> dict[Request, Answer]:
        """The answer of every request; what this engine has answered before is not computed again.

        Raises ModelError for a request that this kind of model can't answer or a text longer than its positions
        (before anything runs), and when memory runs out on a single sequence; NonFinite at the first NaN or infinity.
        """
        asked = list(requests)
        self.check(asked)
        check_finite(self.model)
        start = time.perf_counter()
        try:
            self._run(self._unanswered(asked), progress or _silent)
        finally:
            self.usage.seconds += time.perf_counter() - start
        self.usage.requests_asked += len(asked)
        return {request: self._answers[request] for request in asked}

    def cost(self, requests: Iterable[Request]) -> int:
        """Tokens that answering these would send through the network now, after sharing and without padding."""
        asked = list(requests)
        self.check(asked)
        return sum(load.tokens for load in self._loads(self._owners(self._unanswered(asked))))

    def check(self, requests: Iterable[Request]) -> None:
        """Raises ModelError if this kind of model can't answer one of these."""
        for request in requests:
            if self.model.kind not in request.kinds:
                raise ModelError(
                    f"{type(request).__name__} needs a model of kind {' or '.join(sorted(request.kinds))}; "
                    f"{self.model.reference} is {self.model.kind}.",
                    "Choose a measure for this kind of model, or load the model as another kind.",
                )

    def _unanswered(self, requests: Iterable[Request]) -> list[Request]:
        return [request for request in dict.fromkeys(requests) if request not in self._answers]

    def _run(self, requests: list[Request], progress: Progress) -> None:
        owners = self._owners(requests)
        loads = self._loads(owners)
        total, done = sum(load.tokens for load in loads), 0
        found: dict[Hashable, np.ndarray] = {}
        for load in loads:
            for piece, result in self._budget.batches(load.pieces, load.work):
                for part, values in load.results(piece, result):
                    self._check_finite(values, owners[part])
                    found[part] = values
                done = min(total, done + load.work.size(piece))
                progress(done, total)
        for request in requests:
            plan = self._plans.pop(request)
            self._answers[request] = plan.answer([found[piece] for piece in plan.pieces])
            self.usage.requests_answered += 1
            self.usage.tokens_asked += plan.tokens

    def _owners(self, requests: Iterable[Request]) -> dict[Hashable, Request]:
        """Every distinct piece of these requests, with the first request that it is for."""
        owners: dict[Hashable, Request] = {}
        for request in requests:
            if request not in self._plans:
                self._plans[request] = self._plan(request)
            for piece in self._plans[request].pieces:
                owners.setdefault(piece, request)
        return owners

    def _plan(self, request: Request) -> Plan:
        if isinstance(request, TextLogProb):
            return plan_text(self._reader, request)
        if isinstance(request, StreamLogProb):
            return plan_stream(self._reader, request)
        if isinstance(request, PseudoLogProb):
            return plan_pseudo(self._reader, request)
        if isinstance(request, BlankFill):
            return plan_blank(self._reader, request)
        if isinstance(request, MaskCandidates):
            return plan_candidates(self._reader, request)
        if isinstance(request, SentenceVector):
            return plan_sentence(self._reader, int(text_config(self.model.network).num_hidden_layers), request)
        if isinstance(request, StaticVector):
            return plan_static(self._reader, request)
        if isinstance(request, PairOutput):
            return plan_pair(self._reader, labels_of(self.model), request)
        if isinstance(request, PairOutputs):
            return plan_pairs(self._reader, labels_of(self.model), request, together=self._judge.batches)
        raise TypeError(f"{request!r} is not a request.")

    def _loads(self, owners: Mapping[Hashable, Request]) -> list[_Load]:
        passages = [piece for piece in owners if isinstance(piece, Passage)]
        pooled = [piece for piece in owners if isinstance(piece, Pooled)]
        pairs = [piece for piece in owners if isinstance(piece, Pair)]
        bundles = [piece for piece in owners if isinstance(piece, Bundle)]
        static = [piece for piece in owners if isinstance(piece, Static)]
        loads = []
        if passages:
            loads.append(_Load(self._scorer.rows(passages), self._scorer.work, _of_row))
        if pooled:
            loads.append(_Load(self._pooler.order(pooled), self._pooler.work, _of_itself))
        if pairs:
            ordered = sorted(pairs, key=lambda pair: (-len(pair.ids), pair.ids, pair.types))
            loads.append(_Load(ordered, self._judge.work, _of_itself))
        if bundles:
            alike = sorted(bundles, key=lambda one: (-len(one.seconds), -one.longest, one.first, one.seconds))
            loads.append(_Load(alike, self._judge.bundled, _of_itself))
        if static:
            work = Work[Static, np.ndarray](lambda piece: 0, lambda batch: static_vectors(self.model, batch))
            loads.append(_Load(static, work, _of_itself))
        return loads

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(self.model, self._reader.padding, self.usage, sharing=self._sharing)

    @cached_property
    def _pooler(self) -> Pooler:
        return Pooler(self.model, self._reader.padding, self.usage)

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self.model, self._reader.padding, self.usage)

    def _check_finite(self, values: np.ndarray, request: Request) -> None:
        values = values.ravel()
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise NonFinite(
                f"{self.model.reference} answered {values[bad[0]]} (number {bad[0] + 1} of {len(values)}) "
                f"to {beginning(repr(request), 160)}.",
                "The model is broken, which is not the same as unbiased: check its weights and its dtype.",
            )


def answer_pool(
    engine: Engine, pool: Mapping[str, Sequence[Request]], progress: Progress | None = None
) -> Iterator[tuple[str, dict[Request, Answer]]]:
    """The requests of several measures, answered measure by measure in the order of `pool`.

    Each measure comes as soon as it is complete, so that a crash loses the one in hand at most; a request of several
    measures is answered once, for the first of them. `progress` counts over the whole pool. All requests are checked
    and tokenised before anything runs; raises as `Engine.answer` does.
    """
    engine.check(request for requests in pool.values() for request in requests)
    costs: dict[str, int] = {}
    seen: set[Request] = set()
    for name, requests in pool.items():
        costs[name] = engine.cost(request for request in requests if request not in seen)
        seen.update(requests)
    return _answered(engine, pool, costs, progress or _silent)


def _answered(
    engine: Engine, pool: Mapping[str, Sequence[Request]], costs: Mapping[str, int], progress: Progress
) -> Iterator[tuple[str, dict[Request, Answer]]]:
    total, before = sum(costs.values()), 0
    for name, requests in pool.items():

        def advance(done: int, _: int, before: int = before) -> None:
            progress(before + done, total)

        yield name, engine.answer(requests, advance)
        before += costs[name]


def _of_row(row: Any, scores: Sequence[np.ndarray]) -> Iterable[tuple[Passage, np.ndarray]]:
    return zip(row.passages, scores, strict=True)


def _of_itself(piece: Hashable, values: np.ndarray) -> Iterable[tuple[Hashable, np.ndarray]]:
    return ((piece, values),)


def _silent(done: int, total: int) -> None:
    pass
