"""Weighted ranks and rank correlations of many columns at once, as functions of bootstrap counts."""

from __future__ import annotations

import numpy as np

CELLS = 4_000_000


def weighted_midranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Midrank of each value when row i stands there weights[:, i] times, shape (n,), (r, n) to (r, n); ties share.

    Equals `scipy.stats.rankdata` of the repeated rows; sorts once, not once a replicate.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    mass = np.add.reduceat(weights[:, order], np.flatnonzero(first), axis=1)
    middle = np.cumsum(mass, axis=1) - mass / 2 + 0.5
    ranks = np.empty_like(weights)
    ranks[:, order] = middle[:, np.cumsum(first) - 1]
    return ranks


def spearman_matrices(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's correlation of every pair of columns in every replicate: (n, k), (r, n) to (r, k, k).

    NaN where a column does not vary. No value may be NaN.
    """
    n, k = columns.shape
    step = max(1, CELLS // max(1, n * k))
    parts = []
    for start in range(0, len(weights), step):
        w = weights[start : start + step]
        ranks = np.stack([weighted_midranks(columns[:, j], w) for j in range(k)], axis=1)
        ranks -= (ranks @ w[:, :, None]) / w.sum(axis=1)[:, None, None]
        covariance = (ranks * w[:, None, :]) @ ranks.transpose(0, 2, 1)
        variance = np.einsum("rjj->rj", covariance)
        variance = np.where(variance > 1e-9, variance, np.nan)
        scale = np.sqrt(variance)
        parts.append(np.clip(covariance / (scale[:, :, None] * scale[:, None, :]), -1, 1))
    return np.concatenate(parts)


def kendall_taus(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Kendall's tau-b in every replicate as a ratio of quadratic forms: (n,), (n,), (r, n) to (r,). Memory n²."""
    dx, dy = (np.sign(v[:, None] - v[None, :]) for v in (x, y))
    both, only_x, only_y = (np.einsum("ri,ri->r", weights @ m, weights) for m in (dx * dy, np.abs(dx), np.abs(dy)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / np.sqrt(only_x * only_y)


def kendall_influence(x: np.ndarray, y: np.ndarray, against: np.ndarray) -> tuple[float, np.ndarray]:
    """tau-b against the rows `against`, and each row's influence on it (mean 0), for large n; shape (n,).

    Linearisation of tau-b = concordance / sqrt(untied share of x · of y), each a mean of row means.
    """
    rows = np.zeros((3, len(x)))
    for start in range(0, len(against), 64):
        part = against[start : start + 64]
        dx, dy = (np.sign(v[:, None] - v[part][None, :]) for v in (x, y))
        rows += np.stack([(dx * dy).sum(axis=1), np.abs(dx).sum(axis=1), np.abs(dy).sum(axis=1)])
    rows /= len(against)
    s, a, b = rows.mean(axis=1)
    if a * b <= 0:
        return float("nan"), np.full(len(x), np.nan)
    tau = s / np.sqrt(a * b)
    influence = 2 * ((rows[0] - s) / np.sqrt(a * b) - tau / 2 * ((rows[1] - a) / a + (rows[2] - b) / b))
    return float(tau), influence
