"""Reliability: Spearman–Brown by hand, split halves against what the data were made with."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.stats.reliability import cronbach_alpha, spearman_brown, split_half, split_half_within


def made(n_units, n_items, reliability, seed=0, per_cluster=1):
    """Scores whose unit means over all items have this reliability."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(n_items // per_cluster), per_cluster)
    noise = np.sqrt((1 - reliability) / reliability * (n_items // per_cluster))
    effects = rng.normal(0, noise, (n_units, n_items // per_cluster))[:, clusters]
    return rng.normal(0, 1, (n_units, 1)) + effects, clusters


def test_spearman_brown_by_hand():
    assert spearman_brown(0.6) == pytest.approx(0.75)
    assert spearman_brown(0.5, 3) == pytest.approx(0.75)
    assert spearman_brown(1.0) == 1.0
    assert np.isnan(spearman_brown(-1.0))


@pytest.mark.parametrize("reliability", [0.5, 0.9])
def test_split_half_finds_the_reliability_that_was_put_in(reliability):
    scores, clusters = made(400, 40, reliability)
    found = split_half(scores, clusters, rng=np.random.default_rng(0), splits=20, replicates=200)
    assert found.value == pytest.approx(reliability, abs=0.08)
    assert found.low < reliability < found.high


def test_clusters_are_not_split_so_copies_of_items_do_not_look_like_reliability():
    scores, clusters = made(200, 60, 0.4, per_cluster=6)
    honest = split_half(scores, clusters, rng=np.random.default_rng(0), splits=20, replicates=100)
    fooled = split_half(scores, np.arange(60), rng=np.random.default_rng(0), splits=20, replicates=100)
    assert honest.value == pytest.approx(0.4, abs=0.15)
    assert fooled.value > honest.value + 0.2


def test_noise_has_an_interval_that_reaches_zero():
    scores = np.random.default_rng(0).normal(size=(40, 50))
    found = split_half(scores, np.arange(50), rng=np.random.default_rng(0), splits=20, replicates=200)
    assert found.low <= 0 <= found.high


def test_units_with_their_own_items_and_too_few_clusters_left_out():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(200), 10)
    values = rng.normal(0, 1, 200)[units] + rng.normal(0, np.sqrt(10 * 0.25), 2000)
    lonely = np.append(units, 999)
    found = split_half_within(np.append(values, 5.0), lonely, np.arange(2001), rng=rng, splits=20, replicates=200)
    assert found.n_units == 200
    assert found.value == pytest.approx(0.8, abs=0.07)


@pytest.mark.parametrize("scores", [np.ones((5, 10)), np.ones((2, 10)), np.full((5, 10), np.nan)])
def test_no_spread_or_too_few_units_is_undefined(scores):
    found = split_half(scores, np.arange(10), rng=np.random.default_rng(0), splits=5, replicates=20)
    assert (found.value, found.low, found.high) == (None, None, None)


def test_cronbach_by_hand():
    # forms (1,2,3) and (2,4,6): variances 1 and 4, sum (3,6,9) variance 9 -> 2 * (1 - 5/9) = 8/9
    scores = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [np.nan, 1.0]])
    assert cronbach_alpha(scores) == pytest.approx(8 / 9)
    assert cronbach_alpha(scores[:1]) is None
    assert cronbach_alpha(np.ones((4, 3))) is None
