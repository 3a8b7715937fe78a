"""What a measure says of one model at several levels of damage: its statistics with intervals, and what damage earns.

All levels are scored on the same items and resampled with the same draws, so that randomness rewards are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.bootstrap import Clusters, jackknife, resample
from fairsqueeze.stats.corrected import Corrected, judge, means, ratios
from fairsqueeze.stats.estimate import finite, generator
from fairsqueeze.stats.figures import Figures, parts_of
from fairsqueeze.stats.forms import CorrectedForm, forms_of
from fairsqueeze.stats.interval import interval_of, of_what_varies
from fairsqueeze.stats.randomness_reward import Levels, RandomnessReward, reward_from_levels
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
    frames: Sequence[Frame], levels: Sequence[float], declared: Measure, *, seed: int, replicates: int = 2000
) -> Curve:
    """Statistics and rewards from the records of one model at several levels of damage.

    Args:
        frames: records of the same items, the undamaged model first.
        levels: of each frame.
        seed: of the bootstrap.
    """
    declared, forms = without_p_values(declared), forms_of(declared, *frames)
    # beside each form its signs, whose competence is what damage lowers (`randomness_reward`)
    signs = [replace(f, statistic=f"{f.statistic}.signs", competence=None, form="ratio", signs=True) for f in forms]
    figures = [Figures(declared, None, next(parts_of(frame, declared))[1], [*forms, *signs]) for frame in frames]
    many = _Many.of(figures, generator(seed, declared.name, "degradation"), replicates)
    points: list[Point] = []
    rewards: dict[str, RandomnessReward] = {}
    for index, published in enumerate(figures[0].published):
        statistic = published.statistic
        read = _column(index)
        chance = None if callable(statistic.chance) else statistic.chance
        rests = [f.published_clusters(index) for f in figures]
        points += many.points(levels, statistic.name, read, (statistic.ideal, finite(chance)), statistic.range, rests)
        if statistic.ideal is not None and forms:
            rewards[statistic.name] = many.reward(read, len(forms), statistic.ideal, rests)
    for index, form in enumerate(forms):
        points += many.form_points(levels, index, form)
        rewards[form.statistic] = many.form_reward(index, len(forms) + index, form)
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
        if any(f.needs_jackknife for f in figures):
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
        rests: Sequence[Clusters],
    ) -> list[Point]:
        found = []
        for level, figures, clusters, value, drawn, left_out in zip(
            levels, self.figures, rests, self.values, self.drawn, self.left_out, strict=True
        ):
            at, replicates, jackknifed = (read(figures, c) for c in (value, drawn, left_out))
            interval = interval_of(float(at), replicates, clusters, left_out=jackknifed)
            interval = of_what_varies(interval, float(at), clusters, limits=limits)
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
            rests = [f.competence_clusters(index) for f in self.figures]
            found += self.points(levels, form.competence, self.competence(index), (None, 0.0), bounds, rests)
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
            options: dict[str, Any] = {"counted": counted, "form": form.form, "signs": form.signs}
            found.append(judge(sums, replicates, left_out, figures.clusters, **options))
        return found

    def reward(
        self, read: Read, signs: int, ideal: float, rests: Sequence[Clusters], use: Sequence[bool] | None = None
    ) -> RandomnessReward:
        """Randomness reward over the levels that `use` names (all) and at which the statistic is defined.

        Args:
            signs: index of the form of signs whose competence is lost.
            rests: clusters that the score of each level rests on.
        """
        scores, competences = self._stacked(read), self._stacked(self.competence(signs))
        keep = np.isfinite(scores[0]) & np.isfinite(competences[0]) & (np.mean(np.isfinite(scores[1]), axis=0) > 0.95)
        keep &= np.ones(len(keep), dtype=bool) if use is None else np.asarray(use)
        if not keep[0] or keep.sum() < 2:
            reason = "the undamaged model's score is undefined" if not keep[0] else "undefined at every level of damage"
            return RandomnessReward(None, None, None, int(keep[1:].sum()), 0, reason)
        if not competences[0][0] > 0:
            return RandomnessReward(None, None, None, int(keep[1:].sum()), 0, "the undamaged model shows no competence")
        levels = Levels(*((score[..., keep], lost[..., keep]) for score, lost in zip(scores, competences, strict=True)))
        every = [*rests, *(f.competence_clusters(signs) for f in self.figures)]
        return reward_from_levels(levels, ideal, min(every, key=lambda c: c.fewest))

    def form_reward(self, index: int, signs: int, form: CorrectedForm) -> RandomnessReward:
        def read(figures: Figures, columns: np.ndarray) -> np.ndarray:
            return ratios(figures.form_sums(index, columns), form.form)

        measurable = [judged.status == "ok" for judged in self.judged(index, form)]
        return self.reward(read, signs, 0.0, [f.form_clusters(index) for f in self.figures], measurable)

    def _stacked(self, read: Read) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A statistic of every level, shape (L,), its replicates, (R, L), and with one cluster left out, (C, L)."""
        value, drawn, left_out = (
            np.stack([np.asarray(read(f, c)) for f, c in zip(self.figures, columns, strict=True)], axis=-1)
            for columns in (self.values, self.drawn, self.left_out)
        )
        return value, drawn, left_out


def _column(index: int) -> Read:
    return lambda figures, columns: columns[..., index]
