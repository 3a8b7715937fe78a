"""Agreement of measures over checkpoints: rank correlations, direction of change, Krippendorff's alpha.

Rows are checkpoints; clusters are what makes checkpoints dependent (their dense parent). Every figure has a
cluster-bootstrap interval, families of p-values are corrected (Holm or Benjamini–Hochberg).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
from scipy.special import stdtr, stdtrit

from fairsqueeze.stats.bootstrap import Clusters, clusters_of, jackknife, resample
from fairsqueeze.stats.interval import interval_of, needs_jackknife, p_value
from fairsqueeze.stats.multiplicity import Correction, adjusted
from fairsqueeze.stats.ranks import kendall_influence, kendall_taus, spearman_matrices

MIN_ROWS = 4
EXACT_KENDALL = 400
"""Up to this many rows Kendall's interval is bootstrapped; beyond, it comes from influences on tau."""
COMPARATORS = 500


@dataclass(frozen=True)
class Agreement:
    """One coefficient between two columns; None where undefined (too few rows, a column that doesn't vary)."""

    kind: str
    x: str
    y: str
    given: str | None
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    n: int
    n_clusters: int
    method: str


def correlations(
    columns: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    *,
    rng: np.random.Generator,
    given: str | None = None,
    replicates: int = 1000,
    correction: Correction = "holm",
) -> list[Agreement]:
    """Spearman's correlation of every pair of columns, and with `given` the partial correlation holding it constant.

    Args:
        columns: name to values, shape (n,) each; NaN where undefined. Pairs use the rows where both (and `given`) are.
        clusters: names of the rows' clusters, shape (n,).
        given: name of the column to hold constant (performance); its own pairs get no partial correlation.
        correction: over all pairs of one kind.
    """
    names = list(columns)
    found: list[Agreement] = []
    if not any(np.isnan(columns[c]).any() for c in names):
        found = _block(names, columns, clusters, given, rng, replicates)
    else:
        for pair in combinations([c for c in names if c != given], 2):
            found += _block([*pair, *([given] if given else [])], columns, clusters, given, rng, replicates)
        found = list({(a.kind, frozenset((a.x, a.y))): a for a in found}.values())
    return _corrected(found, correction)


def kendall(
    columns: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    *,
    rng: np.random.Generator,
    replicates: int = 1000,
    correction: Correction = "holm",
) -> list[Agreement]:
    """Kendall's tau-b of every pair of columns; arguments as in `correlations`.

    Up to 400 rows by cluster bootstrap; beyond, tau and its interval come from each row's influence, estimated against
    500 rows drawn at random (t interval on the scale of atanh).
    """
    found = []
    for x, y in combinations(columns, 2):
        use = ~(np.isnan(columns[x]) | np.isnan(columns[y]))
        a, b, labels = columns[x][use], columns[y][use], np.asarray(clusters)[use]
        if len(a) > EXACT_KENDALL:
            found.append(_kendall_large(x, y, a, b, labels, rng))
        else:
            found.append(_bootstrapped("kendall", (x, y), labels, partial(kendall_taus, a, b), rng, replicates))
    return _corrected(found, correction)


def direction_agreement(
    columns: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    *,
    rng: np.random.Generator,
    replicates: int = 1000,
    correction: Correction = "holm",
) -> list[Agreement]:
    """Whether two measures moved the same way against the dense parent: Cohen's kappa of the signs of change.

    Args:
        columns: name to change against the parent, shape (n,); changes of exactly 0 and NaN are left out of a pair.

    kappa = (share with equal signs - share expected of independent signs) / (1 - expected): 1 always, 0 as by chance.
    """
    found = []
    for x, y in combinations(columns, 2):
        a, b = np.sign(columns[x]), np.sign(columns[y])
        use = np.nan_to_num(a * b) != 0
        up_a, up_b = (a[use] > 0).astype(float), (b[use] > 0).astype(float)
        labels = np.asarray(clusters)[use]
        found.append(_bootstrapped("direction", (x, y), labels, partial(_kappa, up_a, up_b), rng, replicates))
    return _corrected(found, correction)


