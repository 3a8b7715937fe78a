"""Estimates: every published statistic of a measure and its corrected forms, overall and per axis, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.bootstrap import Clusters, jackknife, resample
from fairsqueeze.stats.corrected import fieller_of_sums, judge, means, ratios, verdict_of
from fairsqueeze.stats.figures import Figures, parts_of, text
from fairsqueeze.stats.forms import CorrectedForm, forms_of
from fairsqueeze.stats.interval import NO_INTERVAL, Interval, interval_of, of_what_varies, why_no_interval
from fairsqueeze.stats.pooling import MIN_AXES, Pooled, error_of, partial_pooling

ESTIMATES_VERSION = 1
"""Raised when equal records give another estimate, interval, verdict or comparison than before: whatever `estimates_of`
or `paired.compare_frames` computes. Kept documents of variants are then made anew from their records."""

POOLED = ("corrected_bias", "corrected_bias.prior")
"""Corrected forms that are also given partially pooled across axes, as `….pooled`."""

FEW_AXES = f"fewer than {MIN_AXES} axes can be measured, too few to pool"
SHARED = "not pooled: the axes share controls, so their errors are not independent"


@dataclass(frozen=True)
class Estimate:
    """One number about one model, and how sure it is. Undefined is None, never NaN and never 0.

    Args:
        measure: name of the measure or task.
        statistic: published name, or preference, competence, corrected_bias with `.prior`, `.guessing`,
            `.signal_detection`, `.pooled`.
        axis: None for the overall figure.
        value, low, high: the figure and its interval; None where undefined or unmeasurable, or there is no interval.
        n: rows that count. For corrected forms: rows with a preference.
        n_undefined: rows that should count but are undefined.
        ideal, chance, constant: what an unbiased model, one answering at random, one with a constant output gets.
        status: ok, undefined (nothing counts) or unmeasurable (no competence is shown).
        method: percentile, bca, jackknife_t, clopper_pearson or none: how the interval came about (`interval`).
        n_clusters: independent clusters behind the interval.
        verdict: of corrected forms: biased, fair, inconclusive or unmeasurable (`corrected`).
        reason: why it is unmeasurable, or why it has a value but no interval.
        bca_low, bca_high, fieller_low, fieller_high: of the ratios of means (`corrected_bias`, `.prior`): the BCa
            interval from the same replicates and Fieller's, checks beside `low` and `high`; None where undefined.
    """

    measure: str
    statistic: str
    axis: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_undefined: int
    ideal: float | None
    chance: float | None
    constant: float | None = None
    status: str = "ok"
    method: str = "percentile"
    n_clusters: int = 0
    verdict: str | None = None
    reason: str = ""
    bca_low: float | None = None
    bca_high: float | None = None
    fieller_low: float | None = None
    fieller_high: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Field by field; numbers that are not finite become null."""
        return {k: finite(v) if isinstance(v, float) else v for k, v in asdict(self).items()}


def finite(value: float | None) -> float | None:
    """`value` as a plain float, None if it is None, NaN or infinite."""
    return float(value) if value is not None and math.isfinite(value) else None


def estimates_of(
    frame: Frame, declared: Measure, *, seed: int, replicates: int = 2000, level: float = 0.95
) -> list[Estimate]:
    """Every estimate that the records of one model allow: overall first, then per axis in alphabetical order.

    Args:
        frame: the records of `declared`. Rows with axis None are controls shared by all axes: they count in every
            competence and in no preference or published statistic. For a task, all rows count, overall only.
        seed: of the bootstrap; the draw also depends on the measure's and the axis' name, not on the order of rows.
        replicates: number of bootstrap replicates.
        level: of the intervals.

    Published statistics come first, as declared; for a measure then preference, and competence and corrected bias in
    each form that its columns allow.
    """
    found: list[Estimate] = []
    forms = forms_of(declared, frame)
    for axis, part in parts_of(frame, declared):
        rng = generator(seed, declared.name, axis)
        figures = Figures(declared, axis, part, forms)
        drawn = Resampled.of(figures, rng, replicates, level)
        found += [_published(drawn, index, rng) for index in range(len(figures.published))]
        if declared.role == "measure":
            found += _preference(drawn)
        for index, form in enumerate(figures.forms):
            found += _form(drawn, index, form)
    for form in forms:
        if form.statistic in POOLED:
            shared = _shares_controls(frame, form)
            found += pooled_estimates(found, form.statistic, level=level, shares_controls=shared)
    return found


