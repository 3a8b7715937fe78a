"""Pareto fronts against the definition, and the probability of being on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.stats.tradeoffs import front_probability, pareto_front, replicates_from_intervals


def by_definition(costs):
    n = len(costs)
    return [not any(np.all(costs[j] <= costs[i]) and np.any(costs[j] < costs[i]) for j in range(n)) for i in range(n)]


def test_by_hand():
    # accuracy up, bias down: (.9, .3) and (.7, .1) stay; (.7, .3) is beaten by both
    points = np.array([[0.9, 0.3], [0.7, 0.1], [0.7, 0.3], [0.9, 0.3]])
    assert pareto_front(points, ("higher", "lower")).tolist() == [True, True, False, True]


@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(1, 4))
def test_the_front_is_what_the_definition_says(seed, n, k):
    points = np.random.default_rng(seed).integers(0, 4, (n, k)).astype(float)
    assert pareto_front(points, ["lower"] * k).tolist() == by_definition(points)


def test_an_unmeasurable_point_is_not_on_the_front_and_beats_nothing():
    points = np.array([[0.5, np.nan], [0.4, 0.2]])
    assert pareto_front(points, ("higher", "lower")).tolist() == [False, True]


def test_probability_of_being_on_the_front():
    rng = np.random.default_rng(0)
    values = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    exact = np.full((3, 2), np.nan)
    low, high = exact.copy(), exact.copy()
    low[:2, 0], high[:2, 0] = 0.9, 1.1
    drawn = replicates_from_intervals(values, low, high, rng=rng, replicates=600)
    assert np.array_equal(drawn[:, :, 1], np.tile(values[:, 1], (600, 1)))
    assert drawn[:, 0, 0].std() == pytest.approx(0.1 / 1.96, rel=0.1)
    found = front_probability(drawn, ("higher", "lower"))
    assert found[:2] == pytest.approx([0.5, 0.5], abs=0.08)
    assert found[2] == 0.0


def test_directions_must_match_the_objectives():
    with pytest.raises(ValueError, match="2 directions"):
        pareto_front(np.ones((3, 1)), ("lower", "higher"))
