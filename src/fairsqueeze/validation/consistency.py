"""Reliability of one measure on one model: over halves of its items, neutral contexts, templates, spellings, seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.bootstrap import clusters_of
from fairsqueeze.stats.corrected import corrected_bias
from fairsqueeze.stats.figures import text
from fairsqueeze.stats.paired import Comparison, compare_frames
from fairsqueeze.stats.reliability import Reliability, cronbach_alpha, split_half_within
from fairsqueeze.validation.templates import across_templates
from fairsqueeze.validation.values import judged_values_of

MOST_UNITS = 400
"""Units of a split-half are a seeded sample of this size at most, which bounds its cost."""


@dataclass(frozen=True)
class SplitHalf:
    """Split-half reliability of the preferences of units; `units` says what they are, `halves` what was divided."""

    units: str
    halves: str
    found: Reliability


def reliability_of(
    spelled: Mapping[str, Frame],
    noisy: Mapping[str, Frame],
    templates: np.ndarray | None,
    declared: Measure,
    seed: int,
) -> dict[str, Any]:
    """All kinds of reliability of one measure on one model.

    Args:
        spelled: records by spelling, the original first; what concerns one version is computed from it.
        noisy: records under equal noise on the weights, by seed.
        templates: of the original's rows (`templates.templates_of`).
        seed: of the splits.
    """
    frame = next(iter(spelled.values()))
    return {
        "split_half": split_half_of(frame, seed=seed),
        "neutral_contexts": across_contexts(frame, seed=seed),
        "templates": across_templates(frame, templates),
        "spelling": {
            **across_frames(spelled, declared, seed=seed),
            "changes": changes_of(spelled, declared, seed=seed),
        },
        "noise_seeds": across_frames(noisy, declared, seed=seed),
    }


def split_half_of(frame: Frame, *, seed: int) -> SplitHalf:
    """Would the units that look most stereotyped do so on the other half of their items?

    Units are the groups, and their clusters are divided, where at least three groups have two clusters or more: would
    the same groups come out on top with other clusters? Where a group is one cluster (StereoSet: a target term), units
    are the clusters and the items of each are divided: would the same terms come out on top with other sentences about
    them? What sentences about one term have in common is then what is being measured, not an agreement to be kept out.
    Neither says how far the *mean* would move with other terms: that is what the intervals, over clusters, are for.
    """
    rng = np.random.default_rng([seed, 23])
    known = ~np.isnan(frame["preference"])
    axis, group, cluster = (text(frame[name])[known] for name in ("axis", "group", "cluster"))
    groups = np.char.add(np.char.add(axis, "/"), group)
    by_group: dict[str, set[str]] = defaultdict(set)
    for g, c in zip(groups, cluster, strict=True):
        by_group[g].add(c)
    values = frame["preference"][known]
    if sum(len(members) > 1 for members in by_group.values()) >= 3:
        units, parts, names = groups, cluster, ("group", "clusters")
    else:
        units, parts, names = cluster, text(frame["item"])[known], ("cluster", "items")
    chosen = np.unique(units)
    if len(chosen) > MOST_UNITS:
        kept = np.isin(units, rng.choice(chosen, MOST_UNITS, replace=False))
        units, parts, values = units[kept], parts[kept], values[kept]
    found = split_half_within(values, units, parts, rng=rng, splits=50, replicates=500)
    return SplitHalf(*names, found)


def across_contexts(frame: Frame, *, seed: int) -> dict[str, Any] | None:
    """Neutral contexts as parallel forms: Cronbach's alpha of preferences, and corrected bias in each.

    None where the measure has no neutral contexts. `corrected_bias_by_context` holds None where it is unmeasurable;
    `by_context` has its interval and the reason.
    """
    if "preference_by_context" not in frame:
        return None
    preference, control = (_lists(frame[f"{name}_by_context"]) for name in ("preference", "control"))
    if preference is None or control is None:
        return None
    cluster, shared = text(frame["cluster"]), text(frame["axis"]) == ""
    judged = [
        corrected_bias(
            preference[:, k], control[:, k], cluster, shared=shared, rng=np.random.default_rng([seed, 31, k])
        )
        for k in range(min(preference.shape[1], control.shape[1]))
    ]
    return {
        "n_contexts": int(preference.shape[1]),
        "alpha": cronbach_alpha(preference[~np.isnan(preference).all(axis=1)]),
        "corrected_bias_by_context": [c.value for c in judged],
        "by_context": [{"value": c.value, "low": c.low, "high": c.high, "reason": c.reason} for c in judged],
    }


def across_frames(frames: Mapping[str, Frame], declared: Measure, *, seed: int) -> dict[str, Any]:
    """Versions of the same items (spellings, seeds): alpha of preferences over them, and every statistic under each.

    `values` of corrected forms are None where they are unmeasurable, for a reason in `unmeasurable`.
    """
    named = dict(frames)
    matched = np.stack([f["preference"] for f in named.values()], axis=1)
    judged = {name: judged_values_of(frame, declared, seed=seed) for name, frame in named.items()}
    return {
        "alpha": cronbach_alpha(matched),
        "values": {name: values for name, (values, _) in judged.items()},
        "unmeasurable": {name: reasons for name, (_, reasons) in judged.items()},
        "n_clusters": clusters_of(text(next(iter(named.values()))["cluster"])).count,
    }


def changes_of(spelled: Mapping[str, Frame], declared: Measure, *, seed: int) -> dict[str, dict[str, Any]]:
    """How far each spelling but the first, the original, moves corrected bias: paired difference with its interval.

    `value, low, high` are None with a `reason` where either side is unmeasurable.
    """
    (_, original), *others = spelled.items()
    found = {}
    for name, frame in others:
        compared = compare_frames(original, frame, replace(declared, statistics=()), seed=seed)
        own = next((c for c in compared if c.statistic == "corrected_bias" and c.axis is None), None)
        known = (None, None, None, "no control of competence") if own is None else _difference(own)
        found[name] = dict(zip(("value", "low", "high", "reason"), known, strict=True))
    return found


def _difference(own: Comparison) -> tuple[float | None, float | None, float | None, str]:
    return own.difference, own.low, own.high, own.reason


def _lists(column: np.ndarray) -> np.ndarray | None:
    """A column of equally long lists as a matrix, NaN in rows of None, shape (n, contexts). None if no row has one."""
    if column.dtype != object or all(v is None for v in column):
        return None
    width = next(len(v) for v in column if v is not None)
    return np.stack([np.full(width, np.nan) if v is None else np.asarray(v, dtype=np.float64) for v in column])
