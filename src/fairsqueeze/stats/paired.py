"""Is one model worse than another? The same items, the same bootstrap weights, difference by difference.

**Direction.** Where a statistic has a better direction (a task, or competence: higher) the difference decides. For a
bias with an ideal, worse means *farther from the ideal* on either side. |other - ideal| > |base - ideal| exactly when
the difference d = other - base and the sum s = (other - ideal) + (base - ideal) have the same sign. So "worse" is said
where d and s both differ from 0 with one sign, "better" where they do with opposite signs. Each error needs a false
alarm in d or in s, so the joint test keeps the level of one (intersection-union test, Berger 1982), and nothing is
estimated of |.|, whose bootstrap is biased near 0. A d that differs from 0 without s (a bias that went through the
ideal and out on the other side) is "changed".

**Verdicts.** worse, better, changed (in no known direction), no detectable change, unmeasurable: either side's
corrected bias is unmeasurable, or there is no interval. A difference that is the same in every cluster has none, and no
p-value: that it is 0 everywhere is "no detectable change", anything else everywhere is too little to judge by.

**Multiplicity.** Per-axis tests of one statistic form a family and are Holm-corrected; overall figures stand alone.
Intervals are never adjusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.bootstrap import Clusters, jackknife, resample
from fairsqueeze.stats.corrected import judge, means, ratios
from fairsqueeze.stats.estimate import finite, generator
from fairsqueeze.stats.figures import Figures, parts_of
from fairsqueeze.stats.flips import Flips, flips_of
from fairsqueeze.stats.forms import forms_of, length_weights
from fairsqueeze.stats.interval import Interval, interval_of, of_what_varies, p_value, why_no_interval
from fairsqueeze.stats.multiplicity import Correction, adjusted
from fairsqueeze.stats.pairing import paired_frames

Verdict = Literal["worse", "better", "changed", "no detectable change", "unmeasurable"]
POWER = 0.8
ALIKE = "the models are alike in every cluster: no interval"


@dataclass(frozen=True)
class Comparison:
    """One statistic of two models on the same items; `difference` is other - base with its interval.

    `base` and `other` are computed on the rows defined for both, so they may differ from each model's own estimate.
    `p`: two-sided, of no difference; `p_adjusted`: after Holm over the axes. `smallest_detectable`: the true difference
    that a test at this n finds with a probability of 80 %: 2.8 standard errors at a level of 95 %.
    `n_undefined`: rows undefined in either model; `n_unpaired`: rows that only one of them has.
    """

    measure: str
    statistic: str
    axis: str | None
    base: float | None
    other: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    smallest_detectable: float | None
    p: float | None
    p_adjusted: float | None
    n: int
    n_undefined: int
    n_unpaired: int
    n_clusters: int
    ideal: float | None
    better: str | None
    method: str
    reason: str = ""
    flips: Flips | None = None

    def to_json(self) -> dict[str, Any]:
        """Field by field; numbers that are not finite become null."""
        fields: dict[str, Any] = {k: finite(v) if isinstance(v, float) else v for k, v in asdict(self).items()}
        if self.flips is not None:
            fields["flips"] = {**fields["flips"], "share": self.flips.share}
        return fields


def compare_frames(
    base: Frame,
    other: Frame,
    declared: Measure,
    *,
    seed: int,
    replicates: int = 2000,
    level: float = 0.95,
    multiplicity: Correction = "holm",
) -> list[Comparison]:
    """Compare two models' records of one measure or task, statistic by statistic, overall and per axis.

    Rows are joined on item, axis and group. Statistics without a bootstrap (p-values) are left out.

    Args:
        base, other: records of `declared` for the two models.
        seed: of the bootstrap; both models get the same weights.
        multiplicity: correction over the axes of one statistic.
    """
    pair = paired_frames(base, other, declared)
    forms = forms_of(declared, base, other)
    found: list[_Tested] = []
    parts = zip(parts_of(pair.base, declared), parts_of(pair.other, declared), strict=True)
    for (axis, base_part), (_, other_part) in parts:
        sides = (Figures(declared, axis, base_part, forms), Figures(declared, axis, other_part, forms))
        rng = generator(seed, declared.name, axis)
        both = _Both.of(sides, rng, replicates, level, pair.n_unpaired.get(axis, 0))
        found += both.published()
        if declared.role == "measure":
            found += both.preference() + both.forms()
    return _with_verdicts(found, level, multiplicity)


@dataclass(frozen=True)
class _Tested:
    """A comparison before its verdict: p-values of the difference and of the sum, and the direction of `worse`."""

    comparison: Comparison
    p_sum: float | None
    sign_sum: float


@dataclass(frozen=True, eq=False)
class _Both:
    """Figures of both models under the same bootstrap weights: columns (…, k), base first."""

    sides: tuple[Figures, Figures]
    values: tuple[np.ndarray, np.ndarray]
    drawn: tuple[np.ndarray, np.ndarray]
    left_out: tuple[np.ndarray, np.ndarray]
    level: float
    n_unpaired: int

    @classmethod
    def of(
        cls, sides: tuple[Figures, Figures], rng: np.random.Generator, replicates: int, level: float, n_unpaired: int
    ) -> _Both:
        clusters = sides[0].clusters

        def evaluate(counts: np.ndarray) -> np.ndarray:
            return np.concatenate([side.evaluate(counts) for side in sides], axis=1)

        values = evaluate(np.ones((1, clusters.count)))[0]
        k = len(values) // 2
        drawn = resample(clusters, evaluate, replicates, rng)
        left_out = np.concatenate([side.left_out_sums() for side in sides], axis=1)
        if any(side.needs_jackknife for side in sides):
            left_out = jackknife(clusters, evaluate)
        ones, replicated, jackknifed = ((c[..., :k], c[..., k:]) for c in (values, drawn, left_out))
        return cls(sides, ones, replicated, jackknifed, level, n_unpaired)

    def published(self) -> list[_Tested]:
        found = []
        for index, published in enumerate(self.sides[0].published):
            statistic = published.statistic
            if statistic.resample:
                rests = self.sides[0].published_clusters(index)
                tested = self._test(statistic.name, _column(index), rests, statistic.ideal, statistic.better)
                found.append(self._counted(tested, len(published.rows), published.n_undefined, self._flips(index)))
        return found

    def preference(self) -> list[_Tested]:
        n, undefined = self.sides[0].counted("preference", numerator=True)
        if not n:
            return []
        tested = self._test(
            "preference",
            lambda c: means(self.sides[0].preference_sums(c))[0],
            self.sides[0].preference_clusters(),
            0.0,
            None,
        )
        return [self._counted(tested, n, undefined, self._flips_of("preference"))]

    def forms(self) -> list[_Tested]:
        found = []
        for index, form in enumerate(self.sides[0].forms):
            n, undefined = self.sides[0].counted(form.columns[0], numerator=True)
            n_control, lost = self.sides[0].counted(form.columns[1], numerator=False)
            if form.competence is not None:
                rests = self.sides[0].competence_clusters(index)
                shown = self._reads(index, lambda sums: means(sums)[1])
                tested = self._test(form.competence, shown, rests, None, "higher")
                found.append(self._counted(tested, n_control, lost, None))
            rests = self.sides[0].form_clusters(index)
            figure = self._reads(index, partial(ratios, form=form.form))
            tested = self._test(form.statistic, figure, rests, 0.0, None)
            reasons = self._unmeasurable(index, (n, n_control))
            if form.by_length and not reasons and self._cut_differently():
                reasons = "the tokenisers cut the options differently, so that the items don't weigh the same"
            if reasons:
                tested = _unmeasurable(tested, reasons)
            found.append(self._counted(tested, n, undefined, self._flips_of(form.columns[0])))
        return found

    def _reads(self, index: int, figure: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        """`figure` of the sums of the form `index`, as a function of the columns of one side."""
        return lambda columns: figure(self._sums(index, columns))

    def _sums(self, index: int, columns: np.ndarray) -> np.ndarray:
        return self.sides[0].form_sums(index, columns)

    def _test(
        self,
        statistic: str,
        column: Callable[[np.ndarray], np.ndarray],
        clusters: Clusters,
        ideal: float | None,
        better: str | None,
    ) -> _Tested:
        """Difference, interval and p-values of one statistic; `column` reads it from the columns of one side."""
        base, other = (float(column(v)) for v in self.values)
        drawn, left_out = (tuple(column(c) for c in part) for part in (self.drawn, self.left_out))
        with np.errstate(invalid="ignore"):
            changes, changes_out = drawn[1] - drawn[0], left_out[1] - left_out[0]
            sums, sums_out = (p[0] + p[1] - 2 * (ideal or 0.0) for p in (drawn, left_out))
        total = base + other - 2 * (ideal or 0.0)
        interval = interval_of(other - base, changes, clusters, level=self.level, left_out=changes_out)
        alike = interval.exists and interval.low == interval.high == 0.0
        interval = of_what_varies(interval, other - base, clusters, level=self.level)
        p = p_value(other - base, changes, clusters, left_out=changes_out) if interval.exists else None
        p = 1.0 if alike else p
        p_sum = p_value(total, sums, clusters, left_out=sums_out) if interval.exists and ideal is not None else None
        comparison = Comparison(
            self.sides[0].declared.name,
            statistic,
            self.sides[0].axis,
            finite(base),
            finite(other),
            finite(other - base),
            finite(interval.low),
            finite(interval.high),
            verdict="unmeasurable",
            smallest_detectable=smallest_detectable(interval, self.level),
            p=p,
            p_adjusted=None,
            n=0,
            n_undefined=0,
            n_unpaired=self.n_unpaired,
            n_clusters=clusters.count,
            ideal=ideal,
            better=better,
            method=interval.method,
            reason="" if interval.exists else ALIKE if alike else why_no_interval(clusters, "the difference"),
        )
        return _Tested(comparison, p_sum, float(np.sign(total)) if math.isfinite(total) else 0.0)

    def _unmeasurable(self, index: int, counted: tuple[int, int]) -> str:
        """Why the form can't be compared; '' if it can."""
        found = []
        for name, side, *columns in zip(
            ("base", "other"), self.sides, self.values, self.drawn, self.left_out, strict=True
        ):
            sums, drawn, left_out = (self._sums(index, c) for c in columns)
            form = side.forms[index]
            options: dict[str, Any] = {"form": form.form, "signs": form.signs, "level": self.level}
            judged = judge(sums, drawn, left_out, side.clusters, counted=counted, **options)
            if judged.reason:
                found.append(f"{name}: {judged.reason}")
        return "; ".join(found)

    def _cut_differently(self) -> bool:
        """Whether the rows that count weigh differently in the two models: then their weighted forms don't compare."""
        base, other = (length_weights(side.frame) for side in self.sides)
        if base is None or other is None:
            return base is not other
        counts = np.any([~np.isnan(self.sides[0].frame[c]) for c in ("preference", "control")], axis=0)
        return not np.array_equal(base[counts], other[counts])

    def _flips(self, index: int) -> Flips | None:
        """Flips behind a published statistic: of its one 0/1 column, or of the preference of a measure."""
        needs = self.sides[0].published[index].statistic.needs
        if len(needs) == 1 and all(_binary(side.frame[needs[0]]) for side in self.sides):
            base, other = (2 * side.frame[needs[0]] - 1 for side in self.sides)
            return flips_of(base, other)
        return self._flips_of("preference") if self.sides[0].declared.role == "measure" else None

    def _flips_of(self, column: str) -> Flips:
        own = ~self.sides[0].shared
        return flips_of(*(side.frame[column][own] for side in self.sides))

    def _counted(self, tested: _Tested, n: int, n_undefined: int, flips: Flips | None) -> _Tested:
        counted = replace(tested.comparison, n=n, n_undefined=n_undefined, flips=flips)
        return replace(tested, comparison=counted)


