"""Agreement of measures: scipy and slow references, intervals, missing values, and what nine rows can't show."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from fairsqueeze.stats.agreement import (
    correlations,
    direction_agreement,
    kendall,
    krippendorff_alpha,
)
from fairsqueeze.stats.influence import kendall_influences
from fairsqueeze.stats.ranks import kendall_taus, spearman_matrices, weighted_midranks

NAN = float("nan")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_weighted_midranks_are_ranks_of_the_repeated_rows(rng):
    values, weights = rng.integers(0, 5, 30).astype(float), rng.integers(0, 4, (3, 30)).astype(float)
    found = weighted_midranks(values, weights)
    for ranks, w in zip(found, weights, strict=True):
        repeated = np.repeat(np.arange(30), w.astype(int))
        assert ranks[repeated] == pytest.approx(stats.rankdata(values[repeated]))


def test_spearman_and_kendall_of_counts_are_those_of_the_repeated_rows(rng):
    x, y = rng.normal(size=25).round(1), rng.normal(size=25).round(1)
    weights = rng.integers(0, 3, (4, 25)).astype(float)
    spearman = spearman_matrices(np.stack([x, y], axis=1), weights)[:, 0, 1]
    kendalls = kendall_taus(x, y, weights)
    for rho, tau, w in zip(spearman, kendalls, weights, strict=True):
        rows = np.repeat(np.arange(25), w.astype(int))
        assert rho == pytest.approx(stats.spearmanr(x[rows], y[rows]).statistic)
        assert tau == pytest.approx(stats.kendalltau(x[rows], y[rows]).statistic)


@pytest.mark.parametrize("cells", [40_000_000, 0])
def test_a_missing_value_of_one_measure_does_not_cost_another_its_rows(rng, monkeypatch, cells):
    monkeypatch.setattr("fairsqueeze.stats.agreement.BOOTSTRAP_CELLS", cells)
    columns = {name: rng.normal(size=40) for name in ("performance", "a", "b")}
    columns["b"][5:] = NAN
    found = {(r.kind, r.x, r.y): r for r in correlations(columns, np.arange(40), rng=rng, given="performance")}
    one = next(r for r in found.values() if {r.x, r.y} == {"performance", "a"})
    assert one.n == 40
    assert one.value == pytest.approx(stats.spearmanr(columns["performance"], columns["a"]).statistic)
    assert found["partial_spearman", "a", "b"].n == found["spearman", "a", "b"].n == 5


def test_correlations_of_all_pairs_with_intervals_and_corrected_p_values(rng):
    z = rng.normal(size=120)
    columns = {"a": z + rng.normal(size=120), "b": z + rng.normal(size=120), "c": rng.normal(size=120)}
    found = {(r.x, r.y): r for r in correlations(columns, np.arange(120), rng=rng, replicates=600)}
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    ab = found["a", "b"]
    assert ab.value == pytest.approx(stats.spearmanr(columns["a"], columns["b"]).statistic)
    assert ab.low < 0.48 < ab.high  # 6/pi asin(.5/2), Spearman's for a normal correlation of .5
    assert ab.p_adjusted <= 0.05
    assert found["b", "c"].low < 0 < found["b", "c"].high
    assert ab.p_adjusted >= ab.p


def test_the_partial_correlation_takes_performance_out(rng):
    performance = rng.normal(size=300)
    columns = {"p": performance, "a": performance + rng.normal(size=300), "b": performance + rng.normal(size=300)}
    found = correlations(columns, np.arange(300), rng=rng, given="p", replicates=300)
    (partial,) = [r for r in found if r.kind == "partial_spearman"]
    (raw,) = [r for r in found if r.kind == "spearman" and (r.x, r.y) == ("a", "b")]
    rx, ry, r = (stats.spearmanr(columns[i], columns[j]).statistic for i, j in ("pa", "pb", "ab"))
    assert partial.value == pytest.approx((r - rx * ry) / np.sqrt((1 - rx**2) * (1 - ry**2)))
    assert (partial.x, partial.y, partial.given) == ("a", "b", "p")
    assert raw.low > 0
    assert partial.low < 0 < partial.high


def test_missing_values_leave_out_rows_of_their_own_pairs_only(rng):
    a, b, c = rng.normal(size=(3, 40))
    b[:10] = NAN
    found = {(r.x, r.y): r for r in correlations({"a": a, "b": b, "c": c}, np.arange(40), rng=rng, replicates=50)}
    assert {pair: r.n for pair, r in found.items()} == {("a", "b"): 30, ("a", "c"): 40, ("b", "c"): 30}
    assert found["a", "b"].value == pytest.approx(stats.spearmanr(a[10:], b[10:]).statistic)


def test_nine_rows_say_little_and_a_column_that_does_not_vary_says_nothing(rng):
    x = np.arange(9.0)
    y = np.array([2.0, 1, 4, 3, 7, 5, 8, 9, 6])
    found = {(r.x, r.y): r for r in correlations({"x": x, "y": y, "k": np.ones(9)}, np.arange(9), rng=rng)}
    assert found["x", "y"].high - found["x", "y"].low > 0.4
    assert (found["x", "k"].value, found["x", "k"].low, found["x", "k"].p) == (None, None, None)


def test_checkpoints_of_one_parent_count_as_dependent(rng):
    parent = np.repeat(np.arange(15), 20)
    a, b = rng.normal(size=(2, 15))
    columns = {n: v[parent] + 0.2 * rng.normal(size=300) for n, v in (("a", a), ("b", b))}
    (alone,) = correlations(columns, np.arange(300), rng=rng, replicates=300)
    (clustered,) = correlations(columns, parent, rng=rng, replicates=300)
    assert clustered.n_clusters == 15
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)


def test_kendall_of_a_large_table_agrees_with_its_bootstrap(rng):
    z = rng.normal(size=900)
    x, y = z + rng.normal(size=900), z + rng.normal(size=900)
    (tau,), (influence,) = kendall_influences(x, y[None])
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    exact = stats.kendalltau(x, y).statistic
    assert tau == pytest.approx(exact, abs=1e-9)
    weights = rng.multinomial(900, np.full(900, 1 / 900), size=150).astype(float)
    boot = kendall_taus(x, y, weights).std()
    assert np.sqrt(np.sum(influence**2)) / 900 == pytest.approx(boot, rel=0.2)
    (found,) = kendall({"x": x, "y": y}, np.arange(900), rng=rng)
    assert found.method == "influence"
    assert found.low < exact < found.high


def test_kendall_of_a_small_table_is_scipys(rng):
    x, y = rng.normal(size=(2, 30))
    (found,) = kendall({"x": x, "y": y}, np.arange(30), rng=rng, replicates=200)
    assert found.value == pytest.approx(stats.kendalltau(x, y).statistic)
    assert found.low < found.value < found.high


def test_direction_agreement_is_cohens_kappa_by_hand(rng):
    # signs ++ ++ +- -- -- -+ : same 4 of 6; half up in each -> expected 1/2 -> kappa 1/3; zero and NaN left out
    a = np.array([1.0, 2, 3, -1, -1, -2, 0, NAN])
    b = np.array([1.0, 1, -1, -3, -1, 2, 1, 1])
    (found,) = direction_agreement({"a": a, "b": b}, np.arange(8), rng=rng, replicates=50)
    assert (found.value, found.n) == (pytest.approx(1 / 3), 6)


def alpha_by_coincidences(data):
    """Krippendorff 2011, the ordinal metric by its definition over all pairs of values."""
    units = [row[~np.isnan(row)] for row in data]
    units = [u for u in units if len(u) >= 2]
    values = sorted(set(np.concatenate(units)))
    o = np.zeros((len(values), len(values)))
    for u in units:
        for i in range(len(u)):
            for j in range(len(u)):
                if i != j:
                    o[values.index(u[i]), values.index(u[j])] += 1 / (len(u) - 1)
    n = o.sum(axis=1)
    d = np.zeros_like(o)
    for c in range(len(values)):
        for k in range(len(values)):
            low, high = min(c, k), max(c, k)
            d[c, k] = (n[low : high + 1].sum() - (n[c] + n[k]) / 2) ** 2
    return 1 - (n.sum() - 1) * (o * d).sum() / (np.outer(n, n) * d).sum()


def test_krippendorffs_alpha_is_that_of_the_coincidence_matrix(rng):
    base = rng.normal(size=12)
    data = np.stack([base + 0.5 * rng.normal(size=12) for _ in range(4)], axis=1)
    ranks = np.stack([stats.rankdata(c) for c in data.T], axis=1)
    found = krippendorff_alpha({f"m{i}": c for i, c in enumerate(data.T)}, np.arange(12), rng=rng, replicates=200)
    assert found.value == pytest.approx(alpha_by_coincidences(ranks))
    assert found.low < found.value < found.high


def test_the_reference_gives_the_worked_example_of_krippendorff_2011():
    data = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
            [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
        ]
    ).T
    assert alpha_by_coincidences(data) == pytest.approx(0.815, abs=5e-4)


def test_alpha_with_ties_is_that_of_the_coincidence_matrix(rng):
    data = np.round(rng.normal(size=(15, 1)) + rng.normal(size=(15, 3)))
    ranks = np.stack([stats.rankdata(c) for c in data.T], axis=1)
    found = krippendorff_alpha({f"m{i}": c for i, c in enumerate(data.T)}, np.arange(15), rng=rng, replicates=50)
    assert found.value == pytest.approx(alpha_by_coincidences(ranks))


def alpha_by_pairs(data):
    """Pairs of columns with the same rows ranked there together; disagreement by definition, over pairs of values."""
    known = ~np.isnan(data)
    weight = [1 / (m - 1) if m > 1 else 0 for m in known.sum(axis=1)]
    groups = {}
    for i, j in combinations(range(data.shape[1]), 2):
        groups.setdefault(tuple(np.flatnonzero(known[:, i] & known[:, j])), []).append((i, j))
    observed = expected = 0.0
    for rows, pairs in groups.items():
        columns = sorted({c for pair in pairs for c in pair})
        ranks = [stats.rankdata([data[r, c] for r in rows]) for c in columns]
        pooled = stats.rankdata(np.concatenate(ranks)) / (len(rows) * len(columns))
        share = {(r, c): pooled[k * len(rows) + q] for k, c in enumerate(columns) for q, r in enumerate(rows)}
        observed += sum(weight[r] * 2 * (share[r, i] - share[r, j]) ** 2 for r in rows for i, j in pairs)
        drawn = [(weight[r], share[r, c]) for r in rows for pair in pairs for c in pair]
        expected += sum(v * w * (x - y) ** 2 for v, x in drawn for w, y in drawn) / sum(w for w, _ in drawn)
    n = sum(m for m in known.sum(axis=1) if m > 1)
    return 1 - (1 - 1 / n) * observed / expected


def test_alpha_with_missing_cells_is_that_of_pairs_ranked_on_their_common_rows(rng):
    data = np.round(rng.normal(size=(30, 1)) + rng.normal(size=(30, 4)), 1)
    data[rng.random((30, 4)) < 0.25] = NAN
    data[:8, 2] = data[:8, 3] = NAN
    found = krippendorff_alpha({f"m{i}": c for i, c in enumerate(data.T)}, np.arange(30), rng=rng, replicates=50)
    assert found.value == pytest.approx(alpha_by_pairs(data))
    assert found.n == np.sum((~np.isnan(data)).sum(axis=1) > 1)


def test_a_measure_that_is_undefined_for_the_worst_does_not_seem_to_contradict(rng):
    x = rng.normal(size=40)
    worst = np.where(x > np.median(x), NAN, x)
    some = np.where(rng.random(40) < 0.3, NAN, x)
    two = krippendorff_alpha({"a": x, "b": worst}, np.arange(40), rng=rng, replicates=50)
    three = krippendorff_alpha({"a": x, "b": np.exp(worst), "c": 7 * some}, np.arange(40), rng=rng, replicates=50)
    assert (two.value, two.n, two.n_clusters) == (pytest.approx(1.0), 20, 20)
    assert three.value == pytest.approx(1.0)


def test_alpha_is_one_for_the_same_ranking_near_zero_for_unrelated_and_below_for_opposed(rng):
    x = rng.normal(size=200)
    labels = np.arange(200)
    same = krippendorff_alpha({"a": x, "b": np.exp(x)}, labels, rng=rng, replicates=50)
    unrelated = krippendorff_alpha({"a": x, "b": rng.normal(size=200)}, labels, rng=rng, replicates=200)
    opposed = krippendorff_alpha({"a": x, "b": -x}, labels, rng=rng, replicates=50)
    assert same.value == pytest.approx(1.0)
    assert unrelated.low < 0 < unrelated.high
    assert opposed.value < -0.9
