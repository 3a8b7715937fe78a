"""Intervals and p-values from bootstrap replicates, with rules for few clusters and for undefined replicates.

Rules, in order:

1. One cluster: no interval (null), since nothing shows how clusters vary.
2. Fewer than `FEW_CLUSTERS` clusters: value ± t · jackknife standard error, t with C-1 degrees of freedom. A bootstrap
   of so few clusters has too few distinct replicates for its tails.
3. Otherwise percentiles of the replicates. Plain percentiles are too narrow by a factor of about sqrt((C-1)/C) and
   ignore that the spread itself is estimated; so the tail probability is moved from .025 to
   Phi(-sqrt(C/(C-1)) · t), t the .975 quantile with C-1 degrees of freedom (Hesterberg 2015, "What teachers should know
   about the bootstrap", sect. 5.3: "expanded percentile"). From a few hundred clusters on it is the plain percentile
   interval. Or BCa (Efron 1987) with the same tails, and acceleration from the jackknife over clusters.

Where more than 5 % of the replicates are undefined there is no interval. And where all clusters agree there is none of
width 0 either (`of_what_varies`): that they agree says how they vary no better than one of them would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from fairsqueeze.stats.bootstrap import Clusters

FEW_CLUSTERS = 10
"""From this number of clusters on, intervals come from the bootstrap; below it, from the jackknife and Student's t."""

MAX_UNDEFINED = 0.05
"""Largest share of undefined replicates that still gives an interval."""

Method = Literal["percentile", "bca"]


@dataclass(frozen=True)
class Interval:
    """Lower and upper bound (None: no interval) and how: percentile, bca, jackknife_t, clopper_pearson or none."""

    low: float | None
    high: float | None
    method: str

    @property
    def exists(self) -> bool:
        return self.low is not None and self.high is not None

    def excludes(self, number: float) -> bool:
        """True if `number` lies outside; a bound that touches it does not exclude it. False without an interval."""
        return self.low is not None and self.high is not None and (self.low > number or self.high < number)

    def clipped(self, low: float, high: float) -> Interval:
        """This interval within [low, high], the possible values of the statistic."""
        if self.low is None or self.high is None:
            return self
        return Interval(min(max(self.low, low), high), max(min(self.high, high), low), self.method)


NO_INTERVAL = Interval(None, None, "none")


def needs_jackknife(clusters: Clusters, method: Method) -> bool:
    """Whether `interval_of` needs leave-one-cluster-out values under these rules."""
    return clusters.fewest > 1 and (clusters.fewest < FEW_CLUSTERS or method == "bca")


def interval_of(
    value: float,
    replicates: np.ndarray,
    clusters: Clusters,
    *,
    level: float = 0.95,
    left_out: np.ndarray | None = None,
    method: Method = "percentile",
) -> Interval:
    """Interval of one statistic by the rules of this module.

    Args:
        value: the statistic on all rows; NaN gives no interval.
        replicates: bootstrap replicates, shape (R,), NaN where undefined; may be infinite, and so may the bounds.
        clusters: what was resampled.
        level: probability that the interval covers the true value, in (0, 1).
        left_out: the statistic with one cluster left out, shape (C,); needed where `needs_jackknife` says so.
        method: percentile or bca; with few clusters both give way to the jackknife.
    """
    fewest = clusters.fewest
    if not math.isfinite(value) or fewest < 2:
        return NO_INTERVAL
    if fewest < FEW_CLUSTERS:
        if left_out is None:
            raise ValueError(f"interval_of: {fewest} clusters need the leave-one-out values.")
        half = -float(stdtrit(fewest - 1, (1 - level) / 2)) * jackknife_se(left_out, clusters)
        return Interval(value - half, value + half, "jackknife_t") if math.isfinite(half) else NO_INTERVAL
    defined = np.sort(replicates[~np.isnan(replicates)])
    if len(defined) < (1 - MAX_UNDEFINED) * len(replicates):
        return NO_INTERVAL
    if method == "bca":
        if left_out is None:
            raise ValueError("interval_of: bca needs the leave-one-out values.")
        return _bca(value, defined, left_out, expanded_tail((1 - level) / 2, fewest))
    tail = expanded_tail((1 - level) / 2, fewest)
    return Interval(_quantile(defined, tail), _quantile(defined, 1 - tail), "percentile")


def expanded_tail(tail: float, clusters: int) -> float:
    """Tail probability at which to read the replicates of `clusters` clusters (Hesterberg 2015)."""
    return float(ndtr(math.sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, tail)))


