"""Pareto fronts: which checkpoints no other beats in performance, bias and cost, and how surely."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fairsqueeze.analysis.checkpoints import Checkpoints, MeasureColumn
from fairsqueeze.analysis.known import words
from fairsqueeze.stats.estimate import generator
from fairsqueeze.stats.tradeoffs import Better, contenders, front_probability, pareto_front, replicates_from_intervals

FRONT_CELLS = 500_000
"""Rows x replicates up to which fronts are drawn again; larger tables get fewer replicates, and the output says so."""
MIN_DRAWS = 50
SAFE = 5.0
DRAWS = "normal draws from the intervals, independent between checkpoints"
"""What probabilities rest on. Checkpoints that answered the same items err alike, so that differences between them are
surer than such draws show: a place on the front then looks less decided than it is."""


@dataclass(frozen=True)
class FrontPoint:
    """One checkpoint on the front or with a probability of 5 % or more to be; `probability` None without intervals."""

    checkpoint: str
    on_front: bool
    probability: float | None
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Front:
    """The front of one bias measure with performance and costs; `replicates` 0 where nothing has an interval.

    `draws` says what the probabilities rest on; None without intervals.
    """

    measure: str
    objectives: tuple[tuple[str, str], ...]
    points: tuple[FrontPoint, ...]
    n: int
    n_undefined: int
    replicates: int

    @property
    def draws(self) -> str | None:
        return DRAWS if self.replicates else None

    def to_json(self) -> dict[str, Any]:
        objectives = [{"name": name, "better": better} for name, better in self.objectives]
        points = [{**asdict(p), "values": list(p.values)} for p in self.points]
        return {**asdict(self), "objectives": objectives, "points": points, "draws": self.draws}


def fronts_of(points: Checkpoints, *, seed: int, replicates: int) -> list[Front]:
    """One front per corrected bias (per measure with a known ideal where there is none): performance, bias, costs."""
    if points.performance is None:
        return []
    known = [m for m in points.measures if m.ideal is not None]
    corrected = [m for m in known if {"corrected", "bias"} <= set(words(m.name))]
    return [_front(points, m, seed, replicates) for m in corrected or known]


def _front(points: Checkpoints, measure: MeasureColumn, seed: int, replicates: int) -> Front:
    performance, ideal = points.performance, measure.ideal
    assert performance is not None
    assert ideal is not None
    names = [(performance.name, performance.better), (f"|{measure.name} - {ideal:g}|", "lower")]
    names += [(c.name, c.better) for c in points.costs]
    better: list[Better] = [b for _, b in names]  # type: ignore[misc]
    signed = np.stack([performance.values, measure.values - ideal, *(c.values for c in points.costs)], axis=1)
    lows = np.stack([performance.low, measure.low - ideal, *(c.low for c in points.costs)], axis=1)
    highs = np.stack([performance.high, measure.high - ideal, *(c.high for c in points.costs)], axis=1)
    values = signed.copy()
    values[:, 1] = np.abs(values[:, 1])
    on_front = pareto_front(values, better)
    probability, used = None, 0
    if np.any(~np.isnan(highs - lows)):
        probability, used = _probability(
            (signed, lows, highs), better, generator(seed, "front", measure.name), replicates
        )
    shown = np.flatnonzero(on_front if probability is None else on_front | (probability >= 0.05))
    found = [
        FrontPoint(
            points.labels[i],
            bool(on_front[i]),
            None if probability is None else float(probability[i]),
            tuple(None if np.isnan(v) else float(v) for v in values[i]),
        )
        for i in shown
    ]
    undefined = int(np.sum(np.isnan(values).any(axis=1)))
    return Front(measure.name, tuple(names), tuple(found), points.n, undefined, used)


def _probability(
    intervals: tuple[np.ndarray, np.ndarray, np.ndarray],
    better: list[Better],
    rng: np.random.Generator,
    replicates: int,
) -> tuple[np.ndarray, int]:
    """Probability of each point to be on the front, and the draws behind it; column 1 is a bias, of which |.| counts.

    Points that lose even if they are five standard errors better and all others as much worse are not drawn.
    """
    signed, lows, highs = intervals
    reach = SAFE * np.nan_to_num(highs - lows) / (2 * 1.96)
    values = signed.copy()
    values[:, 1] = np.abs(values[:, 1])
    toward = np.array([1.0 if b == "higher" else -1.0 for b in better])
    best, worst = values + toward * reach, values - toward * reach
    best[:, 1] = np.maximum(best[:, 1], 0.0)
    rows = np.flatnonzero(contenders(best, worst, better))
    probability = np.zeros(len(signed))
    used = min(replicates, max(MIN_DRAWS, FRONT_CELLS // max(1, len(rows))))
    counts, done = np.zeros(len(rows)), 0
    while done < used:
        size = min(100, used - done)
        drawn = replicates_from_intervals(signed[rows], lows[rows], highs[rows], rng=rng, replicates=size)
        drawn[:, :, 1] = np.abs(drawn[:, :, 1])
        counts += size * front_probability(drawn, better)
        done += size
    probability[rows] = counts / used
    return probability, used
