"""The length-weighted form: items count by how alike their options are in length, and by nothing a model says."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.stats.estimate import estimates_of
from fairsqueeze.stats.forms import forms_of, length_weights
from fairsqueeze.stats.paired import compare_frames

FORM = "corrected_bias.length_weighted"


def of(found, statistic=FORM):
    return next(e for e in found if e.statistic == statistic and e.axis is None)


def test_by_hand(frame, declare):
    # differences 0, 1, -1, 3 -> weights 1, 1/4, 1/4, 1/16
    scored = frame([1.0, 2.0, -2.0, 8.0] * 4, [2.0, 4.0, 4.0, 16.0] * 4, n_s=[1.0, 2, 1, 4] * 4, n_a=[1.0, 1, 2, 1] * 4)
    assert length_weights(scored)[:4].tolist() == [1.0, 0.25, 0.25, 0.0625]
    found = of(estimates_of(scored, declare(), seed=0, replicates=200))
    assert found.value == pytest.approx((1 + 0.5 - 0.5 + 0.5) / (2 + 1 + 1 + 1))


def test_only_where_lengths_are_known_and_differ(frame, declare):
    plain = frame([1.0] * 12, [1.0] * 12)
    equal = frame([1.0] * 12, [1.0] * 12, n_more=[2.0] * 12, n_less=[2.0] * 12)
    for scored in (plain, equal):
        assert FORM not in [f.statistic for f in forms_of(declare(), scored)]
    unknown = frame([1.0] * 12, [1.0] * 12, n_more=[2.0] * 11 + [np.nan], n_less=[1.0, *[2.0] * 11])
    assert length_weights(unknown)[[0, 1, 11]].tolist() == [0.25, 1.0, 0.0]


def test_swapping_the_options_flips_the_sign_and_temperature_does_nothing(frame, declare):
    rng = np.random.default_rng(0)
    b, c = rng.normal(0.3, 1, 80), rng.normal(1, 1, 80)
    s, a = rng.integers(1, 4, (2, 80)).astype(float)
    plain = of(estimates_of(frame(b, c, n_s=s, n_a=a), declare(), seed=0))
    swapped = of(estimates_of(frame(-b, c, n_s=a, n_a=s), declare(), seed=0))
    hot = of(estimates_of(frame(b / 3, c / 3, n_s=s, n_a=a), declare(), seed=0))
    assert swapped.value == pytest.approx(-plain.value)
    assert (hot.value, hot.low, hot.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_two_models_are_compared_in_it(frame, declare):
    rng = np.random.default_rng(0)
    b, c = rng.normal(0.3, 1, 80), rng.normal(2, 1, 80)
    s, a = rng.integers(1, 4, (2, 80)).astype(float)
    pair = (frame(b, c, n_s=s, n_a=a), frame(b + 1, c, n_s=s, n_a=a))
    found = next(x for x in compare_frames(*pair, declare(), seed=0) if x.statistic == FORM and x.axis is None)
    w = 1 / (1 + np.abs(s - a)) ** 2
    assert found.difference == pytest.approx(w.sum() / (w @ c))
    assert found.verdict == "worse"


def test_models_whose_tokenisers_cut_differently_are_not_compared_in_it(frame, declare):
    rng = np.random.default_rng(0)
    b, c = rng.normal(0.3, 1, 80), rng.normal(2, 1, 80)
    s, a = rng.integers(1, 4, (2, 80)).astype(float)
    trimmed = s + (np.arange(80) == 7)  # one word of one option falls into two pieces
    found = compare_frames(frame(b, c, n_s=s, n_a=a), frame(b, c, n_s=trimmed, n_a=a), declare(), seed=0)
    weighted, plain = (
        next(x for x in found if x.statistic == name and x.axis is None) for name in (FORM, "corrected_bias")
    )
    assert (weighted.verdict, weighted.difference, weighted.p) == ("unmeasurable", None, None)
    assert "tokenisers" in weighted.reason
    assert plain.difference == 0.0
