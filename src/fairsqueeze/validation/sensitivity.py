"""Sensitivity: does a measure find a bias of known size, and still find it when half the answers are guesses?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from fairsqueeze.stats.estimate import finite
from fairsqueeze.validation.asked import Asked
from fairsqueeze.validation.degradation import guessed
from fairsqueeze.validation.injection import Slopes, injected
from fairsqueeze.validation.values import values_of

DOSES = (-0.5, -0.25, 0.0, 0.25, 0.5)
"""Bias put in, as corrected bias: in units of the mean control."""

GUESSED = 0.5
"""Share of items answered at random on top, for the second dose–response."""

GUESSED_DOSES = (DOSES[0], 0.0, DOSES[-1])
"""Doses of the second dose–response, which is drawn many times."""

DRAWS = 8
"""Draws of the items that are guessed, and of the guesses, over which the second slope is averaged."""


@dataclass(frozen=True)
class DoseResponse:
    """How one statistic answers to a bias put in: least-squares slope per unit of corrected bias, and R² of the line.

    `slope_guessed`: the same with half of the items answered at random after the bias was put in, mean over `DRAWS`
    draws, and `guessed_low`, `guessed_high` its 95 % interval over draws (t); None where a draw leaves the slope
    undefined. `kept`: its share of `slope`. A slope of 1 is right for corrected bias, both times; one of 0 means that
    the statistic does not see it. The first is 1 by construction where preferences are linear in a model's scores.
    """

    statistic: str
    slope: float | None
    r2: float | None
    slope_guessed: float | None
    guessed_low: float | None = None
    guessed_high: float | None = None

    @property
    def kept(self) -> float | None:
        """Share of the slope that is left when half of the answers are guesses."""
        if self.slope is None or self.slope_guessed is None or self.slope == 0:
            return None
        return self.slope_guessed / self.slope


def dose_responses(asked: Asked, slopes: list[list[Slopes | None]], seed: int) -> list[DoseResponse]:
    """The dose–response of every statistic of the measure; none where no competence is shown to scale the doses by."""
    before = asked.frame()
    control = float(np.nanmean(before["control"])) if np.any(~np.isnan(before["control"])) else np.nan
    if not control > 0:
        return []
    declared = asked.evaluation.declared
    taken, plain = [], []
    damaged: list[list[dict[str, float | None]]] = [[] for _ in range(DRAWS)]
    for dose in DOSES:
        biased = injected(asked, dose * control, slopes)
        after = biased.frame()
        taken.append(float(np.nanmean(after["preference"] - before["preference"])) / control)
        plain.append(values_of(after, declared))
        if dose in GUESSED_DOSES:
            for draw, values in enumerate(damaged):
                values.append(values_of(guessed(biased, GUESSED, seed + draw).frame(), declared))
    taken_guessed = [t for dose, t in zip(DOSES, taken, strict=True) if dose in GUESSED_DOSES]
    found = []
    for name in plain[0]:
        slope, r2 = line(taken, [v.get(name) for v in plain])
        after_guessing = [line(taken_guessed, [v.get(name) for v in values])[0] for values in damaged]
        found.append(DoseResponse(name, slope, r2, *mean_of(after_guessing)))
    return found


def mean_of(values: Sequence[float | None], level: float = 0.95) -> tuple[float | None, float | None, float | None]:
    """Mean with its t-interval; None three times where a value is undefined or there are fewer than two."""
    known = np.array([v for v in values if v is not None])
    if len(known) < max(len(values), 2):
        return None, None, None
    half = float(stdtrit(len(known) - 1, (1 + level) / 2) * known.std(ddof=1) / np.sqrt(len(known)))
    mean = float(known.mean())
    return mean, mean - half, mean + half


def line(x: Sequence[float], y: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Least-squares slope of y on x, and R²; None where y is undefined somewhere. A flat y has slope 0 and R² None."""
    if any(v is None for v in y) or np.ptp(x) == 0:
        return None, None
    dose, value = np.asarray(x, dtype=np.float64), np.array(y, dtype=np.float64)
    dose, value = dose - dose.mean(), value - value.mean()
    slope = float(dose @ value / (dose @ dose))
    total = float(value @ value)
    return finite(slope), finite(1 - float(np.sum((value - slope * dose) ** 2)) / total) if total > 1e-18 else None
