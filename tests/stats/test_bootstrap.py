"""Cluster bootstrap and intervals, against loops, scipy and hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fairsqueeze.stats.bootstrap import cluster_weights, clusters_of, jackknife, resample
from fairsqueeze.stats.interval import expanded_tail, interval_of, jackknife_se, p_value


def mean_of(sums):
    def evaluate(counts):
        drawn = counts @ sums
        return drawn[:, :1] / drawn[:, 1:]

    return evaluate


def sums_of(values, clusters):
    return clusters.sums(np.stack([values, np.ones_like(values)], axis=1))


def test_rows_of_one_cluster_are_drawn_together_and_as_many_clusters_as_there_are():
    labels = np.array(["b", "a", "b", "c", "a", "b"])
    weights = cluster_weights(labels, 500, np.random.default_rng(0))
    assert weights.shape == (500, 6)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 1], weights[:, 4])
    assert np.array_equal(weights[:, [0, 1, 3]].sum(axis=1), np.full(500, 3.0))
    assert weights[:, 3].mean() == pytest.approx(1.0, abs=0.15)


def test_the_draw_depends_on_names_of_clusters_and_not_on_the_order_of_rows():
    labels = np.array(["b", "a", "b", "c", "a", "d"])
    order = np.array([3, 0, 5, 1, 4, 2])
    one = cluster_weights(labels, 50, np.random.default_rng(3))
    two = cluster_weights(labels[order], 50, np.random.default_rng(3))
    assert np.array_equal(one[:, order], two)


def test_each_stratum_is_drawn_from_by_itself():
    clusters = clusters_of(np.array(["a", "b", "s", "t", "a"]), np.array([False, False, True, True, True]))
    counts = clusters.draw(200, np.random.default_rng(0))
    assert clusters.stratum.tolist() == [0, 0, 1, 1]
    assert np.array_equal(counts[:, :2].sum(axis=1), np.full(200, 2.0))
    assert np.array_equal(counts[:, 2:].sum(axis=1), np.full(200, 2.0))
    assert clusters.fewest == 2


def test_chunked_resampling_has_the_distribution_of_a_loop_over_clusters():
    rng = np.random.default_rng(1)
    labels = rng.integers(20, size=90)
    values = rng.normal(size=90) + labels / 5
    clusters = clusters_of(labels)
    fast = resample(clusters, mean_of(sums_of(values, clusters)), 4000, np.random.default_rng(2))[:, 0]
    loop = []
    members = [values[labels == c] for c in np.unique(labels)]
    for _ in range(4000):
        drawn = [members[i] for i in rng.integers(len(members), size=len(members))]
        loop.append(np.concatenate(drawn).mean())
    assert fast.mean() == pytest.approx(np.mean(loop), abs=4 * np.std(loop) / math.sqrt(2000))
    assert fast.std() == pytest.approx(np.std(loop), rel=0.06)


def test_chunks_do_not_lose_or_repeat_replicates(monkeypatch):
    monkeypatch.setattr("fairsqueeze.stats.bootstrap.CHUNK_CELLS", 35)
    clusters = clusters_of(np.arange(5))
    drawn = resample(clusters, lambda counts: counts, 23, np.random.default_rng(0))
    assert drawn.shape == (23, 5)
    assert len(np.unique(drawn, axis=0)) > 15


def test_jackknife_leaves_out_one_whole_cluster():
    values, labels = np.array([1.0, 2.0, 6.0, 7.0]), np.array(["a", "a", "b", "c"])
    clusters = clusters_of(labels)
    left_out = jackknife(clusters, mean_of(sums_of(values, clusters)))[:, 0]
    assert left_out.tolist() == [6.5, pytest.approx(10 / 3), 3.0]
    spread = left_out - left_out.mean()
    assert jackknife_se(left_out, clusters) == pytest.approx(math.sqrt(2 / 3 * np.sum(spread**2)))


def test_bca_agrees_with_scipy_on_single_items():
    rng = np.random.default_rng(5)
    values = rng.exponential(size=60)
    clusters = clusters_of(np.arange(60))
    evaluate = mean_of(sums_of(values, clusters))
    drawn = resample(clusters, evaluate, 20000, rng)[:, 0]
    ours = interval_of(
        values.mean(), drawn, clusters, left_out=jackknife(clusters, evaluate)[:, 0], method="bca", level=0.9
    )
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20000, confidence_level=0.9, method="BCa", rng=rng)
    assert ours.method == "bca"
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.012)


def test_the_expanded_percentile_is_a_t_interval_for_a_normal_mean_and_plain_for_many_clusters():
    # Hesterberg 2015, sect. 5.3: sqrt(n/(n-1)) * t(.975, n-1) = 2.0226... at n = 41 -> Phi of its negative
    assert expanded_tail(0.025, 41) == pytest.approx(stats.norm.cdf(-math.sqrt(41 / 40) * stats.t.ppf(0.975, 40)))
    assert expanded_tail(0.025, 10**6) == pytest.approx(0.025, rel=1e-4)
    values = np.random.default_rng(0).normal(size=15)
    clusters = clusters_of(np.arange(15))
    drawn = resample(clusters, mean_of(sums_of(values, clusters)), 50000, np.random.default_rng(1))[:, 0]
    ours = interval_of(values.mean(), drawn, clusters)
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.12)


def test_few_clusters_get_students_t_on_the_jackknife_and_one_gets_no_interval():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    clusters = clusters_of(np.arange(4))
    evaluate = mean_of(sums_of(values, clusters))
    drawn = resample(clusters, evaluate, 100, np.random.default_rng(0))[:, 0]
    left_out = jackknife(clusters, evaluate)[:, 0]
    found = interval_of(3.0, drawn, clusters, left_out=left_out)
    expected = stats.ttest_1samp(values, 0)
    assert found.method == "jackknife_t"
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert p_value(3.0, drawn, clusters, left_out=left_out) == pytest.approx(expected.pvalue)
    alone = interval_of(3.0, np.full(100, 3.0), clusters_of(np.zeros(4)))
    assert (alone.low, alone.high, alone.method) == (None, None, "none")


def test_too_many_undefined_replicates_give_no_interval():
    clusters = clusters_of(np.arange(20))
    drawn = np.linspace(0, 1, 100)
    drawn[:5] = np.nan
    assert interval_of(0.5, drawn, clusters).exists
    drawn[:6] = np.nan
    assert not interval_of(0.5, drawn, clusters).exists
    assert p_value(0.5, drawn, clusters) is None


def test_p_value_is_below_alpha_exactly_where_the_interval_excludes_zero():
    rng = np.random.default_rng(0)
    agree = []
    for shift in np.linspace(0.0, 1.0, 40):
        values = rng.normal(shift, 1, size=25)
        clusters = clusters_of(np.arange(25))
        drawn = resample(clusters, mean_of(sums_of(values, clusters)), 1000, rng)[:, 0]
        p = p_value(values.mean(), drawn, clusters)
        agree.append((p <= 0.05) == interval_of(values.mean(), drawn, clusters).excludes(0.0) or abs(p - 0.05) < 0.008)
    assert all(agree)


def test_an_infinite_replicate_spoils_only_its_own_tail():
    clusters = clusters_of(np.arange(1000))
    drawn = np.concatenate([np.linspace(0, 1, 990), np.full(10, np.inf)])
    found = interval_of(0.5, drawn, clusters)
    assert 0.02 < found.low < 0.03
    assert math.isfinite(found.high)
    assert interval_of(0.5, np.concatenate([drawn, np.full(30, np.inf)]), clusters).high == math.inf
