"""run: make and score every variant of a study; each finished one is kept, and a second run goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairsqueeze.assets.checksum import files_named
from fairsqueeze.errors import FairsqueezeError, StepFailed, StoreError
from fairsqueeze.models.source import source_of
from fairsqueeze.spec import content_id
from fairsqueeze.study.audit import AuditOptions, audit_loaded
from fairsqueeze.study.compare import _Side, compare_sides, side_of
from fairsqueeze.study.evaluation import Evaluation, prepare
from fairsqueeze.study.finished import finished
from fairsqueeze.study.plan import Plan, PlannedVariant
from fairsqueeze.study.progress import Progress, Silent
from fairsqueeze.study.provenance import command
from fairsqueeze.study.store import Store

if TYPE_CHECKING:
    from fairsqueeze.models.model import Model

SCHEMA = "fairsqueeze.variant/1"


@dataclass
class Outcome:
    """What a run did: variants computed now, found finished, and failed with their message."""

    computed: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Run:
    plan: Plan
    store: Store
    options: AuditOptions
    progress: Progress

    def name(self, variant: PlannedVariant) -> str:
        """What the outcome calls a variant: its label, behind its model's name where there are several models."""
        return variant.label if len(self.plan.study.models) == 1 else f"{variant.model}: {variant.label}"


def run(plan: Plan, out: Path | str, *, progress: Progress | None = None) -> Outcome:
    """Make and score all variants of `plan` into the folder `out`.

    A failed variant is recorded with its cause and the rest go on. Raises FairsqueezeError before anything is spent
    if names, data or the folder are not in order, and StepFailed where no variant at all could be scored.
    """
    progress = progress or Silent()
    store = Store(out, warn=progress.say)
    store.check()
    study = plan.study
    options = AuditOptions(limit=study.limit, seed=study.seeds[0], device=study.device, dtype=study.dtype, timing=False)
    _refuse_another_study(store, plan)
    this = _Run(plan, store, options, progress)
    prepared = {model: _prepare(this, model) for model in study.models}
    store.prepare()
    keys = [variant_key(variant, prepared[variant.model], options) for variant in plan.variants]
    document = {"study": study.model_dump(mode="json"), "variants": keys, "command": command()}
    store.write_document("study", {"schema": "fairsqueeze.study/1", **document})
    outcome = Outcome()
    for model in study.models:
        _run_model(this, model, prepared[model], outcome)
    if outcome.failed and not (outcome.computed or outcome.found):
        label, why = next(iter(outcome.failed.items()))
        raise StepFailed(f"Nothing of the study could be scored: {label}: {why}")
    return outcome


def variant_key(variant: PlannedVariant, evaluations: Sequence[Evaluation], options: AuditOptions) -> str:
    """Content id of a variant with all that is asked of it: the name of its document in the store.

    The files behind the model and behind every setting that names one count, not only their names.
    """
    asked = [
        [e.spec.to_json(), e.declared.version, e.items_id, {n: d.sha256 for n, d in e.data.items()}]
        for e in evaluations
    ]
    made_by = [[_version(s.name), files_named(s.parameters)] for s in variant.steps]
    made_of = source_of(variant.model)
    return content_id([variant.id, made_of, made_by, asked, options.dtype, options.device.split(":")[0]], length=24)


def _version(method: str) -> int:
    from fairsqueeze.registry import methods

    return methods.get(method).version


def _refuse_another_study(store: Store, plan: Plan) -> None:
    before = store.read_document("study")
    if before is not None and before.get("study", {}).get("name") != plan.study.name:
        raise StoreError(
            f"{store.root} holds another study, {before.get('study', {}).get('name')!r}.",
            "Give each study its own --out.",
        )


def _prepare(this: _Run, model: str) -> list[Evaluation]:
    from fairsqueeze.models.load import kind_of

    study = this.plan.study
    return prepare(study.evaluations(model), kind_of(model), limit=study.limit_for(model), seed=study.seeds[0])


def _run_model(this: _Run, model: str, evaluations: list[Evaluation], outcome: Outcome) -> None:
    """Score the dense model, then everything made from it, paired with it."""
    this = replace(this, options=replace(this.options, limit=this.plan.study.limit_for(model)))
    variants = this.plan.of(model)
    keys = {v.id: variant_key(v, evaluations, this.options) for v in variants}
    pending = [v for v in variants if this.store.read_document(f"variants/{keys[v.id]}") is None]
    there = [this.name(v) for v in variants if v not in pending]
    outcome.found += there
    for name in there:
        this.progress.say(f"{name}: already there")
    if not pending:
        return
    from fairsqueeze.models.load import load

    this.progress.say(f"Loading {model}")
    try:
        dense = load(model, device=this.options.device, dtype=this.options.dtype)
    except FairsqueezeError as error:
        outcome.failed |= {this.name(variant): str(error) for variant in pending}
        this.progress.say(f"  failed: {error}")
        return
    base: _Side | None = None
    for number, variant in enumerate(variants, start=1):
        if variant in pending or variant.kind == "dense":
            this.progress.say(f"[{number}/{len(variants)}] {variant.label}")
            try:
                side, document = _score_variant(this, variant, dense, evaluations, base)
            except FairsqueezeError as error:
                outcome.failed[this.name(variant)] = str(error)
                this.progress.say(f"  failed: {error}")
                if variant.kind == "dense":
                    return
                continue
            base = base or side
            if variant in pending:
                this.store.write_document(f"variants/{keys[variant.id]}", {**document, "order": number})
                outcome.computed.append(this.name(variant))


def _score_variant(
    this: _Run, variant: PlannedVariant, dense: Model, evaluations: list[Evaluation], base: _Side | None
) -> tuple[_Side, dict[str, Any]]:
    model = _make(variant, dense)
    result = audit_loaded(model, evaluations, this.options, store=this.store, progress=this.progress)
    side = side_of(result)
    comparison = None
    if base is not None:
        result.footprint["latency"] = _latency(dense, model) if variant.kind == "compressed" else None
        comparison = compare_sides(base, side, seed=this.options.seed).to_json()
        del comparison["base"], comparison["other"]
    document = {
        "schema": SCHEMA,
        "label": variant.label,
        "kind": variant.kind,
        "model": variant.model,
        "audit": result.to_json(),
        "comparison": comparison,
    }
    return side, document


def _latency(dense: Model, model: Model) -> dict[str, Any]:
    from fairsqueeze.compress.latency import measure_latency

    return measure_latency({"dense": dense, "this": model})["this"].to_json()


def _make(variant: PlannedVariant, dense: Model) -> Model:
    if variant.reference:
        from fairsqueeze.models.references import make_reference

        which: Any = variant.reference  # one of the three names, by the study's check
        return make_reference(dense, which, seed=variant.seed)
    if not variant.steps:
        return dense
    from fairsqueeze.compress.apply import pipeline

    return replace(pipeline(dense, variant.steps, seed=variant.seed), reference=f"{variant.model} > {variant.label}")


def status(plan: Plan, out: Path | str, say: Callable[[str], None]) -> dict[str, Any]:
    """Which variants of `plan` are finished in `out`, and which are open; no model is loaded."""
    store = Store(out, warn=say)
    done = {(d["model"], d["label"]) for d in finished(store)}
    rows = [{"model": v.model, "variant": v.label, "finished": (v.model, v.label) in done} for v in plan.variants]
    return {
        "study": plan.study.name,
        "finished": sum(r["finished"] for r in rows),
        "total": len(rows),
        "variants": rows,
    }
