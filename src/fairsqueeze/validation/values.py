"""The figures of a measure's records without their intervals, for what is computed many times over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.corrected import means, ratios
from fairsqueeze.stats.estimate import estimates_of, finite
from fairsqueeze.stats.figures import Figures, parts_of
from fairsqueeze.stats.forms import forms_of


def without_p_values(declared: Measure) -> Measure:
    """The measure without statistics that no bootstrap draws again: its p-values, which cost more than all the rest."""
    return replace(declared, statistics=tuple(s for s in declared.statistics if s.resample))


def values_of(frame: Frame, declared: Measure) -> dict[str, float | None]:
    """Every published statistic, `preference`, and competence and corrected bias in each form, over all axes.

    The corrected forms are here whether or not the competence behind them differs from 0; None where undefined.
    """
    declared = without_p_values(declared)
    figures = Figures(declared, None, next(parts_of(frame, declared))[1], forms_of(declared, frame))
    columns = figures.values
    found = {
        published.statistic.name: finite(float(columns[index])) for index, published in enumerate(figures.published)
    }
    found["preference"] = finite(float(means(figures.preference_sums(columns))[0]))
    for index, form in enumerate(figures.forms):
        sums = figures.form_sums(index, columns)
        if form.competence is not None:
            found[form.competence] = finite(float(means(sums)[1]))
        found[form.statistic] = finite(float(ratios(np.asarray(sums), form.form)))
    return found


def judged_values_of(frame: Frame, declared: Measure, *, seed: int) -> tuple[dict[str, float | None], dict[str, str]]:
    """`values_of` for a reader, and why a form is None: corrected forms are None where they are unmeasurable.

    What is printed without its interval keeps to the rule of the unmeasurable all the same.
    """
    found, reasons = values_of(frame, declared), {}
    for estimate in estimates_of(frame, replace(declared, statistics=()), seed=seed):
        if estimate.axis is None and estimate.status == "unmeasurable":
            found[estimate.statistic] = None
            reasons[estimate.statistic] = estimate.reason
    return found, reasons
