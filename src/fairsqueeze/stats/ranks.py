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


def pearson_matrices(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of every pair of columns in every replicate: (n, k), (r, n) to (r, k, k).

    NaN where a column does not vary. No value may be NaN.
    """
    centred = columns - columns.mean(axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    tiny = 1e-12 * np.abs(columns).max(axis=0, initial=0.0)
    scaled = centred / np.where(spread > tiny, spread, np.nan)
    total = weights.sum(axis=1)
    means = weights @ scaled / total[:, None]
    k = columns.shape[1]
    products = np.stack([scaled[:, i] * scaled[:, j] for i in range(k) for j in range(k)], axis=1)
    covariance = (weights @ products / total[:, None]).reshape(-1, k, k) - means[:, :, None] * means[:, None, :]
    variance = np.einsum("rjj->rj", covariance)
    scale = np.sqrt(np.where(variance > 1e-12, variance, np.nan))
    return np.clip(covariance / (scale[:, :, None] * scale[:, None, :]), -1, 1)


def kendall_taus(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Kendall's tau-b in every replicate as a ratio of quadratic forms: (n,), (n,), (r, n) to (r,). Memory n²."""
    dx, dy = (np.sign(v[:, None] - v[None, :]) for v in (x, y))
    both, only_x, only_y = (np.einsum("ri,ri->r", weights @ m, weights) for m in (dx * dy, np.abs(dx), np.abs(dy)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / np.sqrt(only_x * only_y)
