"""Collapsed checkpoints: those whose performance is at or near that of answering at random."""

from __future__ import annotations

import numpy as np

from fairsqueeze.analysis.checkpoints import Checkpoints

KEPT = 0.2
"""A checkpoint that keeps less than this share of its reference's performance above chance is collapsed."""

RULE = (
    "keeps less than a fifth of the performance above chance of its dense parent (of the best checkpoint where no "
    "parent is known), or has none, or an interval of performance that reaches chance; of a perplexity, in logarithms"
)


def collapsed_rows(points: Checkpoints) -> np.ndarray | None:
    """Indices of the collapsed checkpoints, or None where performance or its chance level is unknown."""
    performance = points.performance
    competence = None if performance is None else performance.competence
    if performance is None or competence is None or np.all(np.isnan(competence)):
        return None
    reference = np.full(points.n, np.nanmax(competence))
    with_parent = points.parent >= 0
    own = competence[points.parent[with_parent]]
    reference[with_parent] = np.where(np.isnan(own), reference[with_parent], own)
    near = (competence < KEPT * reference) | (competence <= 0)
    chance = performance.chance
    assert chance is not None
    reaches = performance.low <= chance if performance.better == "higher" else performance.high >= chance
    return np.flatnonzero(near | reaches)
