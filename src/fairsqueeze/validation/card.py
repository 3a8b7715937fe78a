"""The report card of a measure on a model: what its numbers are worth, and a grade by a rule that is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.estimate import Estimate, estimates_of, finite
from fairsqueeze.stats.interval import Interval
from fairsqueeze.stats.paired import smallest_detectable
from fairsqueeze.stats.scaling import scaling_of
from fairsqueeze.study.evaluation import declared_of, prepare, spec_of
from fairsqueeze.study.progress import Progress, Silent
from fairsqueeze.study.provenance import Stopwatch, command, libraries, machine
from fairsqueeze.study.store import Store
from fairsqueeze.validation.asked import Asked, numbers_of
from fairsqueeze.validation.consistency import reliability_of
from fairsqueeze.validation.criteria import criteria_of
from fairsqueeze.validation.curve import Curve, curve_of
from fairsqueeze.validation.damaged import Bench
from fairsqueeze.validation.degradation import DEGRADATIONS, constant, guessed
from fairsqueeze.validation.dependence import Dependence, on_frequency, on_length, on_order
from fairsqueeze.validation.grade import NOT_USABLE, Criterion, counts_of, grade_of
from fairsqueeze.validation.injection import Slopes, all_slopes, can_be_injected, injected
from fairsqueeze.validation.sensitivity import DoseResponse, dose_responses
from fairsqueeze.validation.spelling import SPELLINGS
from fairsqueeze.validation.templates import templates_of
from fairsqueeze.validation.values import values_of

if TYPE_CHECKING:
    from fairsqueeze.models.model import Model

SCHEMA = "fairsqueeze.validation/1"
GUESSERS = 8
"""Models answering at random over whose figures the measured chance value is averaged."""

SATURATED = 20.0
"""Bias put in for floor and ceiling, in standard deviations of the preferences."""

NOISE_SEEDS = 3
"""Seeds of weight noise at the second of its levels, whose figures show how much a seed moves them."""


@dataclass
class ReportCard:
    """What `validate` found. `to_json` is the contract; undefined figures are None."""

    measure: dict[str, Any]
    model: dict[str, Any]
    grade: str
    criteria: list[Criterion]
    anchors: list[dict[str, Any]]
    estimates: list[Estimate]
    reliability: dict[str, Any]
    sensitivity: list[DoseResponse]
    detectable: list[dict[str, Any]]
    curve: Curve
    scaling: list[dict[str, Any]]
    dependence: list[Dependence]
    losses: dict[str, Any]
    criticisms: tuple[str, ...]
    warnings: list[str]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether the grade is A to D."""
        return self.grade != NOT_USABLE

    def to_json(self) -> dict[str, Any]:
        """One document; numbers that are not finite are null."""
        return {
            "schema": SCHEMA,
            "measure": self.measure,
            "model": self.model,
            "grade": self.grade,
            "decided": counts_of(self.criteria),
            "criteria": [asdict(c) for c in self.criteria],
            "anchors": self.anchors,
            "estimates": [e.to_json() for e in self.estimates],
            "reliability": _plain(self.reliability),
            "sensitivity": [{**asdict(s), "kept": finite(s.kept)} for s in self.sensitivity],
            "smallest_detectable": self.detectable,
            "randomness_reward": [{"statistic": name, **asdict(r)} for name, r in self.curve.rewards.items()],
            "weight_noise": [asdict(p) for p in self.curve.points],
            "scaling": [{"level": s["level"], **_plain(s["form"])} for s in self.scaling],
            "dependence": [asdict(d) for d in self.dependence],
            "losses": self.losses,
            "criticisms": list(self.criticisms),
            "warnings": self.warnings,
            "provenance": self.provenance,
        }


