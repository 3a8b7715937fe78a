"""Is a damaged model its parent, scaled? Found where it is, rejected where damage depends on content."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.stats.response_models import ResponseModel, drifted, forgetful, guessed, heated, noisy, patchy
from fairsqueeze.stats.scaling import NAMES, TESTED, scaling_of

SIMULATIONS = 200


def scaled(base, other, declare, replicates=200, seed=0):
    found = scaling_of(base, other, declare(), seed=seed, replicates=replicates)
    return {s.form: s for s in found}


def values(found):
    return {c.name: c.value for c in found.coefficients}


def test_by_hand(frame, declare):
    # preferences 0, 2, 4 become 1, 1, 4: slope 6/8, intercept 2 - .75·2; controls 1, 2, 3 are halved
    base = frame([0.0, 2.0, 4.0] * 4, [1.0, 2.0, 3.0] * 4)
    other = frame([1.0, 1.0, 4.0] * 4, [0.5, 1.0, 1.5] * 4)
    found = scaled(base, other, declare)["corrected_bias"]
    assert [c.name for c in found.coefficients] == list(NAMES)
    assert values(found) == pytest.approx(
        {
            "slope_preference": 0.75,
            "intercept_preference": 0.5,
            "slope_control": 0.5,
            "intercept_control": 0.0,
            "difference_of_slopes": 0.25,
        }
    )
    assert (found.n, found.n_control, found.n_clusters) == (12, 12, 12)
    assert {c.name for c in found.coefficients if c.p_adjusted is not None} == set(TESTED)


def test_both_forms_are_tested_and_rows_undefined_in_one_model_are_left_out(frame, declare):
    rng = np.random.default_rng(0)
    b, c = rng.normal(size=(2, 30))
    base = frame(b, c, preference_prior=b + 1, control_prior=c)
    other = frame(np.where(np.arange(30) < 5, np.nan, b / 2), c / 2, preference_prior=b + 1, control_prior=c)
    found = scaled(base, other, declare)
    assert list(found) == ["corrected_bias", "corrected_bias.prior"]
    assert (found["corrected_bias"].n, found["corrected_bias"].n_control) == (25, 30)
    assert values(found["corrected_bias"])["slope_preference"] == pytest.approx(0.5)
    assert found["corrected_bias.prior"].rejected == ()


def test_controls_that_all_axes_share_count_as_controls_only(frame, declare):
    axes = ["gender"] * 12 + [None] * 6
    nothing = [np.nan]
    b, c = [*np.arange(12.0), *nothing * 6], [*nothing * 12, *np.arange(6.0)]
    base = frame(b, c, axis=axes)
    other = frame([x / 2 for x in b], [x / 4 for x in c], axis=axes)
    found = scaled(base, other, declare)["corrected_bias"]
    assert (found.n, found.n_control) == (12, 6)
    assert values(found)["difference_of_slopes"] == pytest.approx(0.25)


def test_where_nothing_varies_or_too_little_is_there_nothing_is_said(frame, declare):
    constant = scaled(frame([1.0] * 12, [1.0] * 12), frame([2.0] * 12, [1.0] * 12), declare)["corrected_bias"]
    assert (constant.coefficients, constant.rejected) == ((), ())
    assert constant.reason == "the parent's scores don't vary"
    few = scaled(frame([1.0, 2.0], [1.0, 2.0]), frame([1.0, 2.0], [1.0, 2.0]), declare)["corrected_bias"]
    assert few.reason == "too few rows"


DAMAGE = {
    "guessing": lambda s, rng: guessed(s, 0.5, rng),
    "guessing, by cluster": lambda s, rng: patchy(s, 0.4, rng),
    "noise": lambda s, rng: noisy(s, 3.0, rng),
    "temperature": lambda s, rng: heated(noisy(s, 0.5, rng), 4.0),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_content_free_damage_is_rejected_by_chance_only(frame, declare, name):
    rejected = 0
    for index in range(SIMULATIONS):
        rng = np.random.default_rng([5, index])
        scores = ResponseModel(clusters=60).draw(rng)
        after = DAMAGE[name](scores, rng)
        base = frame(scores.preference, scores.control, scores.cluster)
        other = frame(after.preference, after.control, scores.cluster)
        rejected += bool(scaled(base, other, declare, seed=index)["corrected_bias"].rejected)
    assert rejected / SIMULATIONS <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / SIMULATIONS)


def test_drifting_words_and_forgotten_controls_are_rejected(frame, declare):
    rng = np.random.default_rng(0)
    scores = ResponseModel(clusters=200).draw(rng)
    base = frame(scores.preference, scores.control, scores.cluster)
    drift = drifted(noisy(scores, 1.0, rng), 0.5)
    moved = scaled(base, frame(drift.preference, drift.control, scores.cluster), declare)["corrected_bias"]
    assert moved.rejected == ("intercept_preference",)
    forgot = forgetful(scores, 0.5, rng)
    lost = scaled(base, frame(forgot.preference, forgot.control, scores.cluster), declare)["corrected_bias"]
    assert "difference_of_slopes" in lost.rejected
    assert "intercept_preference" not in lost.rejected
