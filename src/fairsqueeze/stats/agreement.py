"""Agreement of measures over checkpoints: rank correlations, direction of change, Krippendorff's alpha.

Rows are checkpoints; clusters are what makes checkpoints dependent (their dense parent). Every figure has a
cluster-bootstrap interval, families of p-values are corrected (Holm or Benjamini–Hochberg). Where a table is too large
to be bootstrapped pair by pair, the interval is a t interval from cluster sums of each row's influence on the
coefficient, on the scale of atanh: method "influence". Below 30 rows, and below 10 clusters (whose spread may be small
by luck), no interval is narrower than that of as many independent rows (`few_rows`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit
from scipy.stats import fisher_exact

from fairsqueeze.stats.bootstrap import Clusters, clusters_of, jackknife, resample
from fairsqueeze.stats.few_rows import FEW_ROWS, least_interval, share_bounds
from fairsqueeze.stats.influence import (
    Ranked,
    kappa_influence,
    kendall_influences,
    partial_influence,
    pearson_influence,
    spearman_influence,
)
from fairsqueeze.stats.interval import FEW_CLUSTERS, interval_of, needs_jackknife, p_value
from fairsqueeze.stats.multiplicity import Correction, adjusted
from fairsqueeze.stats.ranks import kendall_taus, pearson_matrices, spearman_matrices

MIN_ROWS = 4
BOOTSTRAP_CELLS = 40_000_000
"""Rows x columns x replicates up to which correlations are bootstrapped; beyond, intervals come from influences."""
KENDALL_CELLS = 3_000_000_000
"""Pairs x rows² x replicates up to which Kendall's tau is bootstrapped (never beyond `KENDALL_ROWS` rows)."""
KENDALL_ROWS = 400
RESOLVED = 10
"""A p-value that fewer replicates than this would decide is read from their spread instead: a correction over
hundreds of pairs needs smaller ones than they can count."""

