"""Partial pooling across axes: small axes borrow strength from the others, as far as the axes resemble each other.

Normal hierarchical model (Rubin 1981; Gelman et al., Bayesian Data Analysis, 3rd ed., sect. 5.4):

    estimate_a ~ N(true_a, se_a²),   true_a ~ N(mean, spread²)

with flat priors on mean and spread (>= 0). The posterior is computed on a grid over the spread, so unlike plain
empirical Bayes the intervals hold the uncertainty about how much to pool. A flat prior on the spread needs three axes
or more. The axes' errors must be independent: axes that share controls are not pooled (`estimate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

MIN_AXES = 3
GRID = 400


@dataclass(frozen=True)
class Pooled:
    """Posterior mean of one axis' true value with its central interval; `weight` is the share of its own estimate."""

    axis: str
    raw: float
    value: float
    low: float
    high: float
    weight: float


def error_of(low: float, high: float, level: float = 0.95) -> float:
    """The standard error that an interval stands for: its half-width over the normal quantile of its level.

    For skewed or t-based intervals (few clusters) this is larger than the estimate's own standard error, so that such
    an axis weighs less and borrows more.
    """
    return (high - low) / (2 * float(ndtri((1 + level) / 2)))


def partial_pooling(
    axes: Sequence[str], values: Sequence[float], errors: Sequence[float], *, level: float = 0.95
) -> list[Pooled] | None:
    """Shrunken estimates of `axes`, in their order; None for fewer than three, where nothing can be learnt of a spread.

    Args:
        values: raw estimates, finite; leave unmeasurable axes out.
        errors: their standard errors, > 0 (an interval's half-width over its normal quantile).
        level: of the intervals.
    """
    y, se = np.asarray(values, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if len(y) < MIN_AXES:
        return None
    if not np.all(np.isfinite(y)) or not np.all(se > 0):
        raise ValueError("partial_pooling: values must be finite and errors > 0; leave the other axes out.")
    spread, posterior = _posterior_of_spread(y, se)
    mean, variance = _mean_given(spread, y, se)
    own = spread[:, None] ** 2 / (spread[:, None] ** 2 + se**2)
    centre = own * y + (1 - own) * mean[:, None]
    width = np.sqrt(own * se**2 + (1 - own) ** 2 * variance[:, None])
    found = []
    for a, axis in enumerate(axes):
        low, high = (_quantile((1 + sign * level) / 2, posterior, centre[:, a], width[:, a]) for sign in (-1, 1))
        value, weight = float(posterior @ centre[:, a]), float(posterior @ own[:, a])
        found.append(Pooled(axis, float(y[a]), value, low, high, weight))
    return found


def _posterior_of_spread(y: np.ndarray, se: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grid of spreads, dense near 0 and reaching far beyond the data's, with its normalised posterior."""
    top = 10 * (np.ptp(y) + se.max())
    spread = top * np.linspace(0, 1, GRID) ** 3
    mean, variance = _mean_given(spread, y, se)
    total = spread[:, None] ** 2 + se**2
    log_density = 0.5 * np.log(variance) - 0.5 * np.sum(np.log(total) + (y - mean[:, None]) ** 2 / total, axis=1)
    mass = np.exp(log_density - log_density.max()) * np.gradient(spread)
    return spread, mass / mass.sum()


def _mean_given(spread: np.ndarray, y: np.ndarray, se: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and variance of the common mean for each spread."""
    precision = 1 / (spread[:, None] ** 2 + se**2)
    variance = 1 / precision.sum(axis=1)
    return variance * (precision @ y), variance


def _quantile(probability: float, mass: np.ndarray, centre: np.ndarray, width: np.ndarray) -> float:
    """Quantile of a mixture of normals."""
    reach = 1.5 * abs(float(ndtri(probability))) + 1
    low, high = float(np.min(centre - reach * width)), float(np.max(centre + reach * width))

    def excess(x: float) -> float:
        return float(mass @ ndtr((x - centre) / width)) - probability

    return float(brentq(excess, low, high, xtol=1e-9))
