"""Randomness reward: how far a published score moves toward its ideal per unit of competence lost.

For a damaged checkpoint l of a parent 0, with score s, ideal I and competence c:

    toward_l = (s_0 - s_l) · sign(s_0 - I)                          what the score moved toward its ideal
    loss_l   = 1 - c_l / c_0                                        share of the parent's competence that is gone
    reward   = sum(toward · loss) / sum(|s_0 - I| · loss²)          least squares through the origin

0: damage earns nothing. 1: the distance from the ideal vanishes at the rate of competence, as of a share under
guessing. Below 0: damage looks like bias. Sums are over all checkpoints before they are divided, so a parent near its
ideal, whose distance is mostly noise, weighs little. Undefined where the parent is at its ideal, or nothing was lost.

**Competence must be something that damage lowers.** Zero-mean noise does not move mean(control), a mean of nats, and so
"loses" nothing by it, while it does lower the share of items on which the model shows its competence. So competence is
2 · share(control > 0) - 1, ties half (`sign competence`): 0 of a model that knows nothing, 1 of one that is right each
time; guessing and noise lower it, and dividing all scores by one number does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.stats.bootstrap import Clusters, clusters_of, jackknife, resample
from fairsqueeze.stats.interval import NO_INTERVAL, interval_of, needs_jackknife, of_what_varies, why_no_interval

MIN_LOSS = 0.02
"""Root mean square loss of competence below which a table of results has no reward to speak of."""

NOTHING_LOST = "no competence was lost"


@dataclass(frozen=True)
class RandomnessReward:
    """The reward with its interval; None with `reason` where it is undefined.

    `n` counts the damaged checkpoints, `n_clusters` what the interval rests on: clusters of items, or parents.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_clusters: int
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Levels:
    """Scores and competences of a parent (column 0) and its L damaged versions, on the same items.

    Each pair holds the score and the competence: the `figures` themselves, shape (L + 1,), their bootstrap replicates
    under common weights, `drawn`, shape (R, L + 1), and `left_out`, one cluster at a time, shape (C, L + 1).
    """

    figures: tuple[np.ndarray, np.ndarray]
    drawn: tuple[np.ndarray, np.ndarray]
    left_out: tuple[np.ndarray, np.ndarray]


def reward_from_levels(levels: Levels, ideal: float, clusters: Clusters, *, level: float = 0.95) -> RandomnessReward:
    """Reward of one measure over the damaged versions of one parent, by the rules of `interval`.

    Args:
        levels: scores and competences; see the module for what competence must be.
        ideal: of the score.
        clusters: what was resampled, `resting_on` the parts that score and competence have.

    None unless the parent's score differs from its ideal, and the loss of competence, summed over the levels, from 0.
    """
    n, fewest = len(levels.figures[0]) - 1, clusters.fewest
    if fewest < 2:
        return RandomnessReward(None, None, None, n, fewest, "one cluster: nothing shows how the scores vary")
    at, drawn, left_out = (_of_levels(*pair, ideal) for pair in (levels.figures, levels.drawn, levels.left_out))
    distance, lost, reward = (
        interval_of(float(at[k]), drawn[..., k], clusters, level=level, left_out=left_out[..., k]) for k in range(3)
    )
    reward = of_what_varies(reward, float(at[2]), clusters, level=level)
    if not distance.excludes(0.0):
        return RandomnessReward(None, None, None, n, fewest, "the parent's score does not differ from its ideal")
    if lost.low is None or not lost.low > 0:
        return RandomnessReward(None, None, None, n, fewest, NOTHING_LOST)
    if not reward.exists:
        return RandomnessReward(None, None, None, n, fewest, why_no_interval(clusters, "the reward"))
    return RandomnessReward(float(at[2]), reward.low, reward.high, n, fewest)


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
    toward, distance, losses = _moves(score[origin], score[rows], competence[origin], competence[rows], ideal)
    use = np.isfinite(toward) & np.isfinite(losses) & (distance > 0)
    toward, distance, losses, origin = toward[use], distance[use], losses[use], origin[use]
    if not len(toward):
        return RandomnessReward(None, None, None, 0, 0, "no row with a parent whose score differs from its ideal")
    clusters = clusters_of(origin)
    columns = [toward * losses, distance * losses**2, losses, losses**2, np.ones_like(losses)]
    sums = clusters.sums(np.stack(columns, axis=1))

    def evaluate(counts: np.ndarray) -> np.ndarray:
        top, bottom, lost, squares, n = (counts @ sums).T
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where((squares / n > MIN_LOSS**2) & (lost > 0), top / bottom, np.nan)[:, None]

    value = float(evaluate(np.ones((1, clusters.count)))[0, 0])
    if not np.isfinite(value):
        return RandomnessReward(None, None, None, len(toward), clusters.count, NOTHING_LOST)
    interval = NO_INTERVAL
    if clusters.count > 1:
        left_out = jackknife(clusters, evaluate)[:, 0] if needs_jackknife(clusters, "percentile") else None
        drawn = resample(clusters, evaluate, replicates, rng)[:, 0]
        interval = interval_of(value, drawn, clusters, level=level, left_out=left_out)
        interval = of_what_varies(interval, value, clusters, level=level)
    reason = "" if interval.exists else "one parent: no interval"
    if not interval.exists and clusters.count > 1:
        reason = "no interval: the parents' rewards are equal, or undefined without one of them"
    return RandomnessReward(value, interval.low, interval.high, len(toward), clusters.count, reason)


def _of_levels(score: np.ndarray, competence: np.ndarray, ideal: float) -> np.ndarray:
    """Distance of the parent from its ideal (signed), summed loss, and reward: (..., L + 1) each to (..., 3)."""
    toward, distance, losses = _moves(score[..., :1], score[..., 1:], competence[..., :1], competence[..., 1:], ideal)
    with np.errstate(invalid="ignore", divide="ignore"):
        reward = np.sum(toward * losses, axis=-1) / np.sum(distance * losses**2, axis=-1)
    return np.stack([score[..., 0] - ideal, np.sum(losses, axis=-1), reward], axis=-1)


def _moves(
    score_0: np.ndarray, score: np.ndarray, competence_0: np.ndarray, competence: np.ndarray, ideal: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moves toward the ideal, distances of the parent from it, and losses (NaN where the parent has no competence)."""
    known = np.where(competence_0 > 0, competence_0, np.nan)
    return (score_0 - score) * np.sign(score_0 - ideal), np.abs(score_0 - ideal), 1 - competence / known
