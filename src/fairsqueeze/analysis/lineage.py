"""Which rows of a table belong together: labels, clusters, dense parents; named, or told by the columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairsqueeze.analysis.known import BIAS, PERFORMANCE, words
from fairsqueeze.analysis.table import ResultTable
from fairsqueeze.errors import BadSetting, DataError

CLUSTERS = (
    *("cluster", "family", "run_family", "parent", "teacher", "base_model", "base_model_name", "base"),
    *("model_family", "model", "model_name", "seed", "run", "repeat"),
)
"""Columns that are taken for clusters, in this order, if they name two or more groups and some group has two rows."""

LABELS = ("label", "variant", "checkpoint", "name", "model_name", "model", "run", "id")
DENSE = ("dense", "none", "original", "baseline", "unpruned", "teacher", "full")
MARKS = ("kind", "role", "pruning_method", "compression_method", "method", "compression", "variant", "label")


def clusters_of_rows(table: ResultTable, asked: str | None, choices: list[str]) -> tuple[str | None, np.ndarray]:
    """The column that says which rows are not independent, and its values as texts; row numbers if there is none."""
    rows = np.array([f"{i:09d}" for i in range(table.n)])
    if asked == "none" and "none" not in table.columns:
        choices.append("Clusters: none, as asked; each row is taken as independent.")
        return None, rows
    if asked is not None:
        name = table.column(asked, "--cluster")
        return name, np.array([str(v) for v in table.columns[name]])
    by_name = {c.lower(): c for c in table.columns}
    for name in (by_name[c] for c in CLUSTERS if c in by_name):
        groups = len(set(table.columns[name]))
        if 2 <= groups < table.n:
            choices.append(f"Clusters: rows of one {name} ({groups} in all) are taken as dependent.")
            return name, np.array([str(v) for v in table.columns[name]])
    choices.append("Clusters: no column tells which rows belong together, so each is taken as independent.")
    return None, rows


def parents_of_rows(
    table: ResultTable,
    asked: str | None,
    labelled: tuple[str | None, Sequence[str]],
    clusters: np.ndarray | None,
    choices: list[str],
) -> np.ndarray:
    """Index of each row's dense parent: named by a column, or marked `COLUMN=VALUE` within each cluster."""
    column, equals, value = (asked or "").partition("=")
    if asked and not equals:
        return _named_parents(table, table.column(column, "--parent"), labelled)
    if asked:
        name = table.column(column, "--parent")
        marked = [str(v) == value for v in table.columns[name]]
        if not any(marked):
            raise BadSetting(f"--parent: no row has {name} = {value}.", "Give COLUMN=VALUE as the dense rows have it.")
        return _marked_parents(table, marked, clusters, f"{name} = {value}")
    if "parent" in table.columns and set(table.columns["parent"]) - {None} <= set(labelled[1]):
        choices.append("Dense parents: named in column parent.")
        return _named_parents(table, "parent", labelled)
    mark, marked = _dense_marks(table)
    if mark is None:
        return np.full(table.n, -1)
    choices.append(f"Dense parents: the rows that {mark} marks as dense.")
    try:
        return _marked_parents(table, marked, clusters, f"{mark}: dense")
    except DataError as error:
        choices[-1] = f"No dense parents: {error.message}"
        return np.full(table.n, -1)


def _dense_marks(table: ResultTable) -> tuple[str | None, list[bool]]:
    by_name = {c.lower(): c for c in table.columns}
    for name in (by_name[c] for c in MARKS if c in by_name):
        texts = [None if v is None else str(v).lower() for v in table.columns[name]]
        for dense in (*DENSE, None):
            marked = [t == dense for t in texts]
            if any(marked) and not all(marked):
                return name, marked
    return None, []


def _named_parents(table: ResultTable, name: str, labelled: tuple[str | None, Sequence[str]]) -> np.ndarray:
    place = {label: i for i, label in enumerate(labelled[1])}
    found = np.full(table.n, -1)
    for row, value in enumerate(table.columns[name]):
        if value is None:
            continue
        if str(value) not in place:
            raise DataError(
                f"{table.name}: column {name!r}, row {row + 1}: no row is called {value!r}.",
                f"Name parents as in column {labelled[0]}." if labelled[0] else "Add a column `label`.",
            )
        found[row] = place[str(value)]
    parents = np.unique(found[found >= 0])
    found[parents] = np.where(found[parents] < 0, parents, found[parents])
    return found


def _marked_parents(table: ResultTable, marked: Sequence[bool], clusters: np.ndarray | None, how: str) -> np.ndarray:
    groups = np.zeros(table.n, dtype=int) if clusters is None else np.unique(clusters, return_inverse=True)[1].ravel()
    found = np.full(table.n, -1)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        dense = [int(i) for i in members if marked[int(i)]]
        if len(dense) > 1:
            raise DataError(
                f"{table.name}: rows {dense[0] + 1} and {dense[1] + 1} of one cluster are both dense ({how}).",
                "Give --cluster the column that tells models apart.",
            )
        found[members] = dense[0] if dense else -1
    return found


def labels_of_rows(table: ResultTable, taken: set[str]) -> tuple[str | None, list[str]]:
    """A text that tells each row apart: from a column, from all settings that vary, or its number."""
    by_name = {c.lower(): c for c in table.columns}
    for wanted in LABELS:
        name = by_name.get(wanted)
        if name is None or len(set(table.columns[name])) < table.n or None in table.columns[name]:
            continue
        if not table.is_numeric(name):
            return name, [str(v) for v in table.columns[name]]
    settings = [
        c
        for c in table.columns
        if c not in taken and c not in table.about and not set(words(c)) & (BIAS | {"p", "epoch", "date", "score"})
        if len({str(v) for v in table.columns[c]}) > 1 and not (set(words(c)) & set(PERFORMANCE))
    ]
    for chosen in ([c for c in settings if c.lower() != "id"][:6], settings[:7]):
        texts = [
            ", ".join(f"{c} {table.columns[c][i]}" for c in chosen if table.columns[c][i] is not None) or "no settings"
            for i in range(table.n)
        ]
        if chosen and len(set(texts)) == table.n:
            return None, texts
    return None, [f"row {i + 1}" for i in range(table.n)]
