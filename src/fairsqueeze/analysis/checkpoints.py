"""Checkpoints: what an analysis works on. One row each: performance, measures, costs, cluster and dense parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np


@dataclass(frozen=True, eq=False)
class Performance:
    """How good each checkpoint is, shape (n,), NaN where undefined; `chance` is what answering at random gets.

    `logarithmic`: differences count in logarithms (perplexity).
    """

    name: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    better: Literal["higher", "lower"] = "higher"
    chance: float | None = None
    logarithmic: bool = False

    @property
    def upward(self) -> np.ndarray:
        """The values turned so that higher is better."""
        return self.values if self.better == "higher" else -self.values

    @property
    def competence(self) -> np.ndarray | None:
        """Distance from chance, > 0 better; of a perplexity in logarithms. None where chance is not known."""
        if self.chance is None:
            return None
        if self.logarithmic and self.chance > 0 and not np.any(self.values <= 0):
            values, chance = np.log(self.values), float(np.log(self.chance))
        else:
            values, chance = self.values, self.chance
        return values - chance if self.better == "higher" else chance - values


@dataclass(frozen=True, eq=False)
class MeasureColumn:
    """One bias measure: published values with bounds, shape (n,), NaN where undefined; `method` × `axis` if known."""

    name: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ideal: float | None = None
    axis: str | None = None
    method: str | None = None

    @property
    def bias(self) -> np.ndarray:
        """Distance from the ideal, so that high means biased; the published values where no ideal is known."""
        return self.values if self.ideal is None else np.abs(self.values - self.ideal)

    @property
    def read_as(self) -> str:
        return "as published" if self.ideal is None else f"distance from the ideal, {self.ideal:g}"


@dataclass(frozen=True, eq=False)
class Cost:
    """What a checkpoint costs, with bounds, shape (n,), NaN where unknown."""

    name: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    better: Literal["higher", "lower"]


@dataclass(frozen=True, eq=False)
class Checkpoints:
    """Rows in an order that depends on their content only, so that seeded draws don't depend on the table's order.

    Args:
        by_axis: figures of single axes beside the overall ones in `measures`; for multitrait–multimethod only.
        clusters: name of each row's cluster, shape (n,): rows that are not independent share one.
        parent: index of each row's dense parent, shape (n,); its own index for a parent, -1 where unknown.
        choices: what was chosen for the reader, one sentence each.
    """

    source: str
    labels: tuple[str, ...]
    performance: Performance | None
    measures: tuple[MeasureColumn, ...]
    by_axis: tuple[MeasureColumn, ...]
    costs: tuple[Cost, ...]
    clusters: np.ndarray
    cluster_column: str | None
    parent: np.ndarray
    choices: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def children(self) -> np.ndarray:
        """Rows that have a dense parent other than themselves."""
        return np.flatnonzero((self.parent >= 0) & (self.parent != np.arange(self.n)))

    def without(self, rows: Sequence[int]) -> Checkpoints:
        """The same with `rows` left out; children of a parent that is left out have none."""
        return self.take(np.setdiff1d(np.arange(self.n), rows))

    def take(self, keep: np.ndarray) -> Checkpoints:
        """The rows `keep`, in that order."""
        place = np.full(self.n + 1, -1)
        place[keep] = np.arange(len(keep))
        return replace(
            self,
            labels=tuple(self.labels[i] for i in keep),
            performance=None if self.performance is None else _kept(self.performance, keep),
            measures=tuple(_kept(m, keep) for m in self.measures),
            by_axis=tuple(_kept(m, keep) for m in self.by_axis),
            costs=tuple(_kept(c, keep) for c in self.costs),
            clusters=self.clusters[keep],
            parent=place[self.parent[keep]],
        )


Column = TypeVar("Column", Performance, MeasureColumn, Cost)


def _kept(column: Column, keep: np.ndarray) -> Column:
    return replace(column, values=column.values[keep], low=column.low[keep], high=column.high[keep])
