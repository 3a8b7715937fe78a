"""Preference and control, raw and corrected for neutral contexts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.stimuli.contrasts import contrasts, corrected, prior_corrected

FLOATS = st.floats(-50, 50)


def test_worked_example() -> None:
    mean, each = corrected(2.0, [0.5, 1.0, -1.0, 1.5])
    assert each == [1.5, 1.0, 3.0, 0.5]
    assert mean == 1.5  # 6 / 4


@pytest.mark.parametrize(("raw", "neutral"), [(None, [1.0]), (1.0, None), (1.0, [])])
def test_undefined_stays_undefined(raw: float | None, neutral: list[float] | None) -> None:
    assert corrected(raw, neutral) == (None, None)


@given(FLOATS, st.lists(FLOATS, min_size=4, max_size=4), FLOATS)
def test_a_constant_in_both_changes_nothing(raw: float, neutral: list[float], constant: float) -> None:
    before, _ = corrected(raw, neutral)
    after, _ = corrected(raw + constant, [value + constant for value in neutral])
    assert after == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((-1.0, -3.0, -7.0), (2.0, 5.0)),
        ((-1.0, -3.0, None), (2.0, None)),
        ((None, -3.0, -7.0), (None, None)),
        ((-1.0, None, -7.0), (None, None)),
    ],
)
def test_contrasts_by_hand(scores: tuple[float | None, ...], expected: tuple[float | None, ...]) -> None:
    assert contrasts(*scores) == expected


def test_prior_corrected_by_hand_and_without_a_control() -> None:
    neutral = ([-1.0, -2.0], [-2.0, -2.0], [-4.0, -8.0])
    assert prior_corrected((2.0, 5.0), neutral) == {
        "preference_prior": 1.5,  # 2 - (1, 0)
        "control_prior": 0.75,  # 5 - (2.5, 6)
        "preference_by_context": [1.0, 2.0],
        "control_by_context": [2.5, -1.0],
    }
    without = prior_corrected((2.0, None), (*neutral[:2], None))
    assert (without["preference_prior"], without["control_prior"]) == (1.5, None)
