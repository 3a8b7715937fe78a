"""One variant of a study: made, measured, paired with its dense model, and kept. What every executor calls."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import DataError, FairsqueezeError, ModelError, StepFailed, StoreError
from fairsqueeze.items import Row
from fairsqueeze.models.handover import Packed, pack, unpack
from fairsqueeze.models.source import source_of
from fairsqueeze.spec import content_id
from fairsqueeze.study.audit import Asked, AuditOptions, audit_loaded, record_of
from fairsqueeze.study.compare import Side, compare_sides, side_of, side_of_document
from fairsqueeze.study.evaluation import Evaluation, prepare
from fairsqueeze.study.memory import most_bytes
from fairsqueeze.study.plan import PlannedVariant, asked_as, made_by, scored_by
from fairsqueeze.study.progress import Progress, Silent
from fairsqueeze.study.provenance import Stopwatch
from fairsqueeze.study.scoring import score_range
from fairsqueeze.study.store import Store
from fairsqueeze.study.study import Study

if TYPE_CHECKING:
    import pyarrow as pa

    from fairsqueeze.models.model import Model

SCHEMA = "fairsqueeze.variant/1"


@dataclass(frozen=True)
class Job:
    """One variant to score, as plain values that travel to any process.

    Args:
        variant: which checkpoint.
        key: name of its document in the store (`variant_key`).
        dense: that of its dense model's document, which must be there before; its own for the dense model itself.
        name: what people are told it is called.
        number, of: its place among the variants of its model, from 1.
        items: items id by measure as the plan has them, so that no worker asks other data than was planned.
    """

    variant: PlannedVariant
    key: str
    dense: str
    name: str
    number: int
    of: int
    items: Mapping[str, str]

    @property
    def steps(self) -> int:
        """How many steps progress counts for it: making it, and each measure."""
        return 1 + len(self.items)


@dataclass(frozen=True)
class Failure:
    """Why a variant could not be scored.

    Args:
        message, remedy: for people.
        cause: name of the exception.
        trace: its traceback, for the log.
        stops: whether nothing more can be kept, so that going on would be in vain (a full disk).
    """

    message: str
    remedy: str = ""
    cause: str = ""
    trace: str = ""
    stops: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        cause, trace = type(error).__name__, "".join(traceback.format_exception(error))
        if isinstance(error, FairsqueezeError):
            stops = isinstance(error, StoreError) and isinstance(error.__cause__, OSError)
            return cls(error.message, error.remedy, cause, trace, stops)
        return cls(f"{cause}: {error}", "Its traceback stands in the store, in the folder failed.", cause, trace)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


@dataclass(frozen=True)
class Done:
    """What became of a job.

    Args:
        failure: why it failed; None if it did not.
        steps: what was done of it: made, and the measures asked now.
        peak: the most memory that its process has held so far, in bytes.
        made_s: seconds that making the checkpoint took; None if it was not made.
        parameters: of the checkpoint.
    """

    job: Job
    failure: Failure | None = None
    steps: tuple[str, ...] = ()
    peak: int = 0
    made_s: float | None = None
    parameters: int = 0


@dataclass(frozen=True)
class Ranged:
    """The rows of one range of a large measure, of whom they are, and what they cost."""

    asked: Asked
    rows: list[Row]
    spent: dict[str, float]


def joined(evaluation: Evaluation, parts: Sequence[Ranged]) -> tuple[str, pa.Table]:
    """Step and records of a measure whose ranges were asked apart, the parts in the order of the items.

    Raises StepFailed where the parts are not of one checkpoint: compressing came out differently on two machines.
    """
    checkpoints = sorted({part.asked.checkpoint for part in parts})
    if len(checkpoints) > 1:
        raise StepFailed(
            f"{evaluation.declared.name}: one recipe gave different checkpoints: {', '.join(checkpoints)}.",
            "Use machines of one kind, with the same versions and numbers of threads.",
        )
    spent = {key: sum(part.spent[key] for part in parts) for key in ("wall_s", "cpu_s")}
    peak = max(part.spent["peak_rss_bytes"] for part in parts)
    rows = [row for part in parts for row in part.rows]
    asked = parts[0].asked
    table = record_of(evaluation, rows, asked, {**spent, "peak_rss_bytes": peak})
    return evaluation.step(asked.checkpoint, asked.context), table


def variant_key(variant: PlannedVariant, evaluations: Sequence[Evaluation], options: AuditOptions) -> str:
    """Content id of a variant with all that is asked of it: the name of its document in the store.

    The files behind the model and behind every setting that names one count, not only their names; so do the versions
    of all code that a number passes through, and the seed of the intervals.
    """
    return variant_keys([variant], evaluations, options)[0]


def variant_keys(
    variants: Sequence[PlannedVariant], evaluations: Sequence[Evaluation], options: AuditOptions
) -> list[str]:
    """`variant_key` of several variants of one model, whose files are looked at once."""
    asked = [asked_as(evaluation) for evaluation in evaluations]
    scored = scored_by(options.seed)
    made_of = {model: source_of(model) for model in {variant.model for variant in variants}}
    device = options.device.split(":")[0]
    keys = []
    for variant in variants:
        made = [variant.id, made_of[variant.model], made_by(variant)]
        keys.append(content_id([*made, asked, options.dtype, device, scored], length=24))
    return keys


def options_of(study: Study, model: str | None = None) -> AuditOptions:
    """How `model` of the study (None: any) is asked."""
    limit = study.limit if model is None else study.limit_for(model)
    return AuditOptions(limit=limit, seed=study.seeds[0], device=study.device, dtype=study.dtype, timing=False)


def prepare_for(study: Study, model: str) -> list[Evaluation]:
    """All that `model` is asked in the study, checked and sampled; no weights are loaded."""
    from fairsqueeze.models.load import kind_of

    return prepare(study.evaluations(model), kind_of(model), limit=study.limit_for(model), seed=study.seeds[0])


class Bench:
    """The place where one process works: keeps the items, the dense model and the dense result of the model at hand."""

    def __init__(
        self,
        study: Study,
        out: str,
        progress: Progress | None = None,
        prepared: Mapping[str, list[Evaluation]] | None = None,
    ) -> None:
        self.progress = progress or Silent()
        self.store = Store(out, warn=self.progress.say)
        self._study = study
        self._prepared = dict(prepared or {})
        self._dense: dict[str, Model] = {}
        self._base: dict[str, Side] = {}
        self._made: tuple[float | None, int] = (None, 0)
        self._handed: dict[str, Model] = {}

    def attempt(self, job: Job, packed: Packed | None = None) -> Done:
        """`score`, whatever happens in it: a failure is this variant's alone, and is told as a value.

        packed: the variant's checkpoint, where another process made it.
        """
        counted = _Counted(self.progress, job.name)
        self._made = (None, 0)
        failure = None
        try:
            if packed is not None:
                self.take_over(job, packed)
            self.score(job, counted)
        except FairsqueezeError as error:
            failure = Failure.of(error)
        except Exception as error:  # what one variant does to a library must not end a study of days
            self.forget()  # memory may be what is short
            failure = Failure.of(error)
        return Done(job, failure, tuple(counted.steps), most_bytes(), *self._made)

    def score(self, job: Job, progress: Progress) -> None:
        """Make, measure and compare one variant, and place its document."""
        variant = job.variant
        progress.say(f"[{job.number}/{job.of}] {job.name}")
        evaluations = self.evaluations(job)
        self._let_go_of_others(job)
        dense = self.dense(variant.model)
        base = self.base(job)
        model = self._handed.pop(job.key, None)
        if model is None:
            watch = Stopwatch()
            model = make(variant, dense)
            self._made = (watch.read()["wall_s"], model.parameters)
        options = options_of(self._study, variant.model)
        progress.step("made", None)
        result = audit_loaded(model, evaluations, options, store=self.store, progress=progress)
        side = side_of(result)
        comparison = None
        if base is None:
            self._base = {job.key: side}
        else:
            result.footprint["latency"] = _latency(dense, model) if variant.kind == "compressed" else None
            comparison = compare_sides(base, side, seed=options.seed).to_json()
            del comparison["base"], comparison["other"]
        document = {
            "schema": SCHEMA,
            "label": variant.label,
            "kind": variant.kind,
            "model": variant.model,
            "audit": result.to_json(),
            "comparison": comparison,
            "order": job.number,
        }
        self.store.write_document(f"variants/{job.key}", document)

    def score_range(self, job: Job, measure: str, start: int, stop: int) -> Ranged | None:
        """One range of a large measure on one variant; None where the whole measure is in the store already.

        The checkpoint is the one that was taken over, else made here by its recipe, and kept for the next range.
        """
        (evaluation,) = [e for e in self.evaluations(job) if e.declared.name == measure]
        self._let_go_of_others(job)
        if job.key not in self._handed:
            self._handed[job.key] = make(job.variant, self.dense(job.variant.model))
        model = self._handed[job.key]
        asked = Asked.of(model, options_of(self._study, job.variant.model))
        if self.store.has(evaluation.step(asked.checkpoint, asked.context)):
            return None
        watch = Stopwatch()
        rows = score_range(model, evaluation, start, stop)
        return Ranged(asked, rows, {**watch.read(), "peak_rss_bytes": most_bytes()})

    def make_packed(self, job: Job) -> tuple[tuple[float, int], Packed | None]:
        """Make the checkpoint of one variant for other processes: the seconds that took, its parameters, its files.

        No files where it can't be stored: the others make it by its recipe.
        """
        self._let_go_of_others(job)
        watch, model = Stopwatch(), make(job.variant, self.dense(job.variant.model))
        made = (watch.read()["wall_s"], model.parameters)
        self._handed[job.key] = model
        try:
            return made, pack(model)
        except ModelError:  # the recipe gives the same model
            return made, None

    def take_over(self, job: Job, packed: Packed) -> None:
        """Have the checkpoint of one variant that another process made, unless it is here."""
        self._let_go_of_others(job)
        if job.key not in self._handed:
            self._handed[job.key] = unpack(packed)

    def _let_go_of_others(self, job: Job) -> None:
        """Checkpoints of other jobs were kept for ranges that this process was not given."""
        for key in [key for key in self._handed if key != job.key]:
            del self._handed[key]

    def evaluations(self, job: Job) -> list[Evaluation]:
        """What is asked of the job's model; DataError if this machine's data give other items than were planned."""
        model = job.variant.model
        if model not in self._prepared:
            self._prepared[model] = prepare_for(self._study, model)
        found = self._prepared[model]
        other = [e.declared.name for e in found if job.items.get(e.declared.name) != e.items_id]
        if other:
            message = f"{', '.join(other)}: the data on this machine are not those that the study was planned with."
            raise DataError(message, "Give all machines the same FAIRSQUEEZE_DATA and the same version of fairsqueeze.")
        return found

    def forget(self) -> None:
        """Let go of the models at hand."""
        self._dense.clear()
        self._handed.clear()

    def dense(self, model: str) -> Model:
        """The model itself, loaded once while its variants are at hand."""
        if model not in self._dense:
            from fairsqueeze.models.load import load

            self._dense.clear()
            self.progress.say(f"Loading {model}")
            self._dense[model] = load(model, device=self._study.device, dtype=self._study.dtype)
        return self._dense[model]

    def base(self, job: Job) -> Side | None:
        """The dense model's result, which variants are compared with; None for the dense model itself."""
        if job.key == job.dense:
            return None
        if job.dense not in self._base:
            found = kept_side(self.store, job.dense)
            if found is None:
                raise StoreError(
                    f"The result of the dense {job.variant.model} is not in {self.store.root}, or damaged.",
                    "Run the study again: it is computed anew.",
                )
            self._base = {job.dense: found}
        return self._base[job.dense]