def smallest_detectable(interval: Interval, level: float, power: float = POWER) -> float | None:
    """The true difference that is found with probability `power`: (z(1-alpha/2) + z(power)) standard errors.

    The standard error is the interval's half-width over z(1-alpha/2). None without an interval.
    """
    if interval.low is None or interval.high is None:
        return None
    z = float(ndtri((1 + level) / 2))
    return finite((interval.high - interval.low) / (2 * z) * (z + float(ndtri(power))))


def _unmeasurable(tested: _Tested, reason: str) -> _Tested:
    """The comparison with nothing left but the values that could be measured: none of the difference."""
    blank = replace(
        tested.comparison,
        base=None if reason.startswith("base") else tested.comparison.base,
        other=None if "other: " in reason else tested.comparison.other,
        difference=None,
        low=None,
        high=None,
        smallest_detectable=None,
        p=None,
        method="none",
        reason=reason,
    )
    return _Tested(blank, None, 0.0)


def _with_verdicts(found: list[_Tested], level: float, multiplicity: Correction) -> list[Comparison]:
    families: dict[tuple[str, bool], list[int]] = {}
    for index, tested in enumerate(found):
        families.setdefault((tested.comparison.statistic, tested.comparison.axis is None), []).append(index)
    result: list[Comparison] = [t.comparison for t in found]
    for members in families.values():
        changes = adjusted([found[i].comparison.p for i in members], multiplicity)
        joint = [
            None if (p := found[i].comparison.p) is None or (q := found[i].p_sum) is None else max(p, q)
            for i in members
        ]
        for i, p, p_joint in zip(members, changes, adjusted(joint, multiplicity), strict=True):
            verdict = _verdict(found[i], p, p_joint, 1 - level)
            result[i] = replace(found[i].comparison, p_adjusted=p, verdict=verdict)
    return result


def _verdict(tested: _Tested, p: float | None, p_joint: float | None, alpha: float) -> Verdict:
    comparison = tested.comparison
    if p is None or comparison.difference is None:
        return "unmeasurable"
    if p > alpha:
        return "no detectable change"
    if comparison.better is not None:
        return "better" if (comparison.difference > 0) == (comparison.better == "higher") else "worse"
    if p_joint is None or p_joint > alpha:
        return "changed"
    return "worse" if comparison.difference * tested.sign_sum > 0 else "better"


def _column(index: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda columns: columns[..., index]


def _binary(column: np.ndarray) -> bool:
    return column.dtype != object and bool(np.all(np.isin(column[~np.isnan(column)], (0.0, 1.0))))
