"""Partial pooling across axes."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.stats.pooling import partial_pooling

# Rubin 1981, the eight schools: effects and standard errors, and the posterior means of Gelman et al., table 5.3
SCHOOLS = "ABCDEFGH"
EFFECTS = [28, 8, -3, 7, -1, 1, 18, 12]
ERRORS = [15, 10, 16, 11, 9, 11, 10, 18]
MEDIANS = [10, 8, 7, 8, 5, 6, 10, 8]


def test_the_eight_schools_come_out_as_in_the_textbook():
    found = partial_pooling(SCHOOLS, EFFECTS, ERRORS)
    # the table gives simulated medians rounded to a whole number; ours are posterior means
    assert [p.value for p in found] == pytest.approx(MEDIANS, abs=1.6)
    assert found[0].low < 0 < 25 < found[0].high < 40
    assert [p.raw for p in found] == EFFECTS


def test_equal_axes_are_pooled_and_very_different_ones_are_not():
    alike = partial_pooling("abcd", [0.1, 0.11, 0.09, 0.1], [0.1] * 4)
    assert all(p.value == pytest.approx(0.1, abs=0.01) and p.high - p.low < 0.33 for p in alike)
    apart = partial_pooling("abcd", [-3.0, -1.0, 1.0, 3.0], [0.1] * 4)
    assert [p.value for p in apart] == pytest.approx([-3.0, -1.0, 1.0, 3.0], abs=0.02)
    assert all(p.weight > 0.99 for p in apart)


def test_an_axis_with_few_items_borrows_more():
    found = partial_pooling("abcd", [0.9, 0.1, 0.2, 0.15], [0.4, 0.05, 0.05, 0.05])
    assert found[0].weight < min(p.weight for p in found[1:])
    assert 0.1 < found[0].value < 0.6


def test_fewer_than_three_axes_cannot_be_pooled():
    assert partial_pooling("ab", [0.1, 0.2], [0.1, 0.1]) is None


def test_an_undefined_axis_is_an_error_not_a_number():
    with pytest.raises(ValueError, match="leave the other axes out"):
        partial_pooling("abc", [0.1, float("nan"), 0.2], [0.1] * 3)


def test_pooled_intervals_cover_and_are_closer_than_raw_estimates():
    rng = np.random.default_rng(0)
    covered, pooled_error, raw_error = 0, 0.0, 0.0
    for _ in range(60):
        truth = rng.normal(0.2, 0.1, 8)
        raw = truth + rng.normal(0, 0.15, 8)
        found = partial_pooling("abcdefgh", raw, [0.15] * 8)
        covered += sum(p.low <= t <= p.high for p, t in zip(found, truth, strict=True))
        pooled_error += sum((p.value - t) ** 2 for p, t in zip(found, truth, strict=True))
        raw_error += float(np.sum((raw - truth) ** 2))
    assert covered / 480 >= 0.92
    assert pooled_error < 0.7 * raw_error
