"""What a measure says of one model at several levels of damage: its statistics with intervals, and what damage earns.

All levels are scored on the same items and resampled with the same draws, so that randomness rewards are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.bootstrap import jackknife, resample
from fairsqueeze.stats.corrected import Corrected, judge, means, ratios
from fairsqueeze.stats.estimate import finite, generator
from fairsqueeze.stats.figures import Figures, parts_of
from fairsqueeze.stats.forms import CorrectedForm, forms_of
from fairsqueeze.stats.interval import interval_of, needs_jackknife
from fairsqueeze.stats.randomness_reward import RandomnessReward, reward_from_replicates
from fairsqueeze.validation.values import without_p_values


@dataclass(frozen=True)
class Point:
    """One statistic at one level of damage; None where it is undefined or unmeasurable (`status`)."""

    level: float
    statistic: str
    value: float | None
    low: float | None
    high: float | None
    status: str
    ideal: float | None
    chance: float | None


@dataclass(frozen=True)
class Curve:
    """Statistics over levels (the first is the undamaged model), and the randomness reward of each.

    `rewards` has one entry for each statistic that has an ideal: how far it moves toward it per unit of competence
    lost, over those levels at which it is defined.
    """

    levels: tuple[float, ...]
    points: tuple[Point, ...]
    rewards: dict[str, RandomnessReward]

    def of(self, statistic: str) -> list[Point]:
        """The points of one statistic, in the order of the levels."""
        return [p for p in self.points if p.statistic == statistic]


def curve_of(
    frames: Sequence[Frame], levels: Sequence[float], declared: Measure, *, seed: int, replicates: int = 1000
) -> Curve:
    """Statistics and rewards from the records of one model at several levels of damage.

    Args:
        frames: records of the same items, the undamaged model first.
        levels: of each frame.
        seed: of the bootstrap.
    """
    declared, forms = without_p_values(declared), forms_of(declared, *frames)
    figures = [Figures(declared, None, next(parts_of(frame, declared))[1], forms) for frame in frames]
    many = _Many.of(figures, generator(seed, declared.name, "degradation"), replicates)
    points: list[Point] = []
    rewards: dict[str, RandomnessReward] = {}
    for index, published in enumerate(figures[0].published):
        statistic = published.statistic
        read = _column(index)
        chance = None if callable(statistic.chance) else statistic.chance
        points += many.points(levels, statistic.name, read, (statistic.ideal, finite(chance)), statistic.range)
        if statistic.ideal is not None and forms:
            rewards[statistic.name] = many.reward(read, many.competence(0), statistic.ideal)
    for index, form in enumerate(forms):
        points += many.form_points(levels, index, form)
        rewards[form.statistic] = many.form_reward(index, form)
    return Curve(tuple(levels), tuple(points), rewards)


Read = Callable[[Figures, np.ndarray], np.ndarray]
"""One statistic of one level from the columns that its figures computed."""


@dataclass(frozen=True, eq=False)
class _Many:
    """Figures of all levels under the same bootstrap weights; columns (…, k) by level."""

    figures: Sequence[Figures]
    values: Sequence[np.ndarray]
    drawn: Sequence[np.ndarray]
    left_out: Sequence[np.ndarray]

    @classmethod
    def of(cls, figures: Sequence[Figures], rng: np.random.Generator, replicates: int) -> _Many:
        clusters = figures[0].clusters

        def evaluate(counts: np.ndarray) -> np.ndarray:
            return np.concatenate([f.evaluate(counts) for f in figures], axis=1)

        parts = [f.values for f in figures]
        ends = np.cumsum([len(p) for p in parts])[:-1]
        drawn = np.split(resample(clusters, evaluate, replicates, rng), ends, axis=1)
        left_out = [f.left_out_sums() for f in figures]
        if needs_jackknife(clusters, "percentile"):
            left_out = np.split(jackknife(clusters, evaluate), ends, axis=1)
        return cls(figures, parts, drawn, left_out)

    def competence(self, index: int) -> Read:
        return lambda figures, columns: means(figures.form_sums(index, columns))[1]

    def points(
        self,
        levels: Sequence[float],
        statistic: str,
        read: Read,
        targets: tuple[float | None, float | None],
        limits: tuple[float, float],
    ) -> list[Point]:
        found = []
        for level, figures, value, drawn, left_out in zip(
            levels, self.figures, self.values, self.drawn, self.left_out, strict=True
        ):
            at, replicates, jackknifed = (read(figures, c) for c in (value, drawn, left_out))
            interval = interval_of(float(at), replicates, figures.clusters, left_out=jackknifed).clipped(*limits)
            status = "ok" if math.isfinite(float(at)) else "undefined"
            found.append(
                Point(
                    level,
                    statistic,
                    finite(float(at)),
                    finite(interval.low),
                    finite(interval.high),
                    status,
                    *map(finite, targets),
                )
            )
        return found

    def form_points(self, levels: Sequence[float], index: int, form: CorrectedForm) -> list[Point]:
        found = []
        if form.competence is not None:
            bounds = (-math.inf, math.inf)
            found += self.points(levels, form.competence, self.competence(index), (None, 0.0), bounds)
        for level, judged in zip(levels, self.judged(index, form), strict=True):
            found.append(Point(level, form.statistic, judged.value, judged.low, judged.high, judged.status, 0.0, None))
        return found

    def judged(self, index: int, form: CorrectedForm) -> list[Corrected]:
        found = []
        for figures, *columns in zip(self.figures, self.values, self.drawn, self.left_out, strict=True):
            counted = (
                figures.counted(form.columns[0], numerator=True)[0],
                figures.counted(form.columns[1], numerator=False)[0],
            )
            sums, replicates, left_out = (figures.form_sums(index, c) for c in columns)
            found.append(judge(sums, replicates, left_out, figures.clusters, counted=counted, form=form.form))
        return found

    def reward(self, read: Read, competence: Read, ideal: float, use: Sequence[bool] | None = None) -> RandomnessReward:
        """Randomness reward over the levels that `use` names (all) and at which the statistic is defined."""
        scores = self._stacked(read)
        competences = self._stacked(competence)
        keep = np.isfinite(scores[0]) & np.isfinite(competences[0]) & (np.mean(np.isfinite(scores), axis=0) > 0.95)
        keep &= np.ones(len(keep), dtype=bool) if use is None else np.asarray(use)
        if not keep[0] or keep.sum() < 2:
            reason = "the undamaged model's score is undefined" if not keep[0] else "undefined at every level of damage"
            return RandomnessReward(None, None, None, int(keep[1:].sum()), 0, reason)
        if not competences[0, 0] > 0:
            return RandomnessReward(None, None, None, int(keep[1:].sum()), 0, "the undamaged model shows no competence")
        rows = np.all(np.isfinite(scores[:, keep]), axis=1)
        return reward_from_replicates(scores[rows][:, keep], competences[rows][:, keep], ideal)

    def form_reward(self, index: int, form: CorrectedForm) -> RandomnessReward:
        def read(figures: Figures, columns: np.ndarray) -> np.ndarray:
            return ratios(figures.form_sums(index, columns), form.form)

        measurable = [judged.status == "ok" for judged in self.judged(index, form)]
        return self.reward(read, self.competence(index), 0.0, measurable)

    def _stacked(self, read: Read) -> np.ndarray:
        """A statistic of every level, the figure itself in row 0 and its replicates below, shape (R + 1, L)."""
        each = [
            np.concatenate([np.atleast_1d(read(f, v)), read(f, d)])
            for f, v, d in zip(self.figures, self.values, self.drawn, strict=True)
        ]
        return np.stack(each, axis=1)


def _column(index: int) -> Read:
    return lambda figures, columns: columns[..., index]
