"""Multitrait–multimethod matrix: do different measures of one axis agree more than measures of different axes?

Campbell & Fiske 1959: *convergent validity*, correlations of the same trait (axis) by different methods (measures),
should be above 0, and above those of different traits by different methods (*discriminant validity*) and by the same
method (else scores follow the method, not the trait).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.special import stdtr, stdtrit

from fairsqueeze.stats.bootstrap import clusters_of
from fairsqueeze.stats.influence import Ranked, spearman_influence
from fairsqueeze.stats.interval import FEW_CLUSTERS
from fairsqueeze.stats.multiplicity import adjusted

MIN_ROWS = 8


@dataclass(frozen=True)
class ValidityFigure:
    """A mean of Spearman correlations, or the difference of two such means; None where undefined."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    n_pairs: int
    n: int
    n_clusters: int


@dataclass(frozen=True)
class Multitrait:
    """Spearman correlations of every pair of columns, shape (k, k), and the figures of Campbell & Fiske.

    Figures: convergent, different_trait_different_method, different_trait_same_method, discriminant (convergent minus
    different_trait_different_method) and beyond_method (convergent minus different_trait_same_method).
    """

    traits: tuple[str, ...]
    methods: tuple[str, ...]
    matrix: np.ndarray
    figures: tuple[ValidityFigure, ...]
    n: int


def multitrait(
    columns: Sequence[np.ndarray], traits: Sequence[str], methods: Sequence[str], clusters: np.ndarray
) -> Multitrait | None:
    """The matrix of `columns`, each the `trait` by the `method` at its place; None with fewer than 8 complete rows.

    Args:
        columns: one value per checkpoint, shape (n,) each; rows with any NaN are left out.
        clusters: names of the rows' clusters, shape (n,).

    Intervals are t intervals from cluster sums of influences on each mean; p-values are Holm-corrected over the
    figures. Columns that don't vary have no correlation and count in no mean.
    """
    data = np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)
    use = ~np.isnan(data).any(axis=1)
    data, codes = data[use], clusters_of(np.asarray(clusters)[use]).codes
    n, k = data.shape
    if n < MIN_ROWS:
        return None
    ranked = [Ranked.of(c) for c in data.T]
    matrix = np.eye(k)
    kinds: dict[str, list[tuple[float, np.ndarray]]] = {name: [] for name in _KINDS.values()}
    for i, j in combinations(range(k), 2):
        found = spearman_influence(ranked[i], ranked[j])
        matrix[i, j] = matrix[j, i] = found[0]
        kind = _KINDS.get((traits[i] == traits[j], methods[i] == methods[j]))
        if kind and math.isfinite(found[0]):
            kinds[kind].append(found)
    means = {kind: _mean(members, n) for kind, members in kinds.items()}
    figures = [_figure(kind, *means[kind], len(kinds[kind]), codes) for kind in kinds]
    for name, against in (
        ("discriminant", "different_trait_different_method"),
        ("beyond_method", "different_trait_same_method"),
    ):
        (a, of_a), (b, of_b) = means["convergent"], means[against]
        figures.append(_figure(name, a - b, of_a - of_b, len(kinds["convergent"]) + len(kinds[against]), codes))
    corrected = adjusted([f.p for f in figures], "holm")
    figures = [replace(f, p_adjusted=p) for f, p in zip(figures, corrected, strict=True)]
    return Multitrait(tuple(traits), tuple(methods), matrix, tuple(figures), n)


_DIFFERENCES = ("discriminant", "beyond_method")
_KINDS = {
    (True, False): "convergent",
    (False, False): "different_trait_different_method",
    (False, True): "different_trait_same_method",
}


def _mean(members: list[tuple[float, np.ndarray]], n: int) -> tuple[float, np.ndarray]:
    if not members:
        return math.nan, np.full(n, math.nan)
    return float(np.mean([m[0] for m in members])), np.mean([m[1] for m in members], axis=0)


def _figure(name: str, value: float, influence: np.ndarray, pairs: int, codes: np.ndarray) -> ValidityFigure:
    n, count = len(codes), int(codes.max()) + 1
    if not math.isfinite(value):
        return ValidityFigure(name, None, None, None, None, None, pairs, n, count)
    if count < 2:
        return ValidityFigure(name, value, None, None, None, None, pairs, n, count)
    totals = np.bincount(codes, weights=influence) / n
    se = math.sqrt(count / (count - 1) * float(np.sum(totals**2)))
    if count < FEW_CLUSTERS:  # their spread may be small by luck: never less than that of independent rows
        se = max(se, math.sqrt(float(np.sum(influence**2)) / (n * (n - 1))))
    if se < 1e-12:  # the same with whichever cluster: that says nothing about others
        return ValidityFigure(name, value, None, None, None, None, pairs, n, count)
    half = -float(stdtrit(count - 1, 0.025)) * se
    p = float(2 * stdtr(count - 1, -abs(value) / se))
    most = 2.0 if name in _DIFFERENCES else 1.0
    return ValidityFigure(name, value, max(value - half, -most), min(value + half, most), p, None, pairs, n, count)