def krippendorff_alpha(
    columns: Mapping[str, np.ndarray], clusters: np.ndarray, *, rng: np.random.Generator, replicates: int = 1000
) -> Agreement:
    """Krippendorff's alpha for ordinal data: how far all measures rank the checkpoints alike. 1 fully, 0 by chance.

    Each column is ranked first, so measures of different scales compare; turn columns beforehand so that high means
    biased in each. The ordinal metric (Krippendorff 2011, "Computing Krippendorff's alpha-reliability", C) is the
    squared difference of pooled midranks, which is how it is computed. Ranks stay those of the full table in each
    bootstrap replicate.
    """
    pooled = _pooled_ranks(np.stack([np.asarray(c, dtype=np.float64) for c in columns.values()], axis=1))
    sums = _alpha_sums(pooled)
    found = _bootstrapped(
        "krippendorff_alpha", ("all", "all"), np.asarray(clusters), lambda w: _alpha(w @ sums), rng, replicates
    )
    return replace(found, x=", ".join(columns), y="")


def _block(
    names: list[str],
    columns: Mapping[str, np.ndarray],
    labels: np.ndarray,
    given: str | None,
    rng: np.random.Generator,
    replicates: int,
) -> list[Agreement]:
    """Spearman's (and partial) correlations of all pairs of `names` on the rows where all of them are defined."""
    data = np.stack([np.asarray(columns[c], dtype=np.float64) for c in names], axis=1)
    use = ~np.isnan(data).any(axis=1)
    data, clusters = data[use], clusters_of(np.asarray(labels)[use])
    tests: list[tuple[str, int, int, int | None]] = [
        ("spearman", i, j, None) for i, j in combinations(range(len(names)), 2)
    ]
    if given is not None:
        z = names.index(given)
        tests += [("partial_spearman", i, j, z) for _, i, j, _ in tests if z not in (i, j)]

    def evaluate(counts: np.ndarray) -> np.ndarray:
        matrices = spearman_matrices(data, clusters.spread(counts))
        return np.stack([_entry(matrices, i, j, z) for _, i, j, z in tests], axis=1)

    ones, drawn, left_out = _replicated(clusters, evaluate, len(tests), len(data), rng, replicates)
    found = []
    for t, (kind, i, j, fixed) in enumerate(tests):
        pair = (names[i], names[j])
        one = _agreement(kind, pair, clusters, len(data), (ones[t], drawn[:, t], left_out[:, t]))
        found.append(one if fixed is None else replace(one, given=names[fixed]))
    return found


def _entry(matrices: np.ndarray, i: int, j: int, z: int | None) -> np.ndarray:
    r = matrices[:, i, j]
    if z is None:
        return r
    rx, ry = matrices[:, i, z], matrices[:, j, z]
    left = (1 - rx**2) * (1 - ry**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left > 1e-9, (r - rx * ry) / np.sqrt(left), np.nan)


def _bootstrapped(
    kind: str,
    pair: tuple[str, str],
    labels: np.ndarray,
    figure: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    replicates: int,
) -> Agreement:
    """`figure` of row weights, with its interval."""
    clusters = clusters_of(labels)

    def evaluate(counts: np.ndarray) -> np.ndarray:
        return figure(clusters.spread(counts))[:, None]

    ones, drawn, left_out = _replicated(clusters, evaluate, 1, len(labels), rng, replicates)
    return _agreement(kind, pair, clusters, len(labels), (ones[0], drawn[:, 0], left_out[:, 0]))


