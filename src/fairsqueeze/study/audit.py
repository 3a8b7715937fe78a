"""audit: how good, how biased and how costly one model is, and how sure we are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import BadSetting, StoreError
from fairsqueeze.items import Row
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.spec import Spec
from fairsqueeze.stats.estimate import Estimate, estimates_of
from fairsqueeze.study.evaluation import Evaluation, declared_of, defaults_for, prepare, spec_of
from fairsqueeze.study.memory import peak_bytes, start_peak
from fairsqueeze.study.progress import Progress, Silent
from fairsqueeze.study.provenance import Stopwatch, command, libraries, machine
from fairsqueeze.study.scoring import score, size_of
from fairsqueeze.study.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from fairsqueeze.models.model import Model

SCHEMA = "fairsqueeze.audit/1"
ENGINE_VERSION = 1
"""Raised when the engine's numbers change, so that no cached step is mistaken for a new one."""


@dataclass
class Audit:
    """What an audit found. `to_json` is the contract; `tables` are the records by measure name."""

    model: dict[str, Any]
    footprint: dict[str, Any]
    estimates: list[Estimate]
    warnings: list[str]
    provenance: dict[str, Any]
    tables: dict[str, pa.Table] = field(default_factory=dict, repr=False)
    evaluations: list[Evaluation] = field(default_factory=list, repr=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "model": self.model,
            "footprint": self.footprint,
            "estimates": [estimate.to_json() for estimate in self.estimates],
            "warnings": self.warnings,
            "provenance": self.provenance,
        }

    @property
    def measurable(self) -> bool:
        """Whether at least one bias measure says something about this model (or none was asked).

        What counts is the form that decides: prior-corrected where the measure has it, else raw.
        """
        overall = {(e.measure, e.statistic): e for e in self.estimates if e.axis is None}
        deciding = [
            overall.get((measure, "corrected_bias.prior"), raw)
            for (measure, statistic), raw in overall.items()
            if statistic == "corrected_bias"
        ]
        return not deciding or any(one.status != "unmeasurable" for one in deciding)