def p_value(
    value: float, replicates: np.ndarray, clusters: Clusters, *, left_out: np.ndarray | None = None, null: float = 0.0
) -> float | None:
    """Two-sided p-value of the statistic being `null`; agrees with `interval_of` (percentile, jackknife_t).

    The share of replicates beyond `null`, ties half and one added on both sides so that it is never 0, is read as
    normal, and taken back through the expansion to Student's t. None where there is no interval, and where few clusters
    agree to the last digit on something else: their spread of 0 would make any difference certain.
    """
    fewest = clusters.fewest
    if not math.isfinite(value) or fewest < 2:
        return None
    if fewest < FEW_CLUSTERS:
        if left_out is None:
            raise ValueError(f"p_value: {fewest} clusters need the leave-one-out values.")
        se = jackknife_se(left_out, clusters)
        if has_no_spread(se, value):
            return 1.0 if has_no_spread(abs(value - null), value) else None
        return float(2 * stdtr(fewest - 1, -abs(value - null) / se)) if math.isfinite(se) else None
    defined = replicates[~np.isnan(replicates)]
    if len(defined) < (1 - MAX_UNDEFINED) * len(replicates):
        return None
    below = np.sum(defined < null) + 0.5 * np.sum(defined == null)
    tail = (min(below, len(defined) - below) + 0.5) / (len(defined) + 1)
    if tail >= 0.5:
        return 1.0
    return float(2 * stdtr(fewest - 1, ndtri(tail) * math.sqrt((fewest - 1) / fewest)))


def has_no_spread(spread: float, value: float) -> bool:
    """Whether a spread is 0 but for rounding, which tells nothing of how the figure varies."""
    return spread <= max(1e-10 * abs(value), 1e-15)


def of_what_varies(
    interval: Interval,
    value: float,
    clusters: Clusters,
    *,
    level: float = 0.95,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """`interval` within `limits`, the possible values of the statistic; none where it is a point, but for shares.

    A share (limits finite) of 0 or 1 in every cluster gets the exact interval of Clopper and Pearson 1934 for so many
    clusters, all alike: with k of them the other end lies `1 - ((1 - level) / 2) ** (1 / k)` of the range away.
    """
    if interval.low is None or interval.high is None or not has_no_spread(interval.high - interval.low, value):
        return interval.clipped(*limits)
    reach = (limits[1] - limits[0]) * (1 - ((1 - level) / 2) ** (1 / clusters.fewest))
    if not math.isfinite(reach) or not any(math.isclose(value, end, abs_tol=1e-12) for end in limits):
        return NO_INTERVAL
    low = math.isclose(value, limits[0], abs_tol=1e-12)
    return Interval(limits[0] if low else value - reach, value + reach if low else limits[1], "clopper_pearson")


def jackknife_se(left_out: np.ndarray, clusters: Clusters) -> float:
    """Jackknife standard error over clusters; strata add up their own. NaN if any value is not finite."""
    if not np.all(np.isfinite(left_out)):
        return math.nan
    variance = 0.0
    for stratum in np.unique(clusters.stratum):
        members = left_out[clusters.stratum == stratum]
        variance += (len(members) - 1) / len(members) * float(np.sum((members - members.mean()) ** 2))
    return math.sqrt(variance)


def why_no_interval(clusters: Clusters, subject: str = "it") -> str:
    """What to say of a figure that is defined and has no interval."""
    if clusters.fewest < 2:
        one = "one cluster" if clusters.count == 1 else f"only one of {clusters.count} clusters counts"
        return f"{one}: nothing shows how {subject} varies"
    return f"{subject} is the same, or undefined, whichever clusters are drawn: nothing shows how it varies"


def _quantile(ordered: np.ndarray, probability: float) -> float:
    """Order statistic nearest outside: no interpolation, so an infinite replicate spoils only its own tail."""
    rank = probability * (len(ordered) + 1)
    index = math.floor(rank) if probability < 0.5 else math.ceil(rank)
    return float(ordered[min(max(index, 1), len(ordered)) - 1])


def _bca(value: float, ordered: np.ndarray, left_out: np.ndarray, outside: float) -> Interval:
    """Bias-corrected and accelerated interval (Efron 1987, eq. 2.3 and 6.6), `outside` in each tail."""
    below = np.mean(ordered < value) + 0.5 * np.mean(ordered == value)
    spread = left_out.mean() - left_out
    cubes, squares = np.sum(spread**3), np.sum(spread**2)
    if not 0 < below < 1 or not math.isfinite(squares) or squares == 0:
        return NO_INTERVAL
    acceleration = cubes / (6 * squares**1.5)
    bias = float(ndtri(below))
    bounds = []
    for tail in (outside, 1 - outside):
        shifted = bias + float(ndtri(tail))
        bounds.append(float(ndtr(bias + shifted / (1 - acceleration * shifted))))
    return Interval(_quantile(ordered, bounds[0]), _quantile(ordered, bounds[1]), "bca")