def _shares_controls(frame: Frame, form: CorrectedForm) -> bool:
    """Whether the axes have controls in common: rows without an axis."""
    control = np.asarray(frame[form.columns[1]], dtype=np.float64)
    return bool(np.any(~np.isnan(control[text(frame["axis"]) == ""])))


def pooled_estimates(
    found: Sequence[Estimate], statistic: str, *, level: float = 0.95, shares_controls: bool = False
) -> list[Estimate]:
    """The axes' estimates of `statistic`, each pulled toward the others as far as they resemble each other.

    One estimate per axis, named `{statistic}.pooled`; nothing for fewer than three axes. Unmeasurable axes neither give
    nor take: they stay unmeasurable, and so do all where fewer than three can be measured. With `shares_controls` all
    axes are wrong together when the common control is, which the model of independent errors takes for agreement: none
    is pooled. See `pooling` for the model.
    """
    raw = [e for e in found if e.statistic == statistic and e.axis is not None]
    if len(raw) < MIN_AXES:
        return []
    if shares_controls:
        return [_pooled(e, None, SHARED) for e in raw]
    errors = {e.axis: error_of(e.low, e.high, level) for e in raw if e.low is not None and e.high is not None}
    usable = [e for e in raw if e.value is not None and errors.get(e.axis, 0.0) > 0]
    pooled = partial_pooling(
        [str(e.axis) for e in usable],
        [float(e.value or 0.0) for e in usable],
        [errors[e.axis] for e in usable],
        level=level,
    )
    by_axis = {p.axis: p for p in pooled or ()}
    return [_pooled(e, by_axis.get(str(e.axis))) for e in raw]


def _pooled(raw: Estimate, pooled: Pooled | None, why: str = FEW_AXES) -> Estimate:
    blank = replace(raw, bca_low=None, bca_high=None, fieller_low=None, fieller_high=None)
    name = f"{raw.statistic}.pooled"
    if pooled is None:
        reason = raw.reason or why
        lost: dict[str, Any] = {"status": "unmeasurable", "verdict": "unmeasurable", "method": "none"}
        return replace(blank, statistic=name, value=None, low=None, high=None, reason=reason, **lost)
    verdict = verdict_of(Interval(pooled.low, pooled.high, "partial_pooling"))
    bounds: dict[str, Any] = {"value": pooled.value, "low": pooled.low, "high": pooled.high}
    return replace(blank, statistic=name, method="partial_pooling", verdict=verdict, **bounds)


def generator(seed: int, measure: str, axis: str | None) -> np.random.Generator:
    """The random source of one measure and axis: the same whatever else is computed."""
    return np.random.default_rng([seed, *f"{measure}/{axis or ''}".encode()])


@dataclass(frozen=True, eq=False)
class Resampled:
    """Figures with their bootstrap replicates, shape (R, k), and jackknife values, shape (C, k), where needed."""

    figures: Figures
    values: np.ndarray
    drawn: np.ndarray
    left_out: np.ndarray
    level: float

    @classmethod
    def of(cls, figures: Figures, rng: np.random.Generator, replicates: int, level: float) -> Resampled:
        values = figures.values
        drawn = resample(figures.clusters, figures.evaluate, replicates, rng)
        left_out = figures.left_out_sums()
        if figures.needs_jackknife:
            left_out = jackknife(figures.clusters, figures.evaluate)
        return cls(figures, values, drawn, left_out, level)

    def interval(
        self,
        value: float,
        drawn: np.ndarray,
        left_out: np.ndarray,
        clusters: Clusters,
        limits: tuple[float, float] = (-math.inf, math.inf),
    ) -> Interval:
        found = interval_of(value, drawn, clusters, level=self.level, left_out=left_out)
        return of_what_varies(found, value, clusters, level=self.level, limits=limits)

    def estimate(self, statistic: str, value: float, interval: Interval, **fields: Any) -> Estimate:
        return Estimate(
            self.figures.declared.name,
            statistic,
            self.figures.axis,
            finite(value),
            finite(interval.low),
            finite(interval.high),
            status="ok" if math.isfinite(value) else "undefined",
            method=interval.method,
            n_clusters=self.figures.clusters.count,
            **fields,
        )