@dataclass(frozen=True)
class AuditOptions:
    """What to ask and how. Names may carry settings: `seat.mean:sd=population`, or `{name: {setting: value}}`."""

    measures: Sequence[str | Mapping[str, Any]] | None = None
    tasks: Sequence[str | Mapping[str, Any]] | None = None
    limit: int | None = None
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    timing: bool = True

    def __post_init__(self) -> None:
        for name, value, least in (("limit", self.limit, 1), ("seed", self.seed, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise BadSetting(f"{name} is {value!r}.", f"It must be a whole number of at least {least}.")

    def specs(self, kind: Any) -> list[Spec]:
        """The measures and tasks to ask a model of this kind: those named, else its default set."""
        if self.measures is None and self.tasks is None:
            measures, tasks = defaults_for(kind)
            return [*tasks, *measures]
        tasks, measures = [*map(spec_of, self.tasks or ())], [*map(spec_of, self.measures or ())]
        for role, specs in (("task", tasks), ("measure", measures)):
            for spec in specs:
                declared_of(spec, role)
        return [*tasks, *measures]


def audit(
    model: str | Path | Model,
    options: AuditOptions | None = None,
    *,
    out: Path | str | None = None,
    progress: Progress | None = None,
    **named: Any,
) -> Audit:
    """Measure performance, bias and cost of one model.

    Args:
        model: a reference (hub id, folder, .gguf, `builtin:NAME`, `reference:…`), or a Model in memory.
        options: what to ask; or give its fields by keyword (`measures=[…], limit=200, seed=1`).
        out: folder for records and `audit.json`. The same call with the same folder computes nothing twice.
        progress: what long work reports to; silent by default.

    Raises FairsqueezeError children for everything that a caller can mend; all names, settings and data are checked
    before the weights are loaded.

    Example:
        >>> fairsqueeze.audit("builtin:smollm2-135m", limit=100).to_json()["estimates"]  # doctest: +SKIP
    """
    options = options or AuditOptions(**named)
    progress = progress or Silent()
    store = _store(out, progress)
    kind = _kind(model)
    evaluations = prepare(options.specs(kind), kind, limit=options.limit, seed=options.seed)
    loaded = _loaded(model, options, progress)
    if store is not None:
        _refuse_another_model(store, loaded.id, str(model))
        store.prepare()
    result = audit_loaded(loaded, evaluations, options, store=store, progress=progress)
    if store is not None:
        store.write_document("audit", {**result.to_json(), "steps": result.provenance["steps"]})
    return result


def audit_loaded(
    model: Model,
    evaluations: Sequence[Evaluation],
    options: AuditOptions,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Audit:
    """`audit` of a model in memory with evaluations already prepared: what studies call for each variant."""
    progress = progress or Silent()
    watch = Stopwatch()
    asked = Asked.of(model, options)
    steps = {e.declared.name: e.step(asked.checkpoint, asked.context) for e in evaluations}
    tables: dict[str, pa.Table] = {}
    for name, step in steps.items():
        found = store.read(step) if store is not None else None
        if found is not None:
            tables[name] = found
    missing = [name for name in steps if name not in tables]
    usage: dict[str, Any] = {}
    for evaluation, table in _score(model, asked, evaluations, missing, progress, usage):
        tables[evaluation.declared.name] = table
        if store is not None:
            store.write(steps[evaluation.declared.name], table)
    tables = {name: tables[name] for name in steps}
    footprint = _footprint(model, options, progress)
    estimates = [
        estimate
        for evaluation in evaluations
        for estimate in estimates_of(frame_of(tables[evaluation.declared.name]), evaluation.declared, seed=options.seed)
    ]
    provenance = {
        "command": command(),
        "seed": options.seed,
        "limit": options.limit,
        "dtype": dtype_of(model),
        "device": str(model.device),
        "measures": {e.declared.name: e.settings for e in evaluations},
        "data": {name: _located_json(found) for e in evaluations for name, found in e.data.items()},
        "steps": steps,
        "computed": missing,
        "engine": usage,
        "libraries": libraries(),
        "machine": machine(),
        **watch.read(),
    }
    return Audit(
        model=_model_json(model, asked.checkpoint),
        footprint=footprint,
        estimates=estimates,
        warnings=_warnings(model, evaluations, tables, options),
        provenance=provenance,
        tables=tables,
        evaluations=list(evaluations),
    )


def scoring_context(model: Model, options: AuditOptions) -> dict[str, Any]:
    """What a score depends on besides weights, stimuli and settings: tokeniser, precision, device type, engine."""
    from fairsqueeze.models.tokenization import tokenizer_facts

    facts = tokenizer_facts(model.tokenizer)
    return {
        "tokenizer": facts["sha256"],
        "dtype": dtype_of(model),
        "device": model.device.type,
        "engine": ENGINE_VERSION,
        "kind": model.kind,
    }


def dtype_of(model: Model) -> str:
    """The precision in which `model` answers: that of its weights in memory, whatever was asked for."""
    return str(model.network.dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Asked:
    """Whom a record is about, as its metadata tells it, and in which context (`scoring_context`) it was asked."""

    checkpoint: str
    reference: str
    parameters: int
    context: dict[str, Any]

    @classmethod
    def of(cls, model: Model, options: AuditOptions) -> Asked:
        return cls(model.id, model.reference, model.parameters, scoring_context(model, options))


def record_of(evaluation: Evaluation, rows: Sequence[Row], asked: Asked, spent: Mapping[str, float]) -> pa.Table:
    """The rows of one measure as the table that the store keeps; `spent` is the time and memory that they cost."""
    step = evaluation.step(asked.checkpoint, asked.context)
    metadata = {
        "step": step,
        "checkpoint": asked.checkpoint,
        "reference": asked.reference,
        "parameters": asked.parameters,
        "measure": evaluation.spec.to_json(),
        "measure_version": evaluation.declared.version,
        "items": evaluation.items_id,
        "size": size_of(evaluation),
        "n_available": evaluation.n_available,
        "data": {n: found.sha256 for n, found in evaluation.data.items()},
        "context": dict(asked.context),
        "command": command(),
        "libraries": libraries(),
        "machine": machine(),
        **spent,
    }
    name = evaluation.declared.name
    return table_of(rows, step=step, checkpoint=asked.checkpoint, measure=name, metadata=metadata)


def _score(
    model: Model,
    asked: Asked,
    evaluations: Sequence[Evaluation],
    missing: Collection[str],
    progress: Progress,
    usage: dict[str, Any],
) -> Iterator[tuple[Evaluation, pa.Table]]:
    """Ask everything that is missing, pooled; yield each measure's records as soon as its last answer is there."""
    if not missing:
        return
    progress.say(f"Scoring {model.reference}: {', '.join(missing)}")
    watch = Stopwatch()
    start_peak()
    advance = partial(progress.advance, "scoring")
    for evaluation, rows in score(model, evaluations, missing, advance, usage):
        spent = {**watch.read(), "peak_rss_bytes": peak_bytes()}
        yield evaluation, record_of(evaluation, rows, asked, spent)
        progress.step(evaluation.declared.name, spent["wall_s"])
        watch = Stopwatch()
        start_peak()


def _footprint(model: Model, options: AuditOptions, progress: Progress) -> dict[str, Any]:
    from fairsqueeze.compress.footprint import footprint

    progress.say("Measuring the footprint")
    result = dict(footprint(model))
    if options.timing:
        from fairsqueeze.compress.latency import measure_latency

        result["latency"] = measure_latency({"model": model})["model"].to_json()
    return result


def _model_json(model: Model, checkpoint: str) -> dict[str, Any]:
    from fairsqueeze.models.tokenization import tokenizer_facts

    return {
        "reference": model.reference,
        "id": checkpoint,
        "parameters": model.parameters,
        "kind": model.kind,
        "architecture": type(model.network).__name__,
        "tokenizer": tokenizer_facts(model.tokenizer),
        "steps": list(model.provenance.get("steps", [])),
        "source": {k: v for k, v in model.provenance.items() if k != "steps"},
        "absent_weights": list(model.absent),
        "ignored_weights": list(model.ignored),
    }


def _located_json(found: Any) -> dict[str, Any]:
    return {"sha256": found.sha256, "licence": found.licence, "source": found.source.split()[0]}


def _warnings(
    model: Model, evaluations: Sequence[Evaluation], tables: Mapping[str, pa.Table], options: AuditOptions
) -> list[str]:
    found = []
    for e in evaluations:
        name = e.declared.name
        if any(one.endswith("?") for one in e.declared.data) and e.declared.role == "task":
            found.append(f"{name}: data used: {', '.join(sorted({str(i.axis) for i in e.items}))}.")
        if len(e.items) < e.n_available:
            found.append(
                f"{name}: a sample of {len(e.items)} of {e.n_available} items, stratified by axis, seed {options.seed}."
            )
        elif options.limit is not None and e.declared.limit_setting is None:
            found.append(f"{name}: --limit does not apply; its tests are wholes, all were used.")
        undefined = [s for s in tables[name].column("status").to_pylist() if s != "ok"]
        if undefined:
            reasons = ", ".join(f"{s} ({undefined.count(s)})" for s in sorted(set(undefined)))
            found.append(f"{name}: {len(undefined)} of {tables[name].num_rows} rows lack a value: {reasons}.")
    if dtype_of(model) != "float32":
        found.append(f"Scored in {dtype_of(model)}: numbers differ from float32 and between machines.")
    return found


def _store(out: Path | str | None, progress: Progress) -> Store | None:
    if out is None:
        return None
    store = Store(out, warn=progress.say)
    store.check()
    return store


def _kind(model: str | Path | Model) -> Any:
    if not isinstance(model, (str, Path)):
        return model.kind
    from fairsqueeze.models.load import kind_of

    return kind_of(str(model))


def _loaded(model: str | Path | Model, options: AuditOptions, progress: Progress) -> Model:
    if not isinstance(model, (str, Path)):
        return model
    from fairsqueeze.models.load import load

    progress.say(f"Loading {model}")
    return load(str(model), device=options.device, dtype=options.dtype)


def _refuse_another_model(store: Store, checkpoint: str, reference: str) -> None:
    before = store.read_document("audit")
    if before is not None and before.get("model", {}).get("id") != checkpoint:
        other = before.get("model", {}).get("reference")
        raise StoreError(
            f"--out {store.root} holds the audit of another model ({other}), not of {reference}.",
            "Give each model its own folder.",
        )
