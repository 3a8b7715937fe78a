"""Reliability: would the measure say the same with other items of its own kind?

Split-half correlation stepped up by Spearman–Brown (Brown 1910; Spearman 1910): halves of k items correlate by r, so
the whole of 2k items has reliability 2r / (1 + r). Clusters are never split, since a cluster in both halves would
make them agree by dependence alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.stats.bootstrap import clusters_of, resample
from fairsqueeze.stats.interval import interval_of


@dataclass(frozen=True)
class Reliability:
    """Reliability with its interval over units; None where undefined (no spread between units, fewer than 3)."""

    value: float | None
    low: float | None
    high: float | None
    n_units: int
    n_items: int


def spearman_brown(correlation: np.ndarray | float, factor: float = 2.0) -> np.ndarray:
    """Reliability of a test `factor` times as long as the one whose parallel forms correlate by `correlation`."""
    r = np.asarray(correlation, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(1 + (factor - 1) * r > 0, factor * r / (1 + (factor - 1) * r), np.nan)


def split_half(
    scores: np.ndarray,
    clusters: np.ndarray,
    *,
    rng: np.random.Generator,
    splits: int = 100,
    replicates: int = 1000,
) -> Reliability:
    """Split-half reliability of unit means over the same items (units: checkpoints, items: stimuli).

    Args:
        scores: one row per unit, shape (units, items); NaN where undefined.
        clusters: names of the items' clusters, shape (items,).
        splits: random halvings of the clusters; the stepped-up correlations are averaged (median).
        replicates: bootstrap replicates over units for the interval (fewer than 10 units: jackknife; see `interval`).
    """
    scores = np.asarray(scores, dtype=np.float64)
    codes = clusters_of(np.asarray(clusters)).codes
    pairs = [_halves(scores, side) for side in _sides(codes, splits, rng)]
    return _reliability(np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs]), scores.shape, rng, replicates)


def split_half_within(
    values: np.ndarray,
    units: np.ndarray,
    clusters: np.ndarray,
    *,
    rng: np.random.Generator,
    splits: int = 100,
    replicates: int = 1000,
) -> Reliability:
    """Split-half reliability of unit means where each unit (target term, group, template) has its own items.

    Args:
        values: one score per row, shape (n,); NaN where undefined.
        units, clusters: names, shape (n,). Units with fewer than two clusters are left out.
    """
    values = np.asarray(values, dtype=np.float64)
    keep = ~np.isnan(values)
    names, unit = np.unique(np.asarray(units)[keep].astype(str), return_inverse=True)
    labels, values = np.asarray(clusters)[keep].astype(str), values[keep]
    one, two = np.full((splits, len(names)), np.nan), np.full((splits, len(names)), np.nan)
    for u in range(len(names)):
        mine = unit == u
        codes = np.unique(labels[mine], return_inverse=True)[1].ravel()
        if codes.max(initial=0) < 1:
            continue
        for s, side in enumerate(_sides(codes, splits, rng)):
            one[s, u], two[s, u] = values[mine][side].mean(), values[mine][~side].mean()
    usable = ~np.isnan(one[0]) if splits else np.zeros(len(names), dtype=bool)
    shape = (int(usable.sum()), len(values))
    return _reliability(one[:, usable], two[:, usable], shape, rng, replicates)


def cronbach_alpha(scores: np.ndarray) -> float | None:
    """Cronbach's alpha of parallel forms (paraphrased templates, seeds, tokenisations), shape (units, forms).

    k/(k-1) · (1 - sum of the forms' variances / variance of their sum). Units with an undefined form are left out;
    None with fewer than two units or forms, or where the sum does not vary.
    """
    scores = np.asarray(scores, dtype=np.float64)
    scores = scores[~np.isnan(scores).any(axis=1)]
    n, k = scores.shape
    if n < 2 or k < 2:
        return None
    total = scores.sum(axis=1).var(ddof=1)
    return float(k / (k - 1) * (1 - scores.var(axis=0, ddof=1).sum() / total)) if total > 0 else None


def _sides(codes: np.ndarray, splits: int, rng: np.random.Generator) -> list[np.ndarray]:
    """For each split, which items fall into the first half: half of the clusters, drawn at random."""
    count = int(codes.max(initial=-1)) + 1
    return [(rng.permutation(count) < (count + s % 2) // 2)[codes] for s in range(splits)]


def _halves(scores: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _row_means(scores[:, side]), _row_means(scores[:, ~side])


def _row_means(scores: np.ndarray) -> np.ndarray:
    defined = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        return np.where(defined, scores, 0.0).sum(axis=1) / defined.sum(axis=1)


def _reliability(
    one: np.ndarray, two: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator, replicates: int
) -> Reliability:
    """Median stepped-up correlation over splits, halves of shape (splits, units), with an interval over units."""
    usable = ~(np.isnan(one).any(axis=0) | np.isnan(two).any(axis=0))
    one, two = one[:, usable], two[:, usable]
    n = one.shape[1]
    if n < 3:
        return Reliability(None, None, None, n, shape[1])
    units = clusters_of(np.arange(n))

    def evaluate(counts: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.median(spearman_brown(_correlations(one, two, counts)), axis=1)[:, None]

    value = float(evaluate(np.ones((1, n)))[0, 0])
    drawn = resample(units, evaluate, replicates, rng)[:, 0]
    left_out = np.array([evaluate(np.where(np.arange(n) == i, 0.0, 1.0)[None])[0, 0] for i in range(n)])
    found = interval_of(value, drawn, units, left_out=left_out).clipped(-1.0, 1.0)
    return Reliability(value if np.isfinite(value) else None, found.low, found.high, n, shape[1])


def _correlations(one: np.ndarray, two: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weighted Pearson correlation of each split in each replicate, shape (r, splits)."""
    total = counts.sum(axis=1, keepdims=True)
    mean_one, mean_two = counts @ one.T / total, counts @ two.T / total
    covariance = counts @ (one * two).T / total - mean_one * mean_two
    variances = (counts @ (one**2).T / total - mean_one**2) * (counts @ (two**2).T / total - mean_two**2)
    scale = one.var(axis=1) * two.var(axis=1)
    variances = np.where(variances > 1e-12 * scale, variances, np.nan)
    return covariance / np.sqrt(variances)
