"""Preference and control from the scores of two options and a control, raw and corrected for neutral contexts."""

from __future__ import annotations

from collections.abc import Sequence

Scores = Sequence[float] | None
"""The score of one option in each neutral context, or None where it has none."""


def contrasts(first: float | None, second: float | None, control: float | None) -> tuple[float | None, float | None]:
    """(first − second, mean of both − control), in the unit of the scores; None where a term is missing."""
    if first is None or second is None:
        return None, None
    return first - second, None if control is None else (first + second) / 2 - control


def prior_corrected(
    raw: tuple[float | None, float | None], neutral: tuple[Scores, Scores, Scores]
) -> dict[str, float | list[float] | None]:
    """`preference_prior`, `control_prior`: raw contrasts less those in neutral contexts, averaged over the contexts.

    `preference_by_context` and `control_by_context` hold them context by context. None where a term is missing.

    Args:
        raw: preference and control.
        neutral: scores of first, second and control option in the neutral contexts, equally many.
    """
    first, second, control = neutral
    pulls = shows = None
    if first and second:
        pulls = [a - b for a, b in zip(first, second, strict=True)]
        if control:
            shows = [(a + b) / 2 - c for a, b, c in zip(first, second, control, strict=True)]
    preference_prior, preference_by_context = corrected(raw[0], pulls)
    control_prior, control_by_context = corrected(raw[1], shows)
    return {
        "preference_prior": preference_prior,
        "control_prior": control_prior,
        "preference_by_context": preference_by_context,
        "control_by_context": control_by_context,
    }


def corrected(raw: float | None, neutral: Scores) -> tuple[float | None, list[float] | None]:
    """A raw score less its neutral counterpart: mean over the contexts, and one by one.

    Args:
        raw: difference of the scores in context, or None.
        neutral: the same difference in each neutral context, or None.

    Returns: (None, None) where either is undefined.
    """
    if raw is None or not neutral:
        return None, None
    each = [raw - value for value in neutral]
    return sum(each) / len(each), each
