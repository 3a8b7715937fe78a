"""Influential checkpoints: those that decide by themselves how a measure goes with performance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.analysis.checkpoints import Checkpoints
from fairsqueeze.stats.influence import Ranked, spearman_influence
from fairsqueeze.stats.leave_one_out import cooks_distances, cooks_threshold, spearman_without_each

MOVES = 0.2
"""Change of Spearman's correlation from which a single checkpoint counts as influential."""

RULE = (
    "Cook's distance in the regression of a measure on performance above the median of F(2, n - 2), or Spearman's "
    "correlation with performance moved by 0.2 or more when the checkpoint is left out"
)
MIN_ROWS = 5


@dataclass(frozen=True)
class Influential:
    """One checkpoint × measure: Spearman's correlation of published value and performance with it and without it."""

    row: int
    checkpoint: str
    measure: str
    cooks_distance: float | None
    with_it: float
    without_it: float | None


def influential_rows(points: Checkpoints) -> list[Influential]:
    """Influential checkpoints, by measure, the largest distance first; empty without performance or with < 5 rows."""
    if points.performance is None:
        return []
    found = []
    for m in points.measures:
        rows = np.flatnonzero(~np.isnan(m.values) & ~np.isnan(points.performance.values))
        if len(rows) < MIN_ROWS:
            continue
        x, y = points.performance.upward[rows], m.values[rows]
        cooks = np.nan_to_num(cooks_distances(x, y), nan=0.0)
        without = spearman_without_each(x, y)
        whole = _spearman(x, y)
        if not np.isfinite(whole):
            continue
        moved = np.nan_to_num(np.abs(without - whole), nan=np.inf)
        flagged = np.flatnonzero((cooks > cooks_threshold(len(rows))) | (moved >= MOVES))
        for i in sorted(flagged, key=lambda i: -cooks[i]):
            distance = float(cooks[i]) if np.isfinite(cooks[i]) else None
            alone = float(without[i]) if np.isfinite(without[i]) else None
            found.append(Influential(int(rows[i]), points.labels[rows[i]], m.name, distance, whole, alone))
    return found


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    return spearman_influence(Ranked.of(x), Ranked.of(y))[0]
