"""A table with one line per checkpoint × measure (as `report --format csv` writes it) to one line per checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fairsqueeze.analysis.table import About, ResultTable
from fairsqueeze.errors import DataError

MEASURE = ("measure", "metric", "benchmark", "statistic")
VALUE = ("value", "score", "result", "estimate")
CHECKPOINT = ("variant", "checkpoint", "model", "label", "name", "run", "id", "seed", "reference")
"""Columns that tell checkpoints apart; all that are there do so together."""

_OF_CELL = {
    *("axis", "low", "high", "n", "n_undefined", "ideal", "chance", "constant", "status", "method", "n_clusters"),
    *("difference", "difference_low", "difference_high", "smallest_detectable", "verdict", "reason", "statistic"),
}
"""Columns that belong to a value and not to its checkpoint."""


def is_long(table: ResultTable) -> bool:
    """Whether there is a column of measure names, one of values, and one that tells checkpoints apart."""
    names = {c.lower() for c in table.columns}
    return all(names & set(group) for group in (MEASURE, VALUE, CHECKPOINT))


def widened(table: ResultTable) -> ResultTable:
    """One row per checkpoint, one column `measure.statistic` (per axis `measure.statistic@axis`) per figure."""
    names = {c.lower(): c for c in table.columns}
    measure, value = (next(names[c] for c in group if c in names) for group in (MEASURE, VALUE))
    keys = [names[c] for c in CHECKPOINT if c in names and names[c] != measure]
    rows = list(zip(*(table.columns[k] for k in keys), strict=True))
    checkpoints = list(dict.fromkeys(rows))
    place = {key: i for i, key in enumerate(checkpoints)}
    cells = [_figure(table, names, measure, i) for i in range(table.n)]
    taken: dict[str, dict[int, int]] = {}
    for i, (figure, key) in enumerate(zip(cells, rows, strict=True)):
        column = taken.setdefault(figure, {})
        if place[key] in column:
            who = ", ".join(f"{k} {v}" for k, v in zip(keys, key, strict=True))
            raise DataError(
                f"{table.name}, row {i + 1}: a second value of {figure} for {who}.",
                "Give each checkpoint one value per measure, or a column that tells these checkpoints apart.",
            )
        column[place[key]] = i
    columns = _attributes(table, {measure, value, *(names[c] for c in _OF_CELL if c in names)}, rows, checkpoints)
    about = {}
    for figure, lines in taken.items():
        columns[figure] = [table.columns[value][lines[r]] if r in lines else None for r in range(len(checkpoints))]
        about[figure] = _about(table, names, measure, lines, len(checkpoints))
    return ResultTable(table.name, columns, about)


def _figure(table: ResultTable, names: dict[str, str], measure: str, i: int) -> str:
    parts = [table.columns[measure][i]]
    if "statistic" in names and names["statistic"] != measure:
        parts.append(table.columns[names["statistic"]][i])
    axis = table.columns[names["axis"]][i] if "axis" in names else None
    text = ".".join(str(p) for p in parts if p is not None)
    return f"{text}@{axis}" if axis is not None else text


def _attributes(
    table: ResultTable, of_cells: set[str], rows: Sequence[Any], checkpoints: Sequence[Any]
) -> dict[str, list[Any]]:
    """Columns that say the same in all lines of each checkpoint."""
    found = {}
    for name, values in table.columns.items():
        if name in of_cells:
            continue
        seen: dict[Any, set[Any]] = {}
        for key, v in zip(rows, values, strict=True):
            seen.setdefault(key, set()).add(v)
        if all(len(v) == 1 for v in seen.values()):
            found[name] = [next(iter(seen[key])) for key in checkpoints]
    return found


def _about(table: ResultTable, names: dict[str, str], measure: str, lines: dict[int, int], n: int) -> About:
    def bound(name: str) -> np.ndarray | None:
        if name not in names:
            return None
        values = table.numbers(names[name], "--measure")
        found = np.full(n, np.nan)
        found[list(lines)] = values[list(lines.values())]
        return found

    def single(name: str) -> float | None:
        if name not in names:
            return None
        known = {table.columns[names[name]][i] for i in lines.values()} - {None}
        return float(next(iter(known))) if len(known) == 1 else None

    first = next(iter(lines.values()))
    axis = table.columns[names["axis"]][first] if "axis" in names else None
    method = _figure(table, {k: v for k, v in names.items() if k != "axis"}, measure, first)
    return About(bound("low"), bound("high"), single("ideal"), single("chance"), axis, method)
