"""The test of shown competence: a lower bound of mean(control), the same for every seed and number of replicates.

A one-sided test far out in the tail needs more bootstrap replicates than there are: at 10 clusters and 99 % the
expanded tail is the .6th of 2,000 replicates. So the bound is a t bound over the k clusters that hold a control,

    mean(control) - t(k-1) · standard error,

and, from `FEW_CLUSTERS` on and where they are skewed to the left, the lower one that Hall's transformation of t gives
(Hall 1992, "On the removal of skewness by transformation", eq. 2.2): a mean that a few very low clusters should have
pulled down, and by luck did not, would pass the plain t-test too often. At most `MOST` times t, since the skewness of
ten clusters is little known. Random models pass in (percent; normal, t(3), exponential to the left): 10 clusters .4,
.3, 2.5; 30 clusters .5, .4, 1.5; 100 clusters .5, .4, .5 (percentile bootstrap: .6, .8, 3.8; .6, .4, 2.7; .6, .8, 1.3).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from fairsqueeze.stats.interval import FEW_CLUSTERS, has_no_spread

MOST = 1.5
"""Largest factor by which skewness may widen the t bound."""


def lower_bound(control: np.ndarray, weight: np.ndarray, *, level: float, signs: bool = False) -> float | None:
    """Lower end of the two-sided interval of sum(control) / sum(weight) over clusters; None where there is none.

    Args:
        control: sum of the controls in each cluster, shape (C,).
        weight: sum of their weights, shape (C,), 0 in a cluster without one.
        level: of the two-sided interval, in (0, 1).
        signs: the controls are signs. Where all are +1 the bound is Clopper and Pearson's for k of k clusters, read as
            2·share - 1, since the spread that they show is 0.

    None for fewer than two clusters with a control, and where they do not vary.
    """
    tail = (1 - level) / 2
    control, weight = control[weight > 0], weight[weight > 0]
    k, total = len(weight), float(weight.sum())
    if k < 2:
        return None
    mean = float(control.sum()) / total
    influence = (control - mean * weight) / total
    error = math.sqrt(k / (k - 1) * float(np.sum(influence**2)))
    if has_no_spread(error, mean):
        return 2 * tail ** (1 / k) - 1 if signs and math.isclose(mean, 1.0) else None
    t = -float(stdtrit(k - 1, tail))
    skew = float(np.sum(influence**3)) / error**3
    if k >= FEW_CLUSTERS:
        t = min(max(t, _hall(t, skew)), MOST * t)
    return mean - error * t


def _hall(t: float, skew: float) -> float:
    """What Hall's cubic takes to `t`: the t of a mean whose third cumulant, in standard errors, is `skew`."""
    if abs(skew) < 1e-9:
        return t
    return 3 / skew * (float(np.cbrt(1 + skew * (t - skew / 6))) - 1)
