"""Reliability of one measure on one model: over halves of its items, neutral contexts, templates, spellings, seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.bootstrap import clusters_of
from fairsqueeze.stats.figures import text
from fairsqueeze.stats.reliability import Reliability, cronbach_alpha, split_half_within
from fairsqueeze.validation.templates import across_templates
from fairsqueeze.validation.values import values_of

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
        "neutral_contexts": across_contexts(frame),
        "templates": across_templates(frame, templates),
        "spelling": across_frames(spelled, declared),
        "noise_seeds": across_frames(noisy, declared),
    }


def split_half_of(frame: Frame, *, seed: int) -> SplitHalf:
    """Would the units that look most stereotyped do so on the other half of their items?

    Units are the groups, and their clusters are divided, where at least three groups have two clusters or more. Where a
    group is one cluster (a target term), units are the clusters and their items are divided.
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


def across_contexts(frame: Frame) -> dict[str, Any] | None:
    """Neutral contexts as parallel forms: Cronbach's alpha of preferences, and the range of corrected bias over them.

    None where the measure has no neutral contexts.
    """
    if "preference_by_context" not in frame:
        return None
    preference, control = (_lists(frame[f"{name}_by_context"]) for name in ("preference", "control"))
    if preference is None or control is None:
        return None
    each = []
    for k in range(preference.shape[1]):
        bottom = float(np.nanmean(control[:, k]))
        each.append(float(np.nanmean(preference[:, k])) / bottom if bottom > 0 else None)
    return {
        "n_contexts": int(preference.shape[1]),
        "alpha": cronbach_alpha(preference),
        "corrected_bias_by_context": each,
    }


def across_frames(frames: Mapping[str, Frame], declared: Measure) -> dict[str, Any]:
    """Versions of the same items (spellings, seeds): alpha of preferences over them, and every statistic under each."""
    named = dict(frames)
    matched = np.stack([f["preference"] for f in named.values()], axis=1)
    return {
        "alpha": cronbach_alpha(matched),
        "values": {name: values_of(frame, declared) for name, frame in named.items()},
        "n_clusters": clusters_of(text(next(iter(named.values()))["cluster"])).count,
    }


def _lists(column: np.ndarray) -> np.ndarray | None:
    """A column of equally long lists as a matrix; rows of None left out. None if nothing is left."""
    if column.dtype != object:
        return None
    whole = [np.asarray(v, dtype=np.float64) for v in column if v is not None]
    return np.stack(whole) if whole else None
