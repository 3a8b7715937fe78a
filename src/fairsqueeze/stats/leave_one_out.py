"""Influential points: what one row does to a correlation and to a straight line."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from fairsqueeze.stats.influence import Ranked, spearman_influence
from fairsqueeze.stats.ranks import spearman_matrices

EXACT_ROWS = 300
"""Up to this many rows the correlation is computed again without each; beyond, it comes from influences."""


def spearman_without_each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's correlation with each row left out, shape (n,); NaN where then undefined. No value may be NaN."""
    n = len(x)
    if n < 3:
        return np.full(n, np.nan)
    if n <= EXACT_ROWS:
        return spearman_matrices(np.stack([x, y], axis=1), 1.0 - np.eye(n))[:, 0, 1]
    value, influence = spearman_influence(Ranked.of(x), Ranked.of(y))
    return np.clip(value - influence / (n - 1), -1, 1)


def cooks_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cook's distance of each row in the regression of y on x with an intercept, shape (n,).

    How far leaving the row out moves the line, in units of its confidence region (Cook 1977, eq. 5). NaN where x does
    not vary, for fewer than four rows, and where the line fits exactly.
    """
    n = len(x)
    centred = x - x.mean()
    squares = float(np.sum(centred**2))
    if n < 4 or squares <= 1e-24 * float(np.sum(x**2)):
        return np.full(n, np.nan)
    residual = y - y.mean() - centred * float(centred @ y) / squares
    variance = float(np.sum(residual**2)) / (n - 2)
    leverage = 1 / n + centred**2 / squares
    if variance <= 1e-24 * float(np.mean(y**2)):
        return np.full(n, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return residual**2 / (2 * variance) * leverage / (1 - leverage) ** 2


def cooks_threshold(n: int) -> float:
    """Median of F(2, n - 2), from which Cook's distance counts as large (Cook & Weisberg 1982, p. 118)."""
    ratio = float(betaincinv(1.0, (n - 2) / 2, 0.5))
    return ratio / (1 - ratio) * (n - 2) / 2
