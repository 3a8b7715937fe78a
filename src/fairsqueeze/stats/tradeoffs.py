"""Trade-offs: which checkpoints no other beats in everything, and how surely they are among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import ndtri

Better = Literal["lower", "higher"]


def pareto_front(objectives: np.ndarray, better: Sequence[Better]) -> np.ndarray:
    """Which of n points lie on the Pareto front, boolean, shape (n,).

    A point is on it if no other is at least as good in every objective and better in one. Equal points don't beat each
    other. A point with an undefined (NaN) objective is neither on the front nor beats anything: unmeasurable is not
    good.

    Args:
        objectives: shape (n, k).
        better: direction of each of the k objectives.
    """
    costs = _costs(objectives, better)
    front = np.zeros(len(costs), dtype=bool)
    known = np.flatnonzero(~np.isnan(costs).any(axis=1))
    if not len(known):
        return front
    ranks = np.stack([np.unique(c, return_inverse=True)[1].ravel() for c in costs[known].T])
    alive = known[np.argsort(ranks.sum(axis=0), kind="stable")]
    while len(alive):
        best = costs[alive[0]]  # what beats a point has a smaller sum of ranks, so nothing alive beats this one
        equal = np.all(costs[alive] == best, axis=1)
        front[alive[equal]] = True
        alive = alive[~np.all(costs[alive] >= best, axis=1)]
    return front


def contenders(best: np.ndarray, worst: np.ndarray, better: Sequence[Better]) -> np.ndarray:
    """Which points could be on the front at all, boolean, shape (n,).

    A point whose best case is beaten in every objective, strictly in one, by the worst case of another is out; so is
    nothing that it alone would beat. Points with an undefined objective are out too.

    Args:
        best, worst: most and least favourable value of each objective, shape (n, k).
    """
    hopes, fears = _costs(best, better), _costs(worst, better)
    open_ = ~np.isnan(hopes).any(axis=1) & ~np.isnan(fears).any(axis=1)
    for point in fears[pareto_front(worst, better)]:
        alive = np.flatnonzero(open_)
        beaten = np.all(point <= hopes[alive], axis=1) & np.any(point < hopes[alive], axis=1)
        open_[alive[beaten]] = False
    return open_


def front_probability(replicates: np.ndarray, better: Sequence[Better]) -> np.ndarray:
    """Share of replicates in which each point is on the front, shape (R, n, k) to (n,)."""
    return np.mean([pareto_front(r, better) for r in replicates], axis=0)


def replicates_from_intervals(
    values: np.ndarray,
    lows: np.ndarray,
    highs: np.ndarray,
    *,
    rng: np.random.Generator,
    replicates: int = 1000,
    level: float = 0.95,
) -> np.ndarray:
    """Normal draws around `values` with the spread of their intervals, shape (n, k) each to (replicates, n, k).

    An objective without an interval (NaN bounds: a size in bytes) is taken as exact. Draws are independent, so what the
    points share (the same items) is not taken off: use paired bootstrap replicates where there are any.
    """
    sd = np.nan_to_num((np.asarray(highs) - np.asarray(lows)) / (2 * float(ndtri((1 + level) / 2))))
    return values + sd * rng.standard_normal((replicates, *np.shape(values)))


def _costs(objectives: np.ndarray, better: Sequence[Better]) -> np.ndarray:
    objectives = np.asarray(objectives, dtype=np.float64)
    if objectives.ndim != 2 or objectives.shape[1] != len(better):
        raise ValueError(f"objectives have shape {objectives.shape}, but {len(better)} directions were given.")
    return objectives * np.array([1.0 if b == "lower" else -1.0 for b in better])
