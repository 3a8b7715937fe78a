"""Influences and exact concordance counts against brute force and the jackknife; few rows are never certain."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fairsqueeze.stats.agreement import correlations, direction_agreement, kendall, krippendorff_alpha
from fairsqueeze.stats.dominance import concordance_sums, preceding
from fairsqueeze.stats.few_rows import least_interval, share_bounds
from fairsqueeze.stats.influence import (
    Ranked,
    kappa_influence,
    kendall_influences,
    partial_influence,
    pearson_influence,
    spearman_influence,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 8))
def test_concordance_sums_are_those_of_all_pairs(seed, n, values):
    rng = np.random.default_rng(seed)
    x, ys = rng.integers(0, values, n).astype(float), rng.integers(0, 5, (2, n)).astype(float)
    expected = [[(np.sign(x[i] - x) * np.sign(y[i] - y)).sum() for i in range(n)] for y in ys]
    assert concordance_sums(x, ys).tolist() == expected


def test_preceding_by_hand():
    less, equal = preceding(np.array([[2, 0, 2, 1, 2]]))
    assert less.tolist() == [[0, 0, 1, 1, 2]]
    assert equal.tolist() == [[0, 0, 1, 0, 2]]


def test_influences_are_what_leaving_a_row_out_does(rng):
    n = 250
    z = rng.normal(size=n)
    x, y = (z + rng.normal(size=n)).round(1), (z + rng.normal(size=n)).round(1)
    pairs = {
        "spearman": (spearman_influence(Ranked.of(x), Ranked.of(y)), lambda a, b, c: stats.spearmanr(a, b)[0]),
        "pearson": (pearson_influence(x, y), lambda a, b, c: stats.pearsonr(a, b)[0]),
        "kendall": (tuple(v[0] for v in kendall_influences(x, y[None])), lambda a, b, c: stats.kendalltau(a, b)[0]),
        "kappa": (kappa_influence((x > 0) * 1.0, (y > 0) * 1.0), lambda a, b, c: kappa_by_hand(a > 0, b > 0)),
        "partial": (
            partial_influence(pearson_influence(x, y), pearson_influence(x, z), pearson_influence(y, z)),
            partial_by_residuals,
        ),
    }
    for name, ((value, influence), figure) in pairs.items():
        assert value == pytest.approx(figure(x, y, z)), name
        assert influence.mean() == pytest.approx(0, abs=1e-9), name
        moved = [(n - 1) * (value - figure(*(np.delete(c, i) for c in (x, y, z)))) for i in range(n)]
        assert influence == pytest.approx(moved, abs=0.15, rel=0.08), name
        assert np.corrcoef(influence, moved)[0, 1] > 0.999, name


def kappa_by_hand(a, b):
    expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return (np.mean(a == b) - expected) / (1 - expected)


def partial_by_residuals(x, y, z):
    design = np.stack([np.ones_like(z), z], axis=1)
    residuals = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y)]
    return stats.pearsonr(*residuals)[0]


def test_intervals_from_influences_are_those_of_the_bootstrap(rng, monkeypatch):
    parent = np.repeat(np.arange(60), 5)
    z = rng.normal(size=60)[parent] + rng.normal(size=300)
    columns = {c: z + rng.normal(size=300) for c in "abp"}
    for figures in (
        lambda: correlations(columns, parent, rng=rng, given="p", replicates=800),
        lambda: correlations(columns, parent, rng=rng, ranked=False, replicates=800),
        lambda: kendall(columns, parent, rng=rng, replicates=300),
        lambda: direction_agreement(columns, parent, rng=rng, replicates=800),
    ):
        drawn = {(a.kind, a.x, a.y): a for a in figures()}
        with monkeypatch.context() as patch:
            patch.setattr("fairsqueeze.stats.agreement.BOOTSTRAP_CELLS", 0)
            patch.setattr("fairsqueeze.stats.agreement.KENDALL_CELLS", 0)
            linear = {(a.kind, a.x, a.y): a for a in figures()}
        assert drawn.keys() == linear.keys()
        for key, a in drawn.items():
            b = linear[key]
            assert (a.method, b.method) == ("percentile", "influence")
            assert b.value == pytest.approx(a.value)
            assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.2)


def test_pearson_is_scipys_and_a_constant_column_has_none(rng):
    x, y = rng.normal(size=(2, 50)) + 1e6
    found = correlations({"x": x, "y": y, "k": np.full(50, 0.1)}, np.arange(50), rng=rng, ranked=False, replicates=50)
    assert found[0].value == pytest.approx(stats.pearsonr(x, y)[0])
    assert [a.value for a in found[1:]] == [None, None]


def test_few_rows_on_a_line_are_not_certain(rng):
    x = np.arange(5.0)
    columns = {"x": x, "y": 2 * x}
    for (found,) in (
        correlations(columns, np.arange(5), rng=rng),
        kendall(columns, np.arange(5), rng=rng),
    ):
        assert found.value == pytest.approx(1.0)
        assert found.low < 0.5
        assert found.p > 1 / 120  # no smaller than the chance of one of the orders
    alpha = krippendorff_alpha({"x": x, "y": 2 * x}, np.arange(5), rng=rng)
    assert alpha.low < 0.5
    signs = np.array([1.0, 1, 1, -1, -1])
    (direction,) = direction_agreement({"x": signs, "y": signs}, np.arange(5), rng=rng)
    assert direction.value == 1.0
    assert direction.low < 0.5
    assert direction.p == pytest.approx(0.1)  # Fisher's exact test of 3 and 2


def test_three_clusters_that_agree_by_luck_are_not_more_certain_than_their_rows(rng):
    x = rng.normal(size=30)
    y = x + rng.normal(size=30)
    thrice = {"x": np.tile(x, 3), "y": np.tile(y, 3)}  # three clusters with the same rows: no spread between them
    (found,) = correlations(thrice, np.repeat(["a", "b", "c"], 30), rng=rng)
    least = least_interval("spearman", found.value, 90)
    assert found.low <= least[0]
    assert found.high >= least[1]


def test_a_p_value_is_not_held_up_by_the_number_of_replicates(rng):
    z = rng.normal(size=200)
    columns = {"x": z + rng.normal(size=200), "y": z + rng.normal(size=200)}
    (found,) = correlations(columns, np.arange(200), rng=rng, replicates=300)
    assert 1e-20 < found.p < 1e-6


def test_the_least_interval_covers(rng):
    covered, total = 0, 1500
    for _ in range(total):
        z = rng.normal(size=9)
        x, y = z + rng.normal(size=9), z + rng.normal(size=9)
        low, high, _ = least_interval("spearman", stats.spearmanr(x, y)[0], 9)
        covered += low <= 6 / np.pi * np.arcsin(0.25) <= high
    assert covered / total > 0.93


def test_share_bounds_are_clopper_and_pearsons():
    assert share_bounds(5, 5)[0] == pytest.approx(0.025 ** (1 / 5))
    assert share_bounds(0, 5) == (0.0, pytest.approx(1 - 0.025 ** (1 / 5)))
    exact = stats.binomtest(7, 20).proportion_ci(method="exact")
    assert share_bounds(7, 20) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_thousands_of_checkpoints_take_seconds(rng):
    columns = {f"m{j}": rng.normal(size=3000) for j in range(12)}
    start = time.process_time()
    correlations(columns, np.arange(3000), rng=rng, given="m0", replicates=2000)
    kendall(columns, np.arange(3000), rng=rng, replicates=2000)
    direction_agreement(columns, np.arange(3000), rng=rng, replicates=2000)
    assert time.process_time() - start < 6
