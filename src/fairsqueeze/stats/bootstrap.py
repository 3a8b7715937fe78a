"""Seeded cluster bootstrap: whole clusters are drawn again, since items of one cluster are not independent.

A statistic is a function of *counts*, shape (r, C): how often each of C clusters was drawn in each of r replicates.
Work is done in chunks of replicates, so that memory stays near 32 MB whatever the number of items. Where clusters fall
into strata (an axis' own items, controls shared by every axis), each stratum is drawn from by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

CHUNK_CELLS = 4_000_000
"""Largest number of weights (replicates x rows) held at once: 32 MB of float64."""

Evaluate = Callable[[np.ndarray], np.ndarray]
"""Counts, shape (r, C), to one row of statistics per replicate, shape (r, k); NaN where undefined."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which of C clusters each of n rows belongs to, and which stratum each cluster.

    Args:
        codes: cluster of every row, shape (n,), in 0..C-1. Clusters are numbered in the order of their sorted names,
            so that a draw does not depend on the order of the rows.
        stratum: stratum of every cluster, shape (C,).
        basis: number of clusters that the figure in question rests on, where it is not all of them (`resting_on`).
    """

    codes: np.ndarray
    stratum: np.ndarray
    basis: int | None = None

    @property
    def count(self) -> int:
        """C, the number of clusters."""
        return len(self.stratum)

    @property
    def fewest(self) -> int:
        """What the few-clusters rule looks at: clusters in the smallest stratum, or the `basis` if that is less."""
        smallest = int(np.unique(self.stratum, return_counts=True)[1].min()) if self.count else 0
        return smallest if self.basis is None else min(smallest, self.basis)

    def resting_on(self, *parts: np.ndarray) -> Clusters:
        """These clusters, for a figure that rests on those of them with a weight in each of its `parts`, shape (C,).

        A ratio is as sure as the part with fewer clusters: 30 clusters of which 4 hold a control are 4.
        """
        return replace(self, basis=min(int(np.sum(part > 0)) for part in parts))

    def draw(self, replicates: int, rng: np.random.Generator) -> np.ndarray:
        """How often each cluster is drawn, float64, shape (replicates, C): as many from each stratum as it has."""
        counts = np.zeros((replicates, self.count))
        for stratum in np.unique(self.stratum):
            members = np.flatnonzero(self.stratum == stratum)
            size = len(members)
            drawn = rng.integers(size, size=(replicates, size), dtype=np.int32).astype(np.int64)
            drawn += size * np.arange(replicates)[:, None]
            counts[:, members] = np.bincount(drawn.ravel(), minlength=replicates * size).reshape(replicates, size)
        return counts

    def spread(self, counts: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Counts of clusters as weights of rows (all, or those that the index `rows` names), shape (r, n)."""
        return counts[:, self.codes if rows is None else self.codes[rows]]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of `values`, shape (n, k), within each cluster, shape (C, k)."""
        columns = [np.bincount(self.codes, weights=column, minlength=self.count) for column in values.T]
        return np.stack(columns, axis=1) if columns else np.zeros((self.count, 0))

    def kept(self, use: np.ndarray) -> Clusters:
        """These clusters with only the rows where `use` is True, shape (n,); numbered on in the same order."""
        present, codes = np.unique(self.codes[use], return_inverse=True)
        return Clusters(codes.ravel(), self.stratum[present])

    @property
    def rows_per_chunk(self) -> int:
        """Replicates that are evaluated at once."""
        return max(1, CHUNK_CELLS // max(1, len(self.codes), self.count))


def clusters_of(labels: np.ndarray, shared: np.ndarray | None = None) -> Clusters:
    """Clusters from their names, shape (n,).

    Args:
        labels: name of each row's cluster.
        shared: True for rows that every axis shares. Clusters made of such rows only form a second stratum.
    """
    labels = np.asarray(labels)
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    stratum = np.zeros(len(names), dtype=np.int64)
    if shared is not None:
        own = np.bincount(codes.ravel(), weights=~np.asarray(shared, dtype=bool), minlength=len(names))
        stratum[own == 0] = 1
    return Clusters(codes.ravel(), stratum)


def cluster_weights(labels: np.ndarray, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """How often each row counts in each replicate of a cluster bootstrap, float64, shape (replicates, n).

    All rows of a cluster carry the same weight; each replicate draws as many clusters as there are.
    Needs 8 * replicates * n bytes; `resample` does the same in chunks.
    """
    clusters = clusters_of(labels)
    return clusters.spread(clusters.draw(replicates, rng))


def resample(clusters: Clusters, evaluate: Evaluate, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap replicates of the k statistics that `evaluate` computes, shape (replicates, k)."""
    done, parts = 0, []
    while done < replicates:
        size = min(clusters.rows_per_chunk, replicates - done)
        parts.append(evaluate(clusters.draw(size, rng)))
        done += size
    return np.concatenate(parts)


def jackknife(clusters: Clusters, evaluate: Evaluate) -> np.ndarray:
    """The statistics with one cluster left out at a time, shape (C, k)."""
    parts = []
    for start in range(0, clusters.count, clusters.rows_per_chunk):
        left_out = np.arange(start, min(start + clusters.rows_per_chunk, clusters.count))
        counts = np.ones((len(left_out), clusters.count))
        counts[np.arange(len(left_out)), left_out] = 0.0
        parts.append(evaluate(counts))
    return np.concatenate(parts)
