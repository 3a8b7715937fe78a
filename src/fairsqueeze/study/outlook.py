"""Outlook: what a study will do, what of it is there, and what the rest may be expected to take. No model is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairsqueeze.errors import FairsqueezeError
from fairsqueeze.models.source import source_of
from fairsqueeze.study.finished import all_finished
from fairsqueeze.study.memory import available_bytes
from fairsqueeze.study.plan import Plan, PlannedVariant, Step, steps_of
from fairsqueeze.study.rates import DOCUMENTS, Rate, Rates, parameters_of
from fairsqueeze.study.scoring import size_of
from fairsqueeze.study.store import Store
from fairsqueeze.study.variant import options_of, prepare_for, variant_keys


@dataclass
class Row:
    """Steps of one kind on one model.

    Args:
        what: `compress` and methods, or the name of the measure.
        steps, cached: how many, and how many of these are finished.
        seconds, bytes: what the open ones are expected to take; None where nothing like them has been measured yet.
        peak: most memory expected of one, in bytes; None likewise.
    """

    model: str
    what: str
    steps: int = 0
    cached: int = 0
    size: int = 0
    seconds: float | None = 0.0
    bytes: float | None = 0.0
    peak: int | None = None

    def add(self, rate: Rate | None, parameters: int | None, size: int) -> None:
        """One more step that is to be done."""
        work = None if parameters is None else parameters * (size or 1)
        seconds = None if rate is None or work is None else rate.seconds_for(work)
        self.seconds = None if seconds is None or self.seconds is None else self.seconds + seconds
        if size:
            left = None if rate is None else rate.bytes_for(size)
            self.bytes = None if left is None or self.bytes is None else self.bytes + left
        if rate is not None and parameters is not None:
            self.peak = rate.peak_for(parameters)


@dataclass
class _Table:
    """Rows by model and kind; `measures`: how many the documents of open variants will tell of; `graph`: all steps, or
    None where they are not wanted."""

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    measures: int = 0
    graph: list[dict[str, Any]] | None = None

    def row(self, model: str, what: str) -> Row:
        return self.rows.setdefault((model, what), Row(model, what))


def outlook(plan: Plan, out: Path | str | None = None, warn: Any = None, *, with_steps: bool = False) -> dict[str, Any]:
    """What `study plan` tells, as plain values.

    Args:
        out: the study's folder, where there is one already: its finished variants are not counted again, and its
            measured rates come before those of other studies on this computer.
        with_steps: also tell every step.

    Returns:
        `variants` (as rows), `rows` (steps by model and kind, with what the open ones are expected to take), `steps`,
        `cached` (steps of finished variants), `seconds`, `bytes`, `peak_bytes`: sums over what has been measured, with
        `not_measured` naming the rest (`bytes` are of records and of variants' documents); `begun`: records there that
        belong to no finished variant, which a run finds only once their checkpoints are made, since they carry the
        checkpoint's id; `available_bytes` of memory here; `problems`: why a model's steps are not counted, by model;
        `graph`: every step with its `id`, `kind`, `variant`, `measure`, and `needs`, the ids of those before it.
    """
    store = None if out is None or (not Path(str(out)).exists() and "://" not in str(out)) else Store(out, warn)
    rates = Rates.of_store(store, plan.study.device)
    finished = {} if store is None else all_finished(store)
    table, problems, variants = _Table(graph=[] if with_steps else None), {}, []
    for model in dict.fromkeys(plan.study.models):
        try:
            done = _count(plan, model, set(finished), rates, table)
        except FairsqueezeError as error:
            problems[model] = str(error)
            done = set()
        variants += [_variant(v, v.id in done) for v in plan.of(model)]
    rows = list(table.rows.values())
    open_rows = [row for row in rows if row.cached < row.steps]
    documents = _documents(rates, table.measures)
    behind = {step for one in finished.values() for step in one["steps"]}
    found = {
        "study": plan.study.name,
        "variants": variants,
        "rows": [vars(row) for row in rows],
        "steps": sum(row.steps for row in rows),
        "cached": sum(row.cached for row in rows),
        "seconds": _sum(row.seconds for row in open_rows),
        "begun": 0 if store is None else len(store.ids("records") - behind),
        "bytes": _sum([*(row.bytes for row in open_rows if row.size), documents]),
        "peak_bytes": max((row.peak for row in open_rows if row.peak), default=None),
        "available_bytes": available_bytes(),
        "not_measured": sorted(
            {row.what for row in open_rows if row.seconds is None} | ({DOCUMENTS} if documents is None else set())
        ),
        "problems": problems,
    }
    return found if table.graph is None else {**found, "graph": table.graph}


def _documents(rates: Rates, measures: int) -> float | None:
    """Bytes that documents about so many measures take; None where none has been written yet."""
    rate = rates.documents()
    return 0.0 if not measures else None if rate is None else rate.bytes_for(measures)


def _count(plan: Plan, model: str, finished: set[str], rates: Rates, table: _Table) -> set[str]:
    """Add the steps of `model` to `table`; returns the ids of its finished variants."""
    evaluations, options, parameters = (
        prepare_for(plan.study, model),
        options_of(plan.study, model),
        parameters_of(model),
    )
    by_id = {variant.id: variant for variant in plan.of(model)}
    keys = variant_keys(list(by_id.values()), evaluations, options) if finished else []
    done = {i for i, key in zip(by_id, keys, strict=False) if key in finished}
    table.measures += len(evaluations) * (len(by_id) - len(done))
    for step in steps_of(plan, model, source_of(model), evaluations, [size_of(e) for e in evaluations]):
        if table.graph is not None:
            table.graph.append(_step(step))
        what = _what(step, by_id[step.variant])
        if what is None:
            continue
        row = table.row(model, what)
        row.steps += 1
        row.size = max(row.size, step.size)
        if step.variant in done:
            row.cached += 1
        else:
            row.add(_rate(step, by_id[step.variant], rates, parameters), parameters, step.size)
    return done


def _step(step: Step) -> dict[str, Any]:
    told = {"id": step.id, "kind": step.kind, "variant": step.variant, "measure": step.measure}
    return {**told, "needs": list(step.needs)}


def _what(step: Step, variant: PlannedVariant) -> str | None:
    """The row that a step belongs to; None for those that take no time worth counting (a footprint, loading)."""
    if step.kind == "evaluate":
        return step.measure
    if step.kind == "compress" and variant.steps:
        return f"compress: {' + '.join(s.name for s in variant.steps)}"
    return None


def _rate(step: Step, variant: PlannedVariant, rates: Rates, parameters: int | None) -> Rate | None:
    if parameters is None:
        return None
    if step.kind == "evaluate":
        return rates.measure(step.measure, parameters)
    return rates.making([s.name for s in variant.steps], parameters)


def _variant(variant: PlannedVariant, finished: bool) -> Mapping[str, Any]:
    return {
        "id": variant.id,
        "model": variant.model,
        "variant": variant.label,
        "kind": variant.kind,
        "seed": variant.seed,
        "finished": finished,
    }


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum of what is known; None where there is something, but nothing of it is."""
    every = list(values)
    known = [value for value in every if value is not None]
    return sum(known) if known or not every else None
