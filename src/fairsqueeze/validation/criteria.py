"""The criteria of a report card, from its figures; the rule that turns them into a grade is in `grade`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairsqueeze.stats.estimate import Estimate
from fairsqueeze.validation.consistency import SplitHalf
from fairsqueeze.validation.curve import Curve
from fairsqueeze.validation.dependence import Dependence
from fairsqueeze.validation.grade import CORRELATED, DETECTABLE, LOST, R2, RELIABLE, SLOPE, Criterion
from fairsqueeze.validation.sensitivity import DoseResponse

ONE_TEST = "effect_size:"
"""How the statistics of single tests begin, of which some of many earn something by chance."""


def criteria_of(
    estimates: Sequence[Estimate],
    detectable: Sequence[Mapping[str, Any]],
    reliability: Mapping[str, Any],
    sensitivity: Sequence[DoseResponse],
    curve: Curve,
    dependence: Sequence[Dependence],
    losses: Mapping[str, Any],
) -> list[Criterion]:
    """The eight criteria of `grade`, each with the figures that it rests on."""
    overall = next((e for e in estimates if e.statistic == "corrected_bias" and e.axis is None), None)
    return [
        _measurable(overall),
        _sensitive(sensitivity),
        _precise(next((d for d in detectable if d["statistic"] == "corrected_bias" and d["axis"] is None), None)),
        _reliable(reliability["split_half"]),
        _spelling(overall, reliability["spelling"]["values"]),
        _no_reward(curve),
        _independent(dependence),
        _complete(losses),
    ]


def _measurable(overall: Estimate | None) -> Criterion:
    if overall is None:
        return Criterion("measurable", False, "the measure has no corrected bias: no control of competence")
    if overall.status != "ok":
        return Criterion("measurable", False, overall.reason)
    return Criterion("measurable", True, f"corrected bias {overall.value:.3f} [{overall.low:.3f}, {overall.high:.3f}]")


def _sensitive(found: Sequence[DoseResponse]) -> Criterion:
    own = next((s for s in found if s.statistic == "corrected_bias"), None)
    if own is None or own.slope is None:
        return Criterion("sensitive", None, "no bias could be put in")
    passed = SLOPE[0] <= own.slope <= SLOPE[1] and own.r2 is not None and own.r2 >= R2
    after = "undefined" if own.slope_guessed is None else f"{own.slope_guessed:.3f}"
    says = f"slope {own.slope:.3f}, R² {'undefined' if own.r2 is None else f'{own.r2:.3f}'}, half guessed {after}"
    return Criterion("sensitive", passed, says)


def _precise(found: Mapping[str, Any] | None) -> Criterion:
    size = None if found is None else found["smallest_detectable"]
    if size is None:
        return Criterion("precise", None, "no interval")
    return Criterion("precise", size <= DETECTABLE, f"smallest detectable corrected bias {size:.3f}")


def _reliable(half: SplitHalf) -> Criterion:
    value = half.found.value
    if value is None:
        return Criterion("reliable", None, f"fewer than three {half.units}s with two {half.halves}, or no spread")
    bounds = "" if half.found.low is None else f" [{half.found.low:.2f}, {half.found.high:.2f}]"
    return Criterion(
        "reliable", value >= RELIABLE, f"split-half {value:.2f}{bounds}, {half.found.n_units} {half.units}s"
    )


def _spelling(overall: Estimate | None, values: Mapping[str, Mapping[str, float | None]]) -> Criterion:
    if overall is None or overall.low is None or overall.high is None:
        return Criterion("spelling", None, "no interval to compare with")
    found = {name: v.get("corrected_bias") for name, v in values.items() if name != "original"}
    says = ", ".join(f"{name} {'undefined' if v is None else f'{v:.3f}'}" for name, v in found.items())
    inside = all(v is not None and overall.low <= v <= overall.high for v in found.values())
    return Criterion("spelling", inside, says)


def _no_reward(curve: Curve) -> Criterion:
    left_out = ("corrected_bias", ONE_TEST)
    found = {n: r for n, r in curve.rewards.items() if not n.startswith(left_out) and r.value is not None}
    if not found:
        return Criterion("no reward", None, "no published score with an ideal that it differs from, or nothing lost")
    rewarded = {n: r for n, r in found.items() if r.low is not None and r.low > 0}
    says = ", ".join(f"{n} {r.value:.2f} [{_number(r.low)}, {_number(r.high)}]" for n, r in found.items())
    return Criterion("no reward", not rewarded, says)


def _independent(dependence: Sequence[Dependence]) -> Criterion:
    known = [d for d in dependence if d.on in ("length", "frequency") and d.value is not None]
    if not known:
        return Criterion("length and frequency", None, "; ".join(d.reason for d in dependence if d.reason))
    passed = all(abs(d.value or 0.0) <= CORRELATED for d in known)
    return Criterion("length and frequency", passed, ", ".join(f"{d.on} {d.value:.2f}" for d in known))


def _complete(losses: Mapping[str, Any]) -> Criterion:
    ties = losses["share_ties"]
    passed = losses["share_undefined"] <= LOST and ties is not None and ties <= LOST
    tied = "none defined" if ties is None else f"{100 * ties:.1f} %"
    return Criterion("complete", passed, f"undefined {100 * losses['share_undefined']:.1f} %, ties {tied}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
