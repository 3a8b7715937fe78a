"""Leave-one-out and the multitrait–multimethod figures against scipy, statsmodels and the definition."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from fairsqueeze.stats.leave_one_out import cooks_distances, cooks_threshold, spearman_without_each
from fairsqueeze.stats.multitrait import multitrait
from fairsqueeze.stats.tradeoffs import contenders, pareto_front


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_cooks_distances_are_those_of_statsmodels(rng):
    x, y = rng.normal(size=(2, 20))
    model = sm.OLS(y, sm.add_constant(x)).fit()
    assert cooks_distances(x, y) == pytest.approx(model.get_influence().cooks_distance[0])
    assert cooks_threshold(20) == pytest.approx(stats.f.ppf(0.5, 2, 18))
    assert np.isnan(cooks_distances(np.ones(20), y)).all()


def test_spearman_without_each_row_is_scipys(rng, monkeypatch):
    x = rng.normal(size=60).round(1)
    y = x + rng.normal(size=60)
    expected = [stats.spearmanr(np.delete(x, i), np.delete(y, i))[0] for i in range(60)]
    assert spearman_without_each(x, y) == pytest.approx(expected)
    monkeypatch.setattr("fairsqueeze.stats.leave_one_out.EXACT_ROWS", 0)
    assert spearman_without_each(x, y) == pytest.approx(expected, abs=2e-3)
    assert np.isnan(spearman_without_each(x[:2], y[:2])).all()


def test_the_figures_are_means_of_correlations(rng):
    columns = [rng.normal(size=50) for _ in range(6)]
    traits, methods = ["a", "b", "c"] * 2, ["m"] * 3 + ["n"] * 3
    found = multitrait(columns, traits, methods, np.arange(50))
    r = stats.spearmanr(np.stack(columns, axis=1))[0]
    assert found.matrix == pytest.approx(r)
    figures = {f.name: f for f in found.figures}
    convergent = np.mean([r[i, i + 3] for i in range(3)])
    same_method = np.mean([r[i, j] for b in (0, 3) for i in range(b, b + 3) for j in range(i + 1, b + 3)])
    assert figures["convergent"].value == pytest.approx(convergent)
    assert figures["beyond_method"].value == pytest.approx(convergent - same_method)
    assert (figures["convergent"].n_pairs, figures["different_trait_different_method"].n_pairs) == (3, 6)
    assert figures["convergent"].low < 0 < figures["convergent"].high


def test_too_few_complete_rows_give_no_matrix(rng):
    columns = rng.normal(size=(4, 10))
    columns[0, :3] = np.nan
    assert multitrait(list(columns), ["a", "b"] * 2, ["m", "m", "n", "n"], np.arange(10)) is None


def test_points_that_can_never_be_on_the_front_are_not_contenders(rng):
    values = rng.normal(size=(300, 2))
    kept = contenders(values - 0.2, values + 0.2, ("lower", "lower"))
    assert 0 < kept.sum() < 300
    for _ in range(50):
        drawn = values + rng.uniform(-0.2, 0.2, size=values.shape)
        assert not np.any(pareto_front(drawn, ("lower", "lower")) & ~kept)
