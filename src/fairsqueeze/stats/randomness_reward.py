"""Randomness reward: how far a published score moves toward its ideal per unit of competence lost.

For a damaged checkpoint l of a parent 0, with score s, ideal I and competence c:

    gain_l = 1 - (s_l - I) / (s_0 - I)      share of the parent's distance from the ideal that is gone
    loss_l = 1 - c_l / c_0                  share of the parent's competence that is gone
    reward = sum(gain · loss) / sum(loss²)  least squares through the origin

0: damage earns nothing. 1: the distance from the ideal vanishes at the rate of competence, as of a share under
guessing. Below 0: damage looks like bias. Undefined where the parent is at its ideal, or nothing was lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.stats.bootstrap import clusters_of, jackknife, resample
from fairsqueeze.stats.interval import NO_INTERVAL, interval_of, needs_jackknife

MIN_LOSS = 0.02
"""Root mean square loss of competence below which there is no reward to speak of."""


@dataclass(frozen=True)
class RandomnessReward:
    """The reward with its interval; None with `reason` where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_clusters: int
    reason: str = ""


def reward_from_replicates(
    scores: np.ndarray, competences: np.ndarray, ideal: float, *, level: float = 0.95
) -> RandomnessReward:
    """Reward of one measure over the damaged versions of one parent, interval from bootstrap replicates over items.

    Args:
        scores: replicates of the published score under common weights, shape (R + 1, L + 1): row 0 is the figure
            itself, column 0 the parent.
        competences: mean(control), the same shape.
        ideal: of the score.
    """
    gains, losses = _moves(scores[:, :1], scores[:, 1:], competences[:, :1], competences[:, 1:], ideal)
    rewards = _slope(gains, losses)
    n = scores.shape[1] - 1
    base = np.sort(scores[1:, 0][~np.isnan(scores[1:, 0])])
    tail = (1 - level) / 2
    if len(base) == 0 or np.quantile(base, tail) <= ideal <= np.quantile(base, 1 - tail):
        return RandomnessReward(None, None, None, n, n, "the parent's score does not differ from its ideal")
    if not np.isfinite(rewards[0]):
        return RandomnessReward(None, None, None, n, n, "no competence was lost")
    defined = rewards[1:][np.isfinite(rewards[1:])]
    low, high = np.quantile(defined, [tail, 1 - tail])
    return RandomnessReward(float(rewards[0]), float(low), float(high), n, n)


def reward_from_table(
    score: np.ndarray,
    competence: np.ndarray,
    parent: np.ndarray,
    ideal: float,
    *,
    rng: np.random.Generator,
    replicates: int = 1000,
    level: float = 0.95,
) -> RandomnessReward:
    """Reward over the rows of a table of results, interval by resampling parents with all their checkpoints.

    Args:
        score, competence: shape (n,); NaN where undefined. Competence must be 0 for a model that knows nothing.
        parent: index of each row's dense parent, shape (n,); a row that is its own parent is one. -1: none, left out.
        ideal: of the score.
    """
    score, competence = np.asarray(score, dtype=np.float64), np.asarray(competence, dtype=np.float64)
    rows = np.flatnonzero((parent >= 0) & (parent != np.arange(len(parent))))
    origin = parent[rows]
    gains, losses = _moves(score[origin], score[rows], competence[origin], competence[rows], ideal)
    use = np.isfinite(gains) & np.isfinite(losses)
    gains, losses, origin = gains[use], losses[use], origin[use]
    if not len(gains):
        return RandomnessReward(None, None, None, 0, 0, "no row with a parent whose score differs from its ideal")
    clusters = clusters_of(origin)
    sums = clusters.sums(np.stack([gains * losses, losses**2, np.ones_like(losses)], axis=1))

    def evaluate(counts: np.ndarray) -> np.ndarray:
        top, bottom, n = (counts @ sums).T
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(bottom / n > MIN_LOSS**2, top / bottom, np.nan)[:, None]

    value = float(evaluate(np.ones((1, clusters.count)))[0, 0])
    if not np.isfinite(value):
        return RandomnessReward(None, None, None, len(gains), clusters.count, "no competence was lost")
    interval = NO_INTERVAL
    if clusters.count > 1:
        left_out = jackknife(clusters, evaluate)[:, 0] if needs_jackknife(clusters, "percentile") else None
        drawn = resample(clusters, evaluate, replicates, rng)[:, 0]
        interval = interval_of(value, drawn, clusters, level=level, left_out=left_out)
    reason = "" if interval.exists else "one parent: no interval"
    return RandomnessReward(value, interval.low, interval.high, len(gains), clusters.count, reason)


def _moves(
    score_0: np.ndarray, score: np.ndarray, competence_0: np.ndarray, competence: np.ndarray, ideal: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gains and losses; NaN where the parent sits at the ideal or has no competence."""
    distance = np.where(score_0 == ideal, np.nan, score_0 - ideal)
    known = np.where(competence_0 > 0, competence_0, np.nan)
    return 1 - (score - ideal) / distance, 1 - competence / known


def _slope(gains: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Least squares through the origin in each replicate, (R, L) to (R,); NaN where nothing was lost."""
    squares = np.sum(losses**2, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(squares / losses.shape[1] > MIN_LOSS**2, np.sum(gains * losses, axis=1) / squares, np.nan)