def kept_side(store: Store, key: str) -> Side | None:
    """The result of a finished variant as one side of a comparison; None unless all of it is there and whole."""
    document = store.read_document(f"variants/{key}")
    return None if document is None else side_of_document(store, document["audit"])


def make(variant: PlannedVariant, dense: Model) -> Model:
    """The checkpoint that `variant` stands for."""
    if variant.reference:
        from fairsqueeze.models.references import make_reference

        which: Any = variant.reference  # one of the three names, by the study's check
        return make_reference(dense, which, seed=variant.seed)
    if not variant.steps:
        return dense
    from fairsqueeze.compress.apply import pipeline

    return replace(pipeline(dense, variant.steps, seed=variant.seed), reference=f"{variant.model} > {variant.label}")


def _latency(dense: Model, model: Model) -> dict[str, Any]:
    from fairsqueeze.compress.latency import measure_latency

    return measure_latency({"dense": dense, "this": model})["this"].to_json()


class _Counted:
    """A progress that also counts the steps, and says whose they are."""

    def __init__(self, inner: Progress, name: str) -> None:
        self.steps: list[str] = []
        self.say, self.advance = inner.say, inner.advance
        self._inner, self._name = inner, name

    def step(self, name: str, seconds: float | None) -> None:
        self.steps.append(f"{self._name}: {name}")
        self._inner.step(self.steps[-1], seconds)
