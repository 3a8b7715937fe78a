"""What each row contributes to a coefficient: influence functions, for tables too large to bootstrap pair by pair.

A coefficient of n rows is, to first order, its value plus the mean of the rows' influences (mean 0); so a cluster
bootstrap of it has the standard error of the mean of cluster sums of influence (Efron & Tibshirani 1993, "An
introduction to the bootstrap", sect. 21). Cost: O(n log n) for a pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.stats.dominance import concordance_sums


@dataclass(frozen=True, eq=False)
class Ranked:
    """Midranks of a column as shares of its rows (mean 1/2), shape (n,), and what sums over larger rows need."""

    shares: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Ranked:
        codes = np.unique(values, return_inverse=True)[1].ravel()
        count = np.bincount(codes)
        return cls(((np.cumsum(count) - count / 2) / len(values))[codes], codes)

    def mean_above(self, values: np.ndarray) -> np.ndarray:
        """For each row the mean over all rows j of [j is larger] · values_j, equal ones half, shape (n,)."""
        sums = np.bincount(self.codes, weights=values)
        return ((sums.sum() - np.cumsum(sums) + sums / 2) / len(values))[self.codes]


def spearman_influence(x: Ranked, y: Ranked) -> tuple[float, np.ndarray]:
    """Spearman's correlation (Pearson's of midranks) and each row's influence on it; NaN if a column doesn't vary.

    A row counts twice over: by its own ranks, and by moving the ranks of all others.
    """
    moments = [_product_moment(a, b) for a, b in ((x, y), (x, x), (y, y))]
    return _normalised(*moments)


def pearson_influence(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Pearson's correlation and each row's influence on it; NaN if a column doesn't vary."""
    a, b = x - x.mean(), y - y.mean()
    moments = [(float(np.mean(p)), p - np.mean(p)) for p in (a * b, a * a, b * b)]
    return _normalised(*moments)


def partial_influence(
    xy: tuple[float, np.ndarray], xz: tuple[float, np.ndarray], yz: tuple[float, np.ndarray]
) -> tuple[float, np.ndarray]:
    """The correlation of x and y given z, from the three with their influences (delta method)."""
    (r, i), (rx, ix), (ry, iy) = xy, xz, yz
    left = (1 - rx**2) * (1 - ry**2)
    if not left > 1e-9:
        return float("nan"), np.full_like(i, np.nan)
    value = (r - rx * ry) / np.sqrt(left)
    slope_x = (-ry + value * rx * np.sqrt((1 - ry**2) / (1 - rx**2))) / np.sqrt(left)
    slope_y = (-rx + value * ry * np.sqrt((1 - rx**2) / (1 - ry**2))) / np.sqrt(left)
    return float(value), i / np.sqrt(left) + slope_x * ix + slope_y * iy


def kendall_influences(x: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kendall's tau-b of x with each of k columns, shape (k,), and each row's influence, shape (k, n); exact.

    tau-b = concordance / sqrt(untied share of x · of y), each the mean of row means. NaN where a column doesn't vary.
    """
    n = len(x)
    s_rows = concordance_sums(x, ys) / n
    a_rows, b_rows = _untied(x)[None], np.stack([_untied(y) for y in ys])
    s, a, b = (c.mean(axis=1, keepdims=True) for c in (s_rows, a_rows, b_rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = s / np.sqrt(a * b)
        influence = 2 * ((s_rows - s) / np.sqrt(a * b) - tau / 2 * ((a_rows - a) / a + (b_rows - b) / b))
    return tau[:, 0], influence


def kappa_influence(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
    """Cohen's kappa of two 0/1 columns and each row's influence on it; NaN where chance alone would agree fully."""
    same = (a == b).astype(float)
    p, q, observed = a.mean(), b.mean(), same.mean()
    expected = p * q + (1 - p) * (1 - q)
    if not expected < 1:
        return float("nan"), np.full(len(a), np.nan)
    kappa = (observed - expected) / (1 - expected)
    of_expected = (2 * q - 1) * (a - p) + (2 * p - 1) * (b - q)
    return float(kappa), ((same - observed) - (1 - kappa) * of_expected) / (1 - expected)


def _product_moment(x: Ranked, y: Ranked) -> tuple[float, np.ndarray]:
    """Covariance of two columns of rank shares, and each row's influence on it."""
    product = x.shares * y.shares
    mean = float(product.mean())
    influence = product + x.mean_above(y.shares) + y.mean_above(x.shares) - 3 * mean
    return mean - 0.25, influence


def _normalised(
    xy: tuple[float, np.ndarray], xx: tuple[float, np.ndarray], yy: tuple[float, np.ndarray]
) -> tuple[float, np.ndarray]:
    if not (xx[0] > 1e-300 and yy[0] > 1e-300):
        return float("nan"), np.full_like(xy[1], np.nan)
    scale = np.sqrt(xx[0] * yy[0])
    r = float(np.clip(xy[0] / scale, -1, 1))
    return r, xy[1] / scale - r / 2 * (xx[1] / xx[0] + yy[1] / yy[0])


def _untied(values: np.ndarray) -> np.ndarray:
    """Share of all rows whose value differs from each row's, shape (n,)."""
    _, codes, count = np.unique(values, return_inverse=True, return_counts=True)
    return 1 - count[codes.ravel()] / len(values)
