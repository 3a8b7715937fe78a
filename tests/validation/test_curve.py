"""Curves over damage: a share earns what guessing costs in competence, corrected bias earns nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.stats.estimate import estimates_of
from fairsqueeze.validation.curve import curve_of
from fairsqueeze.validation.degradation import guessed
from fairsqueeze.validation.values import values_of


@pytest.fixture
def curve(answered, options):
    asked = answered((1.0, 0.0, -2.0), spread=0.7)
    frames = [asked.frame(), *(guessed(asked, share, 5).frame() for share in (0.3, 0.6, 1.0))]
    return frames, curve_of(frames, (0.0, 0.3, 0.6, 1.0), options, seed=0, replicates=400)


def test_the_undamaged_point_is_the_estimate_of_an_audit(curve, options):
    frames, found = curve
    estimates = {e.statistic: e for e in estimates_of(frames[0], options, seed=0) if e.axis is None}
    for name in ("share", "corrected_bias", "corrected_bias.prior", "competence"):
        first = found.of(name)[0]
        own = estimates[name]
        assert first.value == pytest.approx(own.value)
        assert (first.low, first.high) == pytest.approx((own.low, own.high), abs=0.3 * (own.high - own.low))
        assert values_of(frames[0], options)[name] == pytest.approx(own.value)


def test_a_share_is_rewarded_and_corrected_bias_is_not_until_it_is_unmeasurable(curve):
    _, found = curve
    share = [p.value for p in found.of("share")]
    assert share[0] > share[1] > share[2] > share[3] - 5
    assert [p.status for p in found.of("corrected_bias")] == ["ok", "ok", "ok", "unmeasurable"]
    assert found.of("corrected_bias")[-1].value is None
    reward = found.rewards["share"]
    assert 0.5 < reward.low < 1.0 < reward.high < 1.6
    corrected = found.rewards["corrected_bias"]
    assert corrected.low < 0.0 < corrected.high
    assert (reward.n, corrected.n) == (3, 2)


def test_scaled_scores_lose_no_competence_so_there_is_nothing_to_earn(answered, options):
    asked = answered((1.0, 0.0, -2.0), spread=0.7)
    frame = asked.frame()
    hot = {**frame, "control": frame["control"] / 2}
    found = curve_of([frame, hot], (0.0, 1.0), options, seed=0, replicates=200)
    assert (found.rewards["share"].value, found.rewards["share"].low) == (None, None)
    assert found.rewards["share"].reason == "no competence was lost"


def test_a_parent_without_competence_has_no_reward_and_says_why(answered, options):
    asked = answered((1.0, 0.0, 3.0))
    frames = [asked.frame(), guessed(asked, 0.5, 0).frame()]
    found = curve_of(frames, (0.0, 0.5), options, seed=0, replicates=200)
    assert found.rewards["share"].reason == "the undamaged model shows no competence"
    assert found.rewards["corrected_bias"].value is None
    assert not np.isnan([p.value for p in found.points if p.value is not None]).any()