Influence = tuple[float, np.ndarray]


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
    ranked: bool = True,
) -> list[Agreement]:
    """Spearman's correlation of every pair of columns, and with `given` the partial correlation holding it constant.

    Each pair on the rows where both are defined, and `given` as well where neither of them is it.

    Args:
        columns: name to values, shape (n,) each; NaN where undefined. Pairs use the rows where both (and `given`) are.
        clusters: names of the rows' clusters, shape (n,).
        given: name of the column to hold constant (performance); its own pairs get no partial correlation.
        correction: over all pairs of one kind.
        ranked: False for Pearson's correlation of the values themselves.
    """
    names = list(columns)
    table = _Table(columns, clusters_of(np.asarray(clusters)), given, ranked)
    groups = [names]
    if any(np.isnan(columns[c]).any() for c in names):
        others = [c for c in names if c != given]
        groups = [[*pair, *([given] if given else [])] for pair in combinations(others, 2)]
        groups += [[c, given] for c in others] if given else []  # last, and so kept: on all rows that these two have
    cells = sum(map(len, groups)) * len(table.clusters.codes) * replicates
    found: list[Agreement] = []
    for group in groups:
        found += _large(table, group) if cells > BOOTSTRAP_CELLS else _block(table, group, rng, replicates)
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

    Small tables by cluster bootstrap; beyond, tau (exact, O(n log n)) and its interval come from each row's influence.
    """
    names, every = list(columns), clusters_of(np.asarray(clusters))
    n, pairs = len(every.codes), len(names) * (len(names) - 1) // 2
    large = n > KENDALL_ROWS or pairs * n * n * replicates > KENDALL_CELLS
    found = []
    for index, x in enumerate(names[:-1]):
        found += _kendalls_large(columns, x, names[index + 1 :], every) if large else []
        for y in names[index + 1 :] if not large else ():
            a, b, own = _both(columns[x], columns[y], every)
            found.append(_bootstrapped("kendall", (x, y), own, partial(kendall_taus, a, b), rng, replicates))
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
    found, every = [], clusters_of(np.asarray(clusters))
    large = len(columns) ** 2 * len(every.codes) * replicates > BOOTSTRAP_CELLS
    for x, y in combinations(columns, 2):
        a, b = np.sign(columns[x]), np.sign(columns[y])
        use = np.asarray(np.nan_to_num(a * b) != 0)
        up_a, up_b = (a[use] > 0).astype(float), (b[use] > 0).astype(float)
        own = every.kept(np.asarray(use))
        if large:
            one = _from_influence("direction", (x, y), own, kappa_influence(up_a, up_b) if len(up_a) else None)
        else:
            one = _bootstrapped("direction", (x, y), own, partial(_kappa, up_a, up_b), rng, replicates)
        found.append(_signs_floored(one, up_a, up_b))
    return _corrected(found, correction)


def krippendorff_alpha(
    columns: Mapping[str, np.ndarray], clusters: np.ndarray, *, rng: np.random.Generator, replicates: int = 1000
) -> Agreement:
    """Krippendorff's alpha for ordinal data: how far all measures rank the checkpoints alike. 1 fully, 0 by chance.

    Each column is ranked, so measures of different scales compare; turn columns beforehand so that high means biased in
    each. Two columns are ranked and compared on the rows where both are defined: a rank among other rows says something
    else, and a measure that is undefined for the worst checkpoints would seem to contradict one that is not. Within
    each set of rows that pairs of columns share, the ordinal metric (Krippendorff 2011, "Computing Krippendorff's
    alpha-reliability", C) is the squared difference of pooled midranks; a row counts as often as it has values. Without
    missing values this is Krippendorff's alpha of the ranks; with them his would need one scale for all columns. Ranks
    stay those of the full table in each bootstrap replicate.

    Args:
        columns: name to values, shape (n,) each; NaN where undefined. Rows with fewer than two values say nothing.
        clusters: names of the rows' clusters, shape (n,).
    """
    values = np.stack([np.asarray(c, dtype=np.float64) for c in columns.values()], axis=1)
    use = (~np.isnan(values)).sum(axis=1) > 1
    own = clusters_of(np.asarray(clusters)).kept(use)
    totals = own.sums(_alpha_sums(values[use]))
    found = _of_clusters("krippendorff_alpha", ("", ""), own, lambda c: _alpha(c @ totals), rng, replicates)
    return replace(found, x=", ".join(columns), y="")


@dataclass(frozen=True, eq=False)
class _Table:
    """What `correlations` was given: columns, the clusters of all rows, what is held constant, and by ranks or not."""

    columns: Mapping[str, np.ndarray]
    clusters: Clusters
    given: str | None
    ranked: bool

    def kind(self, held: bool) -> str:
        return ("partial_" if held else "") + ("spearman" if self.ranked else "pearson")

    def rows(self, names: list[str]) -> tuple[np.ndarray, Clusters]:
        """The rows where all of `names` are defined, shape (n, k), and their clusters."""
        data = np.stack([np.asarray(self.columns[c], dtype=np.float64) for c in names], axis=1)
        use = ~np.isnan(data).any(axis=1)
        return data[use], self.clusters if bool(use.all()) else self.clusters.kept(np.asarray(use))

    def tests(self, names: list[str]) -> list[tuple[int, int, int | None]]:
        """Index pairs, first those with nothing held constant, then those with `given`."""
        pairs = list(combinations(range(len(names)), 2))
        z = None if self.given is None else names.index(self.given)
        held = [(i, j, z) for i, j in pairs if z is not None and z not in (i, j)]
        return [*((i, j, None) for i, j in pairs), *held]


def _block(table: _Table, names: list[str], rng: np.random.Generator, replicates: int) -> list[Agreement]:
    """Correlations (and partial ones) of all pairs of `names` on the rows where all of them are defined."""
    data, clusters = table.rows(names)
    tests = table.tests(names)
    matrices_of = spearman_matrices if table.ranked else pearson_matrices

    def evaluate(counts: np.ndarray) -> np.ndarray:
        matrices = matrices_of(data, clusters.spread(counts))
        return np.stack([_entry(matrices, i, j, z) for i, j, z in tests], axis=1)

    ones, drawn, left_out = _replicated(clusters, evaluate, len(tests), len(data), rng, replicates)
    found = []
    for t, (i, j, z) in enumerate(tests):
        kind, pair = table.kind(z is not None), (names[i], names[j])
        one = _agreement(kind, pair, clusters, len(data), (ones[t], drawn[:, t], left_out[:, t]))
        found.append(one if z is None else replace(one, given=names[z]))
    return found


def _large(table: _Table, names: list[str]) -> list[Agreement]:
    """As `_block`, with intervals from influences."""
    data, clusters = table.rows(names)
    tests: list[tuple[int, int, int | None, Influence | None]] = []
    if len(data) < MIN_ROWS:
        tests = [(i, j, z, None) for i, j, z in table.tests(names)]
    else:
        columns: list[Any] = [Ranked.of(c) if table.ranked else c for c in data.T]
        of_pair = spearman_influence if table.ranked else pearson_influence
        z = None if table.given is None else names.index(table.given)
        with_z = {} if z is None else {i: of_pair(columns[i], columns[z]) for i in range(len(names)) if i != z}
        for i, j in combinations(range(len(names)), 2):
            one = with_z[i + j - z] if z in (i, j) and z is not None else of_pair(columns[i], columns[j])
            tests.append((i, j, None, one))
            if z is not None and z not in (i, j):
                tests.append((i, j, z, partial_influence(one, with_z[i], with_z[j])))
    found = []
    for i, j, held, influence in tests:
        kind, pair = table.kind(held is not None), (names[i], names[j])
        agreement = _from_influence(kind, pair, clusters, influence)
        found.append(agreement if held is None else replace(agreement, given=names[held]))
    return found


def _entry(matrices: np.ndarray, i: int, j: int, z: int | None) -> np.ndarray:
    r = matrices[:, i, j]
    if z is None:
        return r
    rx, ry = matrices[:, i, z], matrices[:, j, z]
    left = (1 - rx**2) * (1 - ry**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left > 1e-9, (r - rx * ry) / np.sqrt(left), np.nan)


def _both(a: np.ndarray, b: np.ndarray, clusters: Clusters) -> tuple[np.ndarray, np.ndarray, Clusters]:
    """Two columns on the rows where both are defined, with the clusters of these rows."""
    use = ~(np.isnan(a) | np.isnan(b))
    return (a, b, clusters) if use.all() else (a[use], b[use], clusters.kept(use))


def _bootstrapped(
    kind: str,
    pair: tuple[str, str],
    clusters: Clusters,
    figure: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    replicates: int,
) -> Agreement:
    """`figure` of row weights, with its interval."""
    return _of_clusters(kind, pair, clusters, lambda counts: figure(clusters.spread(counts)), rng, replicates)


def _of_clusters(
    kind: str,
    pair: tuple[str, str],
    clusters: Clusters,
    figure: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    replicates: int,
) -> Agreement:
    """`figure` of counts of clusters, with its interval."""
    n = len(clusters.codes)
    ones, drawn, left_out = _replicated(clusters, lambda c: figure(c)[:, None], 1, n, rng, replicates)
    return _agreement(kind, pair, clusters, n, (ones[0], drawn[:, 0], left_out[:, 0]))


def _replicated(
    clusters: Clusters,
    evaluate: Callable[[np.ndarray], np.ndarray],
    k: int,
    n: int,
    rng: np.random.Generator,
    replicates: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k figures, their replicates and their values with a cluster left out; only one of the two is needed."""
    if n < MIN_ROWS:
        return np.full(k, np.nan), np.full((replicates, k), np.nan), np.full((clusters.count, k), np.nan)
    value = evaluate(np.ones((1, clusters.count)))[0]
    if clusters.count < 2 or needs_jackknife(clusters, "percentile"):
        return value, np.full((1, k), np.nan), jackknife(clusters, evaluate)
    return value, resample(clusters, evaluate, replicates, rng), np.full((clusters.count, k), np.nan)


def _agreement(
    kind: str, pair: tuple[str, str], clusters: Clusters, n: int, columns: tuple[float, np.ndarray, np.ndarray]
) -> Agreement:
    value, drawn, left_out = float(columns[0]), columns[1], columns[2]
    interval = interval_of(value, drawn, clusters, left_out=left_out).clipped(-1.0, 1.0)
    p = p_value(value, drawn, clusters, left_out=left_out) if interval.exists else None
    if p is not None and interval.method == "percentile" and p <= RESOLVED / len(drawn):
        p = min(p, _tail(value, drawn, clusters.fewest))
    shown = value if math.isfinite(value) else None
    found = Agreement(
        kind, *pair, None, shown, interval.low, interval.high, p, None, n, clusters.count, interval.method
    )
    return _floored(found)


def _tail(value: float, drawn: np.ndarray, count: int) -> float:
    """p-value of 0 from the spread of the replicates on the scale of atanh, for tails too thin to be counted."""
    spread = float(np.nanstd(np.arctanh(np.clip(drawn, -1 + 1e-9, 1 - 1e-9))))
    inside = min(max(value, -1 + 1e-9), 1 - 1e-9)
    return float(2 * stdtr(count - 1, -abs(math.atanh(inside)) / max(spread, 1e-12)))


def _floored(found: Agreement) -> Agreement:
    """The same, its interval no narrower than so few rows or clusters allow; no interval where they allow none."""
    if found.value is None or found.low is None or found.high is None or _enough(found) or found.kind == "direction":
        return found
    least = least_interval(found.kind, found.value, found.n)
    if least is None:
        return replace(found, low=None, high=None, p=None, method="none")
    return replace(found, low=min(found.low, least[0]), high=max(found.high, least[1]), p=max(found.p or 0.0, least[2]))


def _enough(found: Agreement) -> bool:
    """Whether rows and clusters are many enough for their own spread to be trusted."""
    return found.n >= FEW_ROWS and found.n_clusters >= FEW_CLUSTERS


def _signs_floored(found: Agreement, a: np.ndarray, b: np.ndarray) -> Agreement:
    """Kappa with an interval no narrower than the exact one of the share of equal signs, of few rows or clusters."""
    if found.value is None or found.low is None or found.high is None or _enough(found):
        return found
    p, q = a.mean(), b.mean()
    expected = p * q + (1 - p) * (1 - q)
    least_low, least_high = ((s - expected) / (1 - expected) for s in share_bounds(int(np.sum(a == b)), found.n))
    low, high = max(min(found.low, least_low), -1.0), min(max(found.high, least_high), 1.0)
    p_value = float(fisher_exact([[np.sum((a == i) & (b == j)) for j in (0, 1)] for i in (0, 1)])[1])
    return replace(found, low=low, high=high, p=max(found.p or 0.0, p_value))


def _kendalls_large(
    columns: Mapping[str, np.ndarray], x: str, others: list[str], clusters: Clusters
) -> list[Agreement]:
    """tau-b of x with each of `others`; those with the same rows defined are counted together."""
    patterns: dict[bytes, list[str]] = {}
    for y in others:
        patterns.setdefault(np.packbits(np.isnan(columns[x]) | np.isnan(columns[y])).tobytes(), []).append(y)
    found = {}
    for members in patterns.values():
        use = ~(np.isnan(columns[x]) | np.isnan(columns[members[0]]))
        own = clusters if use.all() else clusters.kept(use)
        if use.sum() < MIN_ROWS:
            found.update({y: _from_influence("kendall", (x, y), own, None) for y in members})
            continue
        taus, influences = kendall_influences(columns[x][use], np.stack([columns[y][use] for y in members]))
        for y, tau, influence in zip(members, taus, influences, strict=True):
            found[y] = _from_influence("kendall", (x, y), own, (float(tau), influence))
    return [found[y] for y in others]


def _from_influence(kind: str, pair: tuple[str, str], clusters: Clusters, of: Influence | None) -> Agreement:
    """A coefficient with a t interval on the scale of atanh, from cluster sums of influences; None: undefined."""
    n, count = len(clusters.codes), clusters.count
    if of is None or not math.isfinite(of[0]):
        return Agreement(kind, *pair, None, None, None, None, None, None, n, count, "none")
    value, influence = of
    if count < 2:
        return Agreement(kind, *pair, None, value, None, None, None, None, n, count, "none")
    totals = np.bincount(clusters.codes, weights=influence, minlength=count) / n
    se = math.sqrt(count / (count - 1) * float(np.sum(totals**2)))
    inside = min(max(value, -1 + 1e-9), 1 - 1e-9)
    scaled = max(se / (1 - inside**2), 1e-12)
    half = -float(stdtrit(count - 1, 0.025)) * scaled
    low, high = math.tanh(math.atanh(inside) - half), math.tanh(math.atanh(inside) + half)
    p = float(2 * stdtr(count - 1, -abs(math.atanh(inside)) / scaled))
    return _floored(Agreement(kind, *pair, None, value, low, high, p, None, n, count, "influence"))


def _kappa(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(axis=1)
        same, up_a, up_b = (weights @ v / total for v in ((a == b).astype(float), a, b))
        expected = up_a * up_b + (1 - up_a) * (1 - up_b)
        return np.where(expected < 1, (same - expected) / (1 - expected), np.nan)


def _alpha_sums(values: np.ndarray) -> np.ndarray:
    """Per row: number of values, observed and expected disagreement of its pairs of values, shape (n, 3)."""
    known = ~np.isnan(values)
    count = known.sum(axis=1).astype(float)
    weight = np.where(count > 1, 1 / np.maximum(count - 1, 1), 0.0)
    observed, expected = np.zeros(len(values)), np.zeros(len(values))
    for pairs in _pairs_by_rows(known):
        rows = np.flatnonzero(known[:, pairs[0][0]] & known[:, pairs[0][1]])
        members = sorted({c for pair in pairs for c in pair})
        shares = dict(zip(members, _pooled_shares(values[rows][:, members]).T, strict=True))
        a, b = (np.stack([shares[pair[side]] for pair in pairs], axis=1) for side in (0, 1))
        middle = np.average((a + b).mean(axis=1) / 2, weights=weight[rows])
        observed[rows] += weight[rows] * np.sum((a - b) ** 2, axis=1)
        expected[rows] += weight[rows] * np.sum((a - middle) ** 2 + (b - middle) ** 2, axis=1)
    return np.stack([np.where(count > 1, count, 0.0), observed, expected], axis=1)


def _pairs_by_rows(known: np.ndarray) -> list[list[tuple[int, int]]]:
    """Pairs of columns, together where the same rows have both; none that no row has. `known`: shape (n, k)."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    for i, j in combinations(range(known.shape[1]), 2):
        both = known[:, i] & known[:, j]
        if both.any():
            found.setdefault(np.packbits(both).tobytes(), []).append((i, j))
    return list(found.values())


def _pooled_shares(values: np.ndarray) -> np.ndarray:
    """Midranks within each column, then midranks of all of these together, as shares of their number; no NaN."""
    ranks = np.stack([_midranks(c) for c in values.T], axis=1)
    return _midranks(ranks.ravel()).reshape(values.shape) / values.size


def _midranks(values: np.ndarray) -> np.ndarray:
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[inverse.ravel()]


def _alpha(sums: np.ndarray) -> np.ndarray:
    """1 - (1 - 1/N) · observed / expected, from sums of rows, shape (r, 3)."""
    number, observed, expected = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 1e-12, 1 - (1 - 1 / number) * observed / expected, np.nan)


def _corrected(found: list[Agreement], correction: Correction) -> list[Agreement]:
    """The same list with p_adjusted over each kind."""
    result = list(found)
    for kind in {a.kind for a in found}:
        members = [i for i, a in enumerate(found) if a.kind == kind]
        for i, p in zip(members, adjusted([found[i].p for i in members], correction), strict=True):
            result[i] = replace(found[i], p_adjusted=p)
    return result
