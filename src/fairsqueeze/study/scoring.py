"""Scoring: items asked of one model and turned into rows, which never depend on who computes them, or when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fairsqueeze.items import Row
from fairsqueeze.registry import call_with
from fairsqueeze.study.evaluation import Evaluation

if TYPE_CHECKING:
    from fairsqueeze.models.model import Model

LARGE = 5000
"""Items up to which a measure is asked as a whole. A larger one is asked in ranges of as many, each by an engine of its
own, whoever asks: batches decide the last bits of an answer, so that machines may share the ranges of a measure."""

Asks = dict[str, list[Mapping[str, Any]]]


@dataclass(frozen=True)
class _Pool:
    """Parts that one engine answers: (measure, first item, item after the last)."""

    parts: tuple[tuple[str, int, int], ...]


def ranges(n: int) -> list[tuple[int, int]]:
    """The ranges (first, after the last) in which `n` items are asked.

    >>> ranges(12_000)
    [(0, 5000), (5000, 10000), (10000, 12000)]
    """
    return [(start, min(start + LARGE, n)) for start in range(0, n, LARGE)]


def size_of(evaluation: Evaluation) -> int:
    """How much a measure asks, in items, or in what its `limit_setting` counts (windows of a text)."""
    setting = evaluation.declared.limit_setting
    each = evaluation.settings.get(setting) if setting else None
    return len(evaluation.items) * (each if isinstance(each, int) else 1)


def score(
    model: Model,
    evaluations: Sequence[Evaluation],
    missing: Collection[str],
    advance: Callable[[float, float], None],
    usage: dict[str, Any],
) -> Iterator[tuple[Evaluation, list[Row]]]:
    """Ask those of `evaluations` that are `missing`; each comes with its rows as soon as its last answer is there.

    A request of several measures is answered once, for the first of them. Where that one's rows are there already, it
    is answered in the same company again, so that the bits don't depend on where an earlier run was interrupted.

    Args:
        advance: called with requests done and requests in all.
        usage: gets what answering has cost, summed over engines.
    """
    if not missing:
        return
    from fairsqueeze.engine.pairs import labels_of

    by_name = {e.declared.name: e for e in evaluations}
    for name in missing:
        by_name[name].check_outputs(labels_of(model))
    asks = {name: [e.asks(item) for item in e.items] for name, e in by_name.items()}
    rows: dict[str, list[Row]] = {name: [] for name in missing}
    left = {name: len(ranges(len(by_name[name].items))) for name in missing}
    for name, start, answers in _answered(model, _pools(by_name, missing, asks), asks, advance, usage):
        if name not in rows:
            continue
        rows[name] += _rows(by_name[name], asks[name], start, min(start + LARGE, len(asks[name])), answers)
        left[name] -= 1
        if not left[name]:
            yield by_name[name], rows.pop(name)


def score_range(model: Model, evaluation: Evaluation, start: int, stop: int) -> list[Row]:
    """The rows of one range of a large measure, bit for bit those that `score` gets for it."""
    from fairsqueeze.engine.pairs import labels_of

    evaluation.check_outputs(labels_of(model))
    name = evaluation.declared.name
    asks = {name: [evaluation.asks(item) if start <= k < stop else {} for k, item in enumerate(evaluation.items)]}
    pools = [_Pool(((name, start, stop),))]
    ((_, _, answers),) = _answered(model, pools, asks, lambda done, total: None, {})
    return _rows(evaluation, asks[name], start, stop, answers)


def _rows(
    evaluation: Evaluation, asks: Sequence[Mapping[str, Any]], start: int, stop: int, answers: Mapping[Any, Any]
) -> list[Row]:
    return [
        row
        for item, ask in zip(evaluation.items[start:stop], asks[start:stop], strict=True)
        for row in call_with(
            evaluation.declared.score, item, {k: answers[r] for k, r in ask.items()}, settings=evaluation.settings
        )
    ]


def _pools(by_name: Mapping[str, Evaluation], missing: Collection[str], asks: Asks) -> list[_Pool]:
    whole = [name for name, e in by_name.items() if len(e.items) <= LARGE]
    needed: set[Any] = set()
    chosen = []
    for name in reversed(whole):
        asked = {request for ask in asks[name] for request in ask.values()}
        if name in missing or not needed.isdisjoint(asked):
            chosen.append(name)
            needed |= asked
    pools = [_Pool(tuple((name, 0, len(by_name[name].items)) for name in reversed(chosen)))] if chosen else []
    large = [name for name in by_name if name in missing and name not in whole]
    return pools + [_Pool(((name, *each),)) for name in large for each in ranges(len(by_name[name].items))]


def _answered(
    model: Model,
    pools: Sequence[_Pool],
    asks: Asks,
    advance: Callable[[float, float], None],
    usage: dict[str, Any],
) -> Iterator[tuple[str, int, Mapping[Any, Any]]]:
    """Measure, first item and answers of every part. All requests are checked and read before the first is answered."""
    from fairsqueeze.engine.answer import Engine, answer_pool

    started = []
    total = sum(len(ask) for pool in pools for name, start, stop in pool.parts for ask in asks[name][start:stop])
    before = 0
    for pool in pools:
        requests = {
            name: [request for ask in asks[name][start:stop] for request in ask.values()]
            for name, start, stop in pool.parts
        }
        size = sum(map(len, requests.values()))

        def advanced(done: int, of: int, before: int = before, size: int = size) -> None:
            advance(before + size * done / max(of, 1), total)

        engine = Engine(model)
        started.append((pool, engine, answer_pool(engine, requests, advanced)))
        before += size
    spent: dict[str, Any] = {}
    started.reverse()
    while started:
        pool, engine, answered = started.pop()
        for (name, start, _), (_, answers) in zip(pool.parts, answered, strict=True):
            usage.update(_sum(spent, asdict(engine.usage)))
            yield name, start, answers
        spent = _sum(spent, asdict(engine.usage))


def _sum(spent: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Costs of several engines as one: counts are added, notes kept once, the rest is the latest."""
    if not spent:
        return dict(more)
    state = ("token_budget", "prefix_sharing", "only_needed_projected")
    found = {key: value if key in state else spent[key] + value for key, value in more.items()}
    return {**found, "notes": list(dict.fromkeys(found["notes"]))}
