"""What is computed from the rows of one axis: published statistics and sums behind means, as functions of counts.

The same object serves the figure itself (all counts 1), its bootstrap and its jackknife, for one model or for two on
the same items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from fairsqueeze.records import select
from fairsqueeze.registry import Frame, Measure, Statistic
from fairsqueeze.stats.bootstrap import Clusters, clusters_of
from fairsqueeze.stats.corrected import mean_columns
from fairsqueeze.stats.forms import CorrectedForm, form_columns
from fairsqueeze.stats.interval import needs_jackknife


@dataclass(frozen=True, eq=False)
class Published:
    """A published statistic on the rows that count for it.

    Args:
        rows: index of the rows whose `needs` are all defined.
        frame: these rows.
        n_undefined: how many others should have counted.
    """

    statistic: Statistic
    rows: np.ndarray
    frame: Frame
    n_undefined: int

    def compute(self, weights: np.ndarray) -> np.ndarray:
        """The statistic for each of r sets of weights, shape (r, len(rows)) to (r,); NaN where no row counts."""
        if not len(self.rows):
            return np.full(len(weights), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.asarray(self.statistic.compute(self.frame, weights), dtype=np.float64)
        if values.shape != (len(weights),):
            raise ValueError(f"{self.statistic.name}: compute gave shape {values.shape}, not ({len(weights)},).")
        return values


@dataclass(eq=False)
class Figures:
    """The columns that `evaluate` computes for one axis of one measure.

    Args:
        frame: rows of the axis and shared rows, in canonical order (`parts_of`).
        axis: None for all axes together.
        forms: corrected forms to compute, `forms.forms_of` the whole frame.
    """

    declared: Measure
    axis: str | None
    frame: dict[str, np.ndarray]
    forms: list[CorrectedForm]
    shared: np.ndarray = field(init=False)
    clusters: Clusters = field(init=False)
    published: list[Published] = field(init=False)

    def __post_init__(self) -> None:
        self.shared = _shared(self.frame, self.declared)
        self.clusters = clusters_of(self.frame["cluster"], self.shared)
        wanted = [s for s in self.declared.statistics if self.axis is None or s.by_axis]
        self.published = [_published(s, self.frame, ~self.shared) for s in wanted]
        parts = [form_columns(self.frame, self.forms, self.shared)]
        if self.declared.role == "measure":
            nothing = np.full(len(self.shared), np.nan)
            parts.insert(0, mean_columns(self.frame["preference"], nothing, shared=self.shared))
        self._sums = self.clusters.sums(np.concatenate(parts, axis=1))

    def evaluate(self, counts: np.ndarray) -> np.ndarray:
        """Published statistics, then sums, for each of r sets of cluster counts: (r, C) to (r, k)."""
        published = [p.compute(self.clusters.spread(counts, p.rows))[:, None] for p in self.published]
        return np.concatenate([*published, counts @ self._sums], axis=1)

    @property
    def values(self) -> np.ndarray:
        """The figures themselves, shape (k,)."""
        return self.evaluate(np.ones((1, self.clusters.count)))[0]

    def left_out_sums(self) -> np.ndarray:
        """The columns with one cluster left out, shape (C, k): the sums only, NaN for published statistics."""
        rest = self._sums.sum(axis=0) - self._sums
        return np.concatenate([np.full((len(rest), len(self.published)), np.nan), rest], axis=1)

    def cluster_sums(self, index: int) -> np.ndarray:
        """The four sums of the corrected form `index` within each cluster, shape (C, 4)."""
        return self._sums[:, 4 * (index + 1) :][:, :4]

    def published_clusters(self, index: int) -> Clusters:
        """The clusters, resting on those with rows that count for the published statistic `index`."""
        rows = self.published[index].rows
        return self.clusters.resting_on(np.bincount(self.clusters.codes[rows], minlength=self.clusters.count))

    def preference_clusters(self) -> Clusters:
        """The clusters, resting on those with a raw preference."""
        return self.clusters.resting_on(self._sums[:, 1])

    def form_clusters(self, index: int) -> Clusters:
        """The clusters, resting on those with a preference and on those with a control of the form `index`."""
        sums = self.cluster_sums(index)
        return self.clusters.resting_on(sums[:, 1], sums[:, 3])

    def competence_clusters(self, index: int) -> Clusters:
        """The clusters, resting on those with a control of the form `index`."""
        return self.clusters.resting_on(self.cluster_sums(index)[:, 3])

    @property
    def needs_jackknife(self) -> bool:
        """Whether any figure needs values with one cluster left out; those of sums are `left_out_sums`."""
        published = [self.published_clusters(index) for index in range(len(self.published))]
        forms = [self.form_clusters(index) for index in range(len(self.forms))]
        return any(needs_jackknife(clusters, "percentile") for clusters in [self.clusters, *published, *forms])

    def preference_sums(self, columns: np.ndarray) -> np.ndarray:
        """The four sums (`corrected.mean_columns`) of the raw preference, shape (..., 4)."""
        return columns[..., len(self.published) :][..., :4]

    def form_sums(self, index: int, columns: np.ndarray) -> np.ndarray:
        """The four sums of the corrected form `index`, shape (..., 4)."""
        return columns[..., len(self.published) + 4 * (index + 1) :][..., :4]

    def counted(self, column: str, *, numerator: bool) -> tuple[int, int]:
        """Rows that count in the mean of `column`, and rows that are undefined (status not ok) instead.

        `numerator`: shared rows don't count.
        """
        eligible = ~self.shared if numerator else np.ones_like(self.shared)
        defined = ~np.isnan(self.frame[column])
        failed = self.frame["status"] != "ok"
        return int(np.sum(eligible & defined)), int(np.sum(eligible & ~defined & failed))


def parts_of(frame: Frame, declared: Measure) -> Iterator[tuple[str | None, dict[str, np.ndarray]]]:
    """(axis, its rows and the shared ones): overall (None) first, then by name; rows sorted by item, axis and group.

    Sorting makes every sum, and so every figure, independent of the order of the rows. A task has no axes.
    """
    axes, groups = text(frame["axis"]), text(frame["group"])
    order = np.lexsort((groups, axes, text(frame["item"])))
    frame, axes = select(frame, order), axes[order]
    yield None, frame
    if declared.role == "measure":
        for axis in sorted(set(axes.tolist()) - {""}):
            yield axis, select(frame, (axes == axis) | (axes == ""))


def text(column: np.ndarray) -> np.ndarray:
    """A column of names as text, None as ''."""
    return np.array(["" if v is None else str(v) for v in column], dtype=str)


def _shared(frame: Frame, declared: Measure) -> np.ndarray:
    if declared.role == "task":
        return np.zeros(len(frame["item"]), dtype=bool)
    return text(frame["axis"]) == ""


def _published(statistic: Statistic, frame: Frame, eligible: np.ndarray) -> Published:
    if statistic.where is not None:
        column, value = statistic.where
        eligible = frame[column] == value
    defined = eligible.copy()
    for name in statistic.needs:
        defined &= _defined(frame[name])
    rows = np.flatnonzero(defined)
    return Published(statistic, rows, select(frame, rows), int(np.sum(eligible & ~defined)))


def _defined(column: np.ndarray) -> np.ndarray:
    if column.dtype == object:
        return np.array([v is not None for v in column], dtype=bool)
    return ~np.isnan(column)
