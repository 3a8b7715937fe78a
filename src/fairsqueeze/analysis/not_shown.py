"""What an analysis does not show, and why: the table lacks it, it is undefined, or the evidence does not reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairsqueeze.analysis.checkpoints import Checkpoints
from fairsqueeze.analysis.findings import reaches, reward_reaches
from fairsqueeze.analysis.fronts import Front
from fairsqueeze.analysis.influential import MIN_ROWS as ROWS_FOR_INFLUENCE
from fairsqueeze.analysis.relations import Relations
from fairsqueeze.stats.agreement import MIN_ROWS


@dataclass(frozen=True)
class NotShown:
    """What could not be said, and why."""

    what: str
    why: str


def not_shown_of(
    points: Checkpoints, sets: Sequence[Relations], fronts: Sequence[Front], left_out: dict[str, np.ndarray | None]
) -> list[NotShown]:
    """All that is not shown.

    Args:
        sets: `sets[0]` holds all checkpoints, the others lack some.
        left_out: by the name of each further set, the rows that it would lack; None where they can't be told.
    """
    whole = sets[0]
    return [
        *_missing(points, whole),
        *_undefined(points, left_out.get("without collapsed")),
        *_no_set(points, sets, left_out),
        *_silent(whole, fronts),
    ]


def _undefined(points: Checkpoints, collapsed: np.ndarray | None) -> list[NotShown]:
    """Measures without a value in some rows, and how many of these have collapsed; what performance leaves open."""
    found = []
    alike: dict[tuple[int, int], list[str]] = {}
    for m in points.measures:
        rows = np.flatnonzero(np.isnan(m.values))
        if 0 < len(rows) < points.n:
            broken = len(np.intersect1d(rows, [] if collapsed is None else collapsed))
            alike.setdefault((len(rows), broken), []).append(m.name)
    for (count, broken), names in alike.items():
        of_these = "" if collapsed is None else f" ({broken} of these have collapsed)"
        why = f"undefined there{of_these}; every figure with it is about the other {points.n - count}"
        found.append(NotShown(f"{', '.join(names)} in {count} of {points.n} checkpoints", why))
    if points.performance is None:
        return found
    unknown = np.isnan(points.performance.values)
    if collapsed is not None and unknown.any():
        what = f"whether {int(unknown.sum())} of {points.n} checkpoints have collapsed"
        found.append(NotShown(what, f"no value of {points.performance.name} there; they count as not collapsed"))
    few = [m.name for m in points.measures if 0 < np.sum(~np.isnan(m.values) & ~unknown) < ROWS_FOR_INFLUENCE]
    if few:
        why = f"fewer than {ROWS_FOR_INFLUENCE} rows with it and performance"
        found.append(NotShown(f"influential checkpoints of {', '.join(few)}", why))
    return found


def _no_set(points: Checkpoints, sets: Sequence[Relations], left_out: dict[str, np.ndarray | None]) -> list[NotShown]:
    """Further sets that would have too few checkpoints left."""
    made = {s.name for s in sets}
    return [
        NotShown(f"analysis {name}", f"{len(rows)} of {points.n} checkpoints would go, fewer than {MIN_ROWS} be left")
        for name, rows in left_out.items()
        if rows is not None and len(rows) and name not in made
    ]


def _missing(points: Checkpoints, whole: Relations) -> list[NotShown]:
    """What the table does not allow at all."""
    found = []
    empty: list[str] = []
    constant: list[str] = []
    for m in points.measures:
        values = np.unique(m.values[~np.isnan(m.values)])
        if len(values) < 2:
            (constant if len(values) else empty).append(m.name)
    if empty:
        found.append(NotShown(", ".join(empty), "no value in any row"))
    if constant:
        found.append(NotShown(", ".join(constant), "the same value in all rows that have one"))
    unknown = [m.name for m in points.measures if m.ideal is None]
    if unknown:
        why = "their ideal is not known; give --ideal MEASURE=VALUE"
        found.append(NotShown(f"randomness reward, distance from the ideal and front of {', '.join(unknown)}", why))
    if points.n < MIN_ROWS:
        found.append(NotShown("correlations", f"too few rows: {points.n}; {MIN_ROWS} are needed"))
    if points.performance is None:
        found.append(NotShown("capability, rewards, fronts", "no performance column; give --performance COLUMN"))
    elif points.performance.chance is None:
        why = f"the chance level of {points.performance.name} is not known; give --chance VALUE"
        found.append(NotShown("collapsed checkpoints, randomness reward", why))
    if not len(points.children):
        found.append(
            NotShown(
                "direction of change, randomness reward",
                "no dense parent is known; give --parent COLUMN or COLUMN=VALUE",
            )
        )
    if whole.validity is None:
        why = "needs two measures on the same two axes, and eight rows with all of them"
        found.append(NotShown("multitrait–multimethod matrix", why))
    return found


def _silent(whole: Relations, fronts: Sequence[Front]) -> list[NotShown]:
    """What was computed and does not reach."""
    groups = {
        "correlations of measures with performance": [
            c.agreement for c in whole.capability if c.agreement.kind == "spearman"
        ],
        "pairs of measures (Spearman)": [a for a in whole.agreement if a.kind == "spearman"],
        "pairs of measures (direction of change)": [a for a in whole.agreement if a.kind == "direction"],
        "agreement of all rankings": [whole.ranking] if whole.ranking is not None else [],
    }
    found = []
    for what, members in groups.items():
        silent = [a for a in members if not reaches(a)]
        if silent:
            rows = sorted({a.n for a in silent})
            n = f"{rows[0]}" if len(rows) == 1 else f"{rows[0]} to {rows[-1]}"
            why = f"the interval includes 0, p is above .05 after correction, or there is none (n = {n})"
            found.append(NotShown(f"{len(silent)} of {len(members)} {what}", why))
    reasons: dict[str, list[str]] = {}
    for one in whole.rewards:
        if one.reward.low is None:
            reasons.setdefault(one.reward.reason or "no interval", []).append(one.measure)
        elif not reward_reaches(one):
            level = f"the level corrected for {len(whole.rewards)} measures"
            why = f"the interval includes 0 at {level} (n = {one.reward.n})"
            reasons.setdefault(why, []).append(one.measure)
    found += [NotShown(f"randomness reward of {', '.join(names)}", why) for why, names in reasons.items()]
    if fronts and not any(f.replicates for f in fronts):
        found.append(NotShown("probability of being on the front", "no value has an interval (NAME_low, NAME_high)"))
    return found