def _replicated(
    clusters: Clusters,
    evaluate: Callable[[np.ndarray], np.ndarray],
    k: int,
    n: int,
    rng: np.random.Generator,
    replicates: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if n < MIN_ROWS:
        return np.full(k, np.nan), np.full((replicates, k), np.nan), np.full((clusters.count, k), np.nan)
    left_out = np.full((clusters.count, k), np.nan)
    if needs_jackknife(clusters, "percentile"):
        left_out = jackknife(clusters, evaluate)
    return evaluate(np.ones((1, clusters.count)))[0], resample(clusters, evaluate, replicates, rng), left_out


def _agreement(
    kind: str, pair: tuple[str, str], clusters: Clusters, n: int, columns: tuple[float, np.ndarray, np.ndarray]
) -> Agreement:
    value, drawn, left_out = float(columns[0]), columns[1], columns[2]
    interval = interval_of(value, drawn, clusters, left_out=left_out).clipped(-1.0, 1.0)
    p = p_value(value, drawn, clusters, left_out=left_out) if interval.exists else None
    shown = value if math.isfinite(value) else None
    return Agreement(kind, *pair, None, shown, interval.low, interval.high, p, None, n, clusters.count, interval.method)


def _kendall_large(
    x: str, y: str, a: np.ndarray, b: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> Agreement:
    against = rng.choice(len(a), size=min(COMPARATORS, len(a)), replace=False)
    tau, influence = kendall_influence(a, b, against)
    clusters = clusters_of(labels)
    count = clusters.count
    if not math.isfinite(tau) or count < 2:
        return Agreement("kendall", x, y, None, None, None, None, None, None, len(a), count, "none")
    totals = clusters.sums(influence[:, None])[:, 0] / len(a)
    se = math.sqrt(count / (count - 1) * float(np.sum(totals**2)))
    inside = min(max(tau, -1 + 1e-9), 1 - 1e-9)
    half = -float(stdtrit(count - 1, 0.025)) * se / (1 - inside**2)
    low, high = math.tanh(math.atanh(inside) - half), math.tanh(math.atanh(inside) + half)
    p = float(2 * stdtr(count - 1, -abs(math.atanh(inside)) * (1 - inside**2) / se)) if se > 0 else 0.0
    return Agreement("kendall", x, y, None, tau, low, high, p, None, len(a), count, "influence")


def _kappa(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(axis=1)
        same, up_a, up_b = (weights @ v / total for v in ((a == b).astype(float), a, b))
        expected = up_a * up_b + (1 - up_a) * (1 - up_b)
        return np.where(expected < 1, (same - expected) / (1 - expected), np.nan)


def _pooled_ranks(data: np.ndarray) -> np.ndarray:
    """Midranks within each column (as shares of its rows), then midranks of all of these together; NaN stays."""
    data = np.stack([_midranks(c) / max(1, np.sum(~np.isnan(c))) for c in data.T], axis=1)
    return _midranks(data.ravel()).reshape(data.shape)


def _midranks(values: np.ndarray) -> np.ndarray:
    ranks = np.full(values.shape, np.nan)
    known = ~np.isnan(values)
    _, inverse, count = np.unique(np.round(values[known], 12), return_inverse=True, return_counts=True)
    ranks[known] = (np.cumsum(count) - (count - 1) / 2)[inverse.ravel()]
    return ranks


def _alpha_sums(values: np.ndarray) -> np.ndarray:
    """Per unit: observed disagreement, number, sum and sum of squares of its values, shape (n, 4); 0 if under two."""
    known = ~np.isnan(values)
    m = known.sum(axis=1).astype(float)
    v = np.where(known, values, 0.0)
    total, squares = v.sum(axis=1), (v**2).sum(axis=1)
    pairable = m >= 2
    observed = np.where(pairable, 2 * (m * squares - total**2) / np.maximum(m - 1, 1), 0.0)
    return np.stack([observed, *(np.where(pairable, s, 0.0) for s in (m, total, squares))], axis=1)


def _alpha(sums: np.ndarray) -> np.ndarray:
    observed, m, total, squares = sums.T
    expected = 2 * (m * squares - total**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (m - 1) * observed / expected, np.nan)


def _corrected(found: list[Agreement], correction: Correction) -> list[Agreement]:
    """The same list with p_adjusted over each kind."""
    result = list(found)
    for kind in {a.kind for a in found}:
        members = [i for i, a in enumerate(found) if a.kind == kind]
        for i, p in zip(members, adjusted([found[i].p for i in members], correction), strict=True):
            result[i] = replace(found[i], p_adjusted=p)
    return result
