"""Scaling: are a damaged model's item scores those of its parent, made smaller? The test of content-free damage.

Corrected bias stays under damage that gives E[b' | item] = s·b and E[c' | item] = s·c for every item, with one s > 0
(`docs/theory.md`). Then the regression of damaged preferences b' on the parent's own has intercept 0, that of the
controls too, and the two slopes are equal. Each of the three is tested with cluster bootstrap, Holm over the three.

The parent's scores are what it says of these very items, not a measurement with error, so least squares are unbiased.
Rejected means: damage depends on the items' content. Not rejected means no more than that this many items don't show
it; and corrected bias can stay where the tests reject, if what is added to both means happens to keep their ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.bootstrap import Clusters, Evaluate, jackknife, resample
from fairsqueeze.stats.estimate import finite, generator
from fairsqueeze.stats.figures import Figures, parts_of
from fairsqueeze.stats.forms import CorrectedForm, forms_of
from fairsqueeze.stats.interval import interval_of, needs_jackknife, p_value
from fairsqueeze.stats.multiplicity import adjusted
from fairsqueeze.stats.pairing import paired_frames

ALPHA = 0.05
TESTED = ("intercept_preference", "intercept_control", "difference_of_slopes")
NAMES = ("slope_preference", "intercept_preference", "slope_control", "intercept_control", "difference_of_slopes")
MIN_ROWS = 3


@dataclass(frozen=True)
class Coefficient:
    """One coefficient with its interval; `p_adjusted`: of being 0, after Holm over the three that are tested."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class Scaling:
    """How one form's damaged scores go with the parent's. Intercepts are in the scores' unit (nats).

    `rejected`: the tested coefficients that differ from 0; `n`, `n_control`: rows with a preference and a control in
    both models. `coefficients` is empty, with `reason`, where there are too few rows or the parent's scores don't vary.
    """

    form: str
    coefficients: tuple[Coefficient, ...]
    rejected: tuple[str, ...]
    n: int
    n_control: int
    n_clusters: int
    reason: str = ""


def scaling_of(base: Frame, other: Frame, declared: Measure, *, seed: int, replicates: int = 1000) -> list[Scaling]:
    """Whether `other` is `base` scaled, item by item: raw scores, and prior-corrected ones where the measure has them.

    Args:
        base, other: records of `declared` for the parent and for a damaged model, joined on item, axis and group.
        seed: of the bootstrap.
    """
    pair = paired_frames(base, other, declared)
    forms = [f for f in forms_of(declared, base, other) if f.form == "ratio" and not f.signs and not f.by_length]
    parts = [next(parts_of(frame, declared))[1] for frame in (pair.base, pair.other)]
    sides = [Figures(declared, None, part, forms) for part in parts]
    return [_of_form(form, *sides, seed=seed, replicates=replicates) for form in forms]


def _of_form(form: CorrectedForm, base: Figures, other: Figures, *, seed: int, replicates: int) -> Scaling:
    clusters, columns, counted = base.clusters, [], []
    for name, use in ((form.columns[0], ~base.shared), (form.columns[1], np.ones_like(base.shared))):
        x, y = base.frame[name], other.frame[name]
        known = use & ~np.isnan(x) & ~np.isnan(y)
        counted.append(int(known.sum()))
        x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
        columns += [known.astype(np.float64), x, y, x * x, x * y]
    n, n_control = counted
    if min(counted) < MIN_ROWS:
        return Scaling(form.statistic, (), (), n, n_control, clusters.count, "too few rows")
    sums = clusters.sums(np.stack(columns, axis=1))

    def evaluate(counts: np.ndarray) -> np.ndarray:
        found = counts @ sums
        slopes, intercepts = zip(*(_line(found[:, k : k + 5]) for k in (0, 5)), strict=True)
        return np.stack([slopes[0], intercepts[0], slopes[1], intercepts[1], slopes[0] - slopes[1]], axis=1)

    coefficients = _coefficients(clusters, evaluate, replicates, generator(seed, base.declared.name, form.statistic))
    if any(c.value is None for c in coefficients):
        return Scaling(form.statistic, (), (), n, n_control, clusters.count, "the parent's scores don't vary")
    rejected = tuple(c.name for c in coefficients if c.p_adjusted is not None and c.p_adjusted <= ALPHA)
    return Scaling(form.statistic, tuple(coefficients), rejected, n, n_control, clusters.count)


def _coefficients(
    clusters: Clusters, evaluate: Evaluate, replicates: int, rng: np.random.Generator
) -> list[Coefficient]:
    values = evaluate(np.ones((1, clusters.count)))[0]
    drawn = resample(clusters, evaluate, replicates, rng)
    out = jackknife(clusters, evaluate) if needs_jackknife(clusters, "percentile") else None
    left_out = [None if out is None else out[:, k] for k in range(len(NAMES))]
    p = [
        p_value(float(values[k]), drawn[:, k], clusters, left_out=left_out[k]) if name in TESTED else None
        for k, name in enumerate(NAMES)
    ]
    found = []
    for k, (name, corrected) in enumerate(zip(NAMES, adjusted(p), strict=True)):
        interval = interval_of(float(values[k]), drawn[:, k], clusters, left_out=left_out[k])
        bounds = (finite(interval.low), finite(interval.high))
        found.append(Coefficient(name, finite(float(values[k])), *bounds, corrected))
    return found


def _line(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares slope and intercept from n, Σx, Σy, Σx², Σxy, shape (r, 5); NaN where x does not vary."""
    n, x, y, xx, xy = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = xx - x * x / n
        slope = np.where(spread > 1e-12 * np.maximum(xx, 1e-300), (xy - x * y / n) / spread, np.nan)
        return slope, (y - slope * x) / n