def validate(
    measure: str | Mapping[str, Any],
    model: str | Path | Model,
    *,
    limit: int | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> ReportCard:
    """The report card of `measure` on `model`: the model is asked as it is, respelled and with noise on its weights.

    Costs ten times one audit with this measure at most. With `out`, records of damaged models are kept there, and the
    same call goes on where it stopped; the card is written to `out/validation.json`.

    Args:
        measure: name of a bias measure, with settings if need be (`bbq.causal:listed=true`).
        model: a reference, or a Model in memory.
        limit: number of items, a seeded sample stratified by axis; None is all.
        seed: of the sample, the bootstrap and every draw.

    Raises: as `audit`; UnknownName for a task, ModelError for a measure whose answers can't be changed (long texts).
    """
    from fairsqueeze.models.load import kind_of, load

    progress, watch = progress or Silent(), Stopwatch()
    spec = spec_of(measure)
    declared_of(spec, "measure")
    kind = kind_of(str(model)) if isinstance(model, (str, Path)) else model.kind
    store = None if out is None else Store(out, warn=progress.say)
    if store is not None:
        store.prepare()
    (evaluation,) = prepare([spec], kind, limit=limit, seed=seed)
    loaded = load(str(model), device=device) if isinstance(model, (str, Path)) else model
    bench = Bench.of(loaded, evaluation, store, progress)
    card = card_of(bench, seed=seed)
    card.provenance = {
        "command": command(),
        "seed": seed,
        "limit": limit,
        "data": {name: found.sha256 for name, found in evaluation.data.items()},
        "libraries": libraries(),
        "machine": machine(),
        **watch.read(),
    }
    if store is not None:
        store.write_document("validation", card.to_json())
    return card


def card_of(bench: Bench, *, seed: int) -> ReportCard:
    """The report card from a bench: asks the model, damages it, and puts everything together."""
    evaluation, declared = bench.evaluation, bench.evaluation.declared
    asked = bench.asked
    for answer in asked.answers[0].values():
        numbers_of(answer)  # refuses answers that can't be changed before anything is damaged
    frame = asked.frame()
    why_not = can_be_injected(asked)
    slopes = [] if why_not else all_slopes(asked)
    estimates = estimates_of(frame, declared, seed=seed)
    spelled = {"original": frame, **{name: bench.respelled(name, rewrite) for name, rewrite in SPELLINGS.items()}}
    levels = DEGRADATIONS["weight_noise"].levels
    noisy = {level: bench.damaged("weight_noise", level, seed) for level in levels}
    curve = curve_of([frame, *noisy.values()], (0.0, *levels), declared, seed=seed)
    scaling = [
        {"level": level, "form": s} for level in levels for s in scaling_of(frame, noisy[level], declared, seed=seed)
    ]
    others = [bench.damaged("weight_noise", levels[1], seed + k) for k in range(1, NOISE_SEEDS)]
    seeds = [noisy[levels[1]], *others]
    untouched = all(np.array_equal(f["preference"], frame["preference"], equal_nan=True) for f in noisy.values())
    by_seed = {f"{seed + k}": f for k, f in enumerate(seeds)}
    reliability = reliability_of(spelled, by_seed, templates_of(asked), declared, seed)
    reliability["noise_seeds"]["level"] = levels[1]
    sensitivity = [] if why_not else dose_responses(asked, slopes, seed)
    dependence = [_length(asked, frame, slopes, why_not, seed), on_frequency(frame, seed), on_order(frame, seed)]
    losses = losses_of(frame)
    detectable = detectable_of(estimates)
    criteria = criteria_of(estimates, detectable, reliability, sensitivity, curve, dependence, losses)
    return ReportCard(
        measure={**evaluation.spec.to_json(), "version": declared.version, "control": declared.card.control},
        model={"reference": bench.model.reference, "id": bench.id, "kind": bench.model.kind},
        grade=grade_of(criteria),
        criteria=criteria,
        anchors=anchors_of(asked, slopes, declared, seed),
        estimates=estimates,
        reliability=reliability,
        sensitivity=sensitivity,
        detectable=detectable,
        curve=curve,
        scaling=scaling,
        dependence=dependence,
        losses=losses,
        criticisms=declared.card.criticisms,
        warnings=_warnings(bench, why_not, untouched),
    )


# --- What the measure gives to models that are known ------------------------------------------------------------------


def anchors_of(asked: Asked, slopes: list[list[Slopes | None]], declared: Measure, seed: int) -> list[dict[str, Any]]:
    """For each published statistic: its value, ideal, and what guessing, constant and extreme models get, measured.

    `chance` and `constant` are measured by replacing all answers and scoring again, beside what the measure declares;
    `floor` and `ceiling` with so much bias put in, one way and the other, that nothing more changes.
    """
    own = values_of(asked.frame(), declared)
    guesses = [values_of(guessed(asked, 1.0, seed + k).frame(), declared) for k in range(GUESSERS)]
    same = values_of(constant(asked).frame(), declared)
    extremes: list[dict[str, float | None]] = [{}, {}]
    if slopes:
        spread = float(np.nanstd(asked.frame()["preference"])) or 1.0
        extremes = [values_of(injected(asked, sign * SATURATED * spread, slopes).frame(), declared) for sign in (-1, 1)]
    found = []
    for statistic in declared.statistics:
        if not statistic.resample:
            continue
        name = statistic.name
        drawn = [v for g in guesses if (v := g.get(name)) is not None]
        found.append(
            {
                "statistic": name,
                "value": own.get(name),
                "ideal": finite(statistic.ideal),
                "chance": float(np.mean(drawn)) if drawn else None,
                "chance_declared": None if callable(statistic.chance) else finite(statistic.chance),
                "constant": same.get(name),
                "constant_declared": finite(statistic.constant),
                "floor": extremes[0].get(name),
                "ceiling": extremes[1].get(name),
            }
        )
    return found


# --- What can be seen at this number of items -------------------------------------------------------------------------


def detectable_of(estimates: Sequence[Estimate], level: float = 0.95) -> list[dict[str, Any]]:
    """For corrected bias, raw and prior-corrected, overall and per axis: the true bias found four times out of five."""
    found = []
    for e in estimates:
        if e.statistic not in ("corrected_bias", "corrected_bias.prior"):
            continue
        size = smallest_detectable(Interval(e.low, e.high, e.method), level)
        found.append(
            {
                "statistic": e.statistic,
                "axis": e.axis,
                "smallest_detectable": size,
                "n": e.n,
                "n_clusters": e.n_clusters,
                "reason": e.reason,
            }
        )
    return found


def losses_of(frame: Frame) -> dict[str, Any]:
    """Rows that are undefined, with reasons, and preferences that are ties."""
    status = frame["status"]
    known = frame["preference"][~np.isnan(frame["preference"])]
    reasons, counts = np.unique(status[status != "ok"].astype(str), return_counts=True)
    return {
        "n_rows": len(status),
        "n_undefined": int(counts.sum()),
        "share_undefined": float(counts.sum()) / len(status),
        "reasons": {str(r): int(n) for r, n in zip(reasons, counts, strict=True)},
        "n_ties": int(np.sum(known == 0)),
        "share_ties": float(np.mean(known == 0)) if len(known) else None,
    }


def _length(asked: Asked, frame: Frame, slopes: Any, why_not: str, seed: int) -> Dependence:
    if why_not:
        return Dependence("length", None, None, None, 0, why_not)
    return on_length(asked, frame, slopes, seed)


def _warnings(bench: Bench, why_not: str, untouched: bool) -> list[str]:
    found = []
    evaluation = bench.evaluation
    if len(evaluation.items) < evaluation.n_available:
        found.append(f"A sample of {len(evaluation.items)} of {evaluation.n_available} items, stratified by axis.")
    if why_not:
        found.append(f"No bias could be put in: {why_not}.")
    if untouched:
        found.append(
            "Noise on the linear layers changes none of this measure's answers: it asks what lies before them. "
            "Randomness reward, seeds of noise and scaling say nothing here."
        )
    return found


def _plain(value: Any) -> Any:
    """Dataclasses as dictionaries, all the way down; numbers that are not finite become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return finite(value) if isinstance(value, float) else value
