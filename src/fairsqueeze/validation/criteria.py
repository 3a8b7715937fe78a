"""The criteria of a report card, from its figures; the rule that turns them into a grade is in `grade`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fairsqueeze.stats.estimate import Estimate
from fairsqueeze.stats.randomness_reward import RandomnessReward
from fairsqueeze.validation.consistency import SplitHalf
from fairsqueeze.validation.curve import Curve
from fairsqueeze.validation.dependence import Dependence
from fairsqueeze.validation.grade import (
    CORRELATED,
    DETECTABLE,
    LOST,
    R2,
    RELIABLE,
    REWARD,
    SLOPE,
    SLOPE_GUESSED,
    SPELLED,
    Criterion,
    within,
)
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
        _spelling(reliability["spelling"]["changes"]),
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
    found_at_all = SLOPE[0] <= own.slope <= SLOPE[1] and own.r2 is not None and own.r2 >= R2
    passed = within(own.guessed_low, own.guessed_high, SLOPE_GUESSED) if found_at_all else False
    after = "undefined" if own.slope_guessed is None else f"{own.slope_guessed:.3f}"
    bounds = "" if own.guessed_low is None else f" [{own.guessed_low:.3f}, {own.guessed_high:.3f}]"
    r2 = "undefined" if own.r2 is None else f"{own.r2:.3f}"
    return Criterion("sensitive", passed, f"slope {own.slope:.3f}, R² {r2}, half guessed {after}{bounds}")


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


def _spelling(changes: Mapping[str, Mapping[str, Any]]) -> Criterion:
    says = "; ".join(f"{name}: change {_with_interval(c)}" for name, c in changes.items())
    return Criterion("spelling", _all_of([_negligible(c) for c in changes.values()]), says)


def _negligible(change: Mapping[str, Any]) -> bool | None:
    """True if the change is surely within the bound, False if it surely differs from 0, None otherwise."""
    low, high = change["low"], change["high"]
    if within(low, high, (-SPELLED, SPELLED)):
        return True
    return False if low is not None and (low > 0 or high < 0) else None


def _no_reward(curve: Curve) -> Criterion:
    left_out = ("corrected_bias", ONE_TEST)
    found = {n: r for n, r in curve.rewards.items() if not n.startswith(left_out) and _can_earn(n, r, curve)}
    if not found:
        return Criterion("no reward", None, "no published score with an ideal that it differs from", applies=False)
    says = "; ".join(f"{n} {_with_interval(asdict(r))}" for n, r in found.items())
    return Criterion("no reward", _all_of([_unrewarded(r) for r in found.values()]), says)


def _can_earn(name: str, reward: RandomnessReward, curve: Curve) -> bool:
    """Whether a score has a distance from its ideal, on these items, that damage could take away."""
    if reward.value is not None:
        return True
    undamaged = next(iter(curve.of(name)), None)
    return undamaged is None or (undamaged.value is not None and undamaged.value != undamaged.ideal)


def _unrewarded(reward: RandomnessReward) -> bool | None:
    """True if the reward is surely below the bound, False if it is surely above 0, None otherwise."""
    if reward.value is None or reward.low is None or reward.high is None:
        return None
    if reward.high < REWARD:
        return True
    return False if reward.low > 0 else None


def _independent(dependence: Sequence[Dependence]) -> Criterion:
    asked = [d for d in dependence if d.on in ("length", "frequency")]
    known = [d for d in asked if d.value is not None]
    if not known:
        reasons = "; ".join(d.reason for d in asked if d.reason)
        return Criterion("length and frequency", None, reasons, applies=any(d.applies for d in asked))
    passed = all(abs(d.value or 0.0) <= CORRELATED for d in known)
    return Criterion("length and frequency", passed, ", ".join(f"{d.on} {d.value:.2f}" for d in known))


def _complete(losses: Mapping[str, Any]) -> Criterion:
    ties = losses["share_ties"]
    passed = losses["share_undefined"] <= LOST and ties is not None and ties <= LOST
    tied = "none defined" if ties is None else f"{100 * ties:.1f} %"
    return Criterion("complete", passed, f"undefined {100 * losses['share_undefined']:.1f} %, ties {tied}")


def _all_of(decisions: Sequence[bool | None]) -> bool | None:
    """False if one is, None if one is and none is False, True if all are."""
    if False in decisions:
        return False
    return None if None in decisions else True


def _with_interval(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return f"undefined ({found['reason']})"
    return f"{found['value']:.2f} [{_number(found['low'])}, {_number(found['high'])}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