def _published(drawn: Resampled, index: int, rng: np.random.Generator) -> Estimate:
    published = drawn.figures.published[index]
    statistic = published.statistic
    value = float(drawn.values[index])
    interval, reason = NO_INTERVAL, ""
    if statistic.resample:
        clusters = drawn.figures.published_clusters(index)
        interval = drawn.interval(value, drawn.drawn[:, index], drawn.left_out[:, index], clusters, statistic.range)
        reason = _why(value, interval, clusters)
    chance = statistic.chance
    if callable(chance):
        chance = float(chance(published.frame, rng)) if len(published.rows) else None
    return drawn.estimate(
        statistic.name,
        value,
        interval,
        reason=reason,
        n=len(published.rows),
        n_undefined=published.n_undefined,
        ideal=finite(statistic.ideal),
        chance=finite(chance),
        constant=finite(statistic.constant),
    )


def _preference(drawn: Resampled) -> list[Estimate]:
    """The mean preference; nothing where no row has one."""
    n, undefined = drawn.figures.counted("preference", numerator=True)
    if not n:
        return []
    value, replicates, left_out = (
        means(drawn.figures.preference_sums(c))[0] for c in (drawn.values, drawn.drawn, drawn.left_out)
    )
    clusters = drawn.figures.preference_clusters()
    interval = drawn.interval(float(value), replicates, left_out, clusters)
    fields = {"n": n, "n_undefined": undefined, "ideal": 0.0, "chance": 0.0, "constant": 0.0}
    reason = _why(float(value), interval, clusters)
    return [drawn.estimate("preference", float(value), interval, reason=reason, **fields)]


def _why(value: float, interval: Interval, clusters: Clusters) -> str:
    return why_no_interval(clusters) if math.isfinite(value) and not interval.exists else ""


def _form(drawn: Resampled, index: int, form: CorrectedForm) -> list[Estimate]:
    """The competence behind a corrected form (where it has its own), and the form."""
    figures = drawn.figures
    sums, replicates, left_out = (figures.form_sums(index, c) for c in (drawn.values, drawn.drawn, drawn.left_out))
    n, undefined = figures.counted(form.columns[0], numerator=True)
    n_control, control_undefined = figures.counted(form.columns[1], numerator=False)
    found = []
    if form.competence is not None:
        value = float(means(sums)[1])
        clusters = figures.competence_clusters(index)
        interval = drawn.interval(value, means(replicates)[1], means(left_out)[1], clusters)
        fields = {"n": n_control, "n_undefined": control_undefined, "ideal": None, "chance": 0.0, "constant": 0.0}
        reason = _why(value, interval, clusters)
        found.append(drawn.estimate(form.competence, value, interval, reason=reason, **fields))
    corrected = judge(
        sums,
        replicates,
        left_out,
        figures.clusters,
        counted=(n, n_control),
        form=form.form,
        signs=form.signs,
        level=drawn.level,
    )
    estimate = Estimate(
        figures.declared.name,
        form.statistic,
        figures.axis,
        corrected.value,
        corrected.low,
        corrected.high,
        n,
        undefined,
        ideal=0.0,
        chance=None,
        status=corrected.status,
        method=corrected.method,
        n_clusters=corrected.n_clusters,
        verdict=corrected.verdict,
        reason=corrected.reason,
    )
    return [*found, _checked(estimate, drawn, index) if form.statistic in POOLED else estimate]


def _checked(estimate: Estimate, drawn: Resampled, index: int) -> Estimate:
    """The estimate of a ratio of means with its BCa and its Fieller interval beside it."""
    if estimate.value is None:
        return estimate
    clusters = drawn.figures.form_clusters(index)
    sums = [drawn.figures.form_sums(index, c) for c in (drawn.values, drawn.drawn, drawn.left_out)]
    value, replicates, left_out = (ratios(s) for s in sums)
    bca = interval_of(float(value), replicates, clusters, level=drawn.level, left_out=left_out, method="bca")
    if bca.method != "bca":
        bca = NO_INTERVAL
    check = fieller_of_sums(drawn.figures.cluster_sums(index), clusters, level=drawn.level) or (None, None)
    return replace(
        estimate,
        bca_low=finite(bca.low),
        bca_high=finite(bca.high),
        fieller_low=finite(check[0]),
        fieller_high=finite(check[1]),
    )
