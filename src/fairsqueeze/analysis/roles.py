"""Which column of a table is what: performance, measures, costs, clusters, dense parents. Every choice is stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fairsqueeze.analysis.checkpoints import Checkpoints, Cost, MeasureColumn, Performance
from fairsqueeze.analysis.known import (
    BIAS,
    COSTS,
    LOWER_IS_BETTER,
    NOT_BIAS,
    PERFORMANCE,
    axis_of,
    chance_of,
    holds,
    ideal_of,
    without_axis,
    words,
)
from fairsqueeze.analysis.lineage import clusters_of_rows, labels_of_rows, parents_of_rows
from fairsqueeze.analysis.table import About, ResultTable
from fairsqueeze.errors import DataError
from fairsqueeze.registry import measures as registered_measures
from fairsqueeze.registry import tasks as registered_tasks

HEADLINE = ("share_stereotypical", "ss", "icat", "mean_abs_effect", "corrected_bias", "corrected_bias.prior")
"""Statistics of a registered measure that are analysed if none is named; else its first, unless that is competence."""


@dataclass(frozen=True)
class Asked:
    """What the caller named; None where it is to be detected."""

    performance: str | None = None
    measures: Sequence[str] | None = None
    cluster: str | None = None
    parent: str | None = None
    ideals: Mapping[str, float] = field(default_factory=dict)
    chance: float | None = None


def checkpoints_of(table: ResultTable, asked: Asked) -> Checkpoints:
    """The checkpoints of a wide table. Rows of kind "reference" are taken out; they tell the chance level."""
    table = _without_references(table)
    choices: list[str] = []
    names = _measure_names(table, asked, choices)
    performance = _performance(table, asked, names, choices)
    ideals: list[str] = []
    measures = tuple(_measure(table, name, asked, ideals) for name in sorted(names, key=_natural))
    choices += _joined(ideals)
    if not any(np.any(~np.isnan(m.values)) for m in measures):
        raise DataError(f"{table.name}: no measure has a value in any row.", "Name other columns with --measure.")
    label_column, labels = labels_of_rows(table, {m.name for m in measures} | {performance.name if performance else ""})
    cluster_column, clusters = clusters_of_rows(table, asked.cluster, choices)
    parent = parents_of_rows(table, asked.parent, (label_column, labels), clusters if cluster_column else None, choices)
    costs = _costs(table, names, performance)
    if costs:
        choices.append(f"Costs, by their names: {', '.join(map(_cost_text, costs))}.")
    found = Checkpoints(
        table.name,
        tuple(labels),
        performance,
        measures,
        tuple(_measure(table, name, asked, []) for name in sorted(_axis_names(table, names), key=_natural)),
        costs,
        clusters,
        cluster_column,
        parent,
    )
    found = replace(found.take(_content_order(table, labels)), choices=tuple(choices))
    rows = np.array([f"{i:09d}" for i in range(found.n)])
    return found if cluster_column else replace(found, clusters=rows)


def _without_references(table: ResultTable) -> ResultTable:
    """The table without its rows of kind "reference", whose performance is kept as the level of chance."""
    kinds = table.columns.get("kind")
    if kinds is None or "reference" not in kinds:
        return table
    keep = [i for i, kind in enumerate(kinds) if kind != "reference"]
    random = [i for i, kind in enumerate(kinds) if kind == "reference"]
    named = [i for i in random if "random" in str(next(iter(table.columns.values()))[i])]
    references = {}
    for column, values in table.columns.items():
        known = [values[i] for i in (named or random) if isinstance(values[i], (int, float))]
        if known:
            references[column] = float(np.mean(known))
    about = {
        name: replace(a, low=None if a.low is None else a.low[keep], high=None if a.high is None else a.high[keep])
        for name, a in table.about.items()
    }
    return ResultTable(table.name, {c: [v[i] for i in keep] for c, v in table.columns.items()}, about, references)


def _measure_names(table: ResultTable, asked: Asked, choices: list[str]) -> list[str]:
    if asked.measures:
        return list(dict.fromkeys(table.column(m, "--measure") for m in asked.measures))
    found = [c for c in table.columns if _is_measure(table, c) and c != asked.performance]
    overall = [c for c in found if table.about.get(c, About()).axis is None]
    found = overall if table.about and overall else found
    if not found:
        raise DataError(
            f"{table.name}: no column is known for a bias measure.",
            f"Name them: --measure COLUMN. Columns: {', '.join(table.columns)}.",
        )
    choices.append(f"Measures, by their names: {', '.join(sorted(found, key=_natural))}.")
    return found


def _axis_names(table: ResultTable, names: Sequence[str]) -> list[str]:
    """Figures by axis, in a long table, of the measures that are analysed overall."""
    methods = {table.about[n].method for n in names if n in table.about and table.about[n].axis is None}
    return [c for c, a in table.about.items() if a.axis is not None and a.method in methods and table.is_numeric(c)]


def _is_measure(table: ResultTable, name: str) -> bool:
    about = table.about.get(name)
    if about is not None and about.method is not None:
        measure, statistic = _registered(about.method)
        if measure is not None:
            first = measure.statistics[0].name
            wanted = HEADLINE if first in (*HEADLINE, "lm_score") else (first, *HEADLINE)
            return measure.role == "measure" and statistic in wanted and table.is_numeric(name)
    own = set(words(name))
    return bool(own & BIAS) and not own & NOT_BIAS and table.is_numeric(name)


def _registered(method: str) -> tuple[Any, str]:
    """The measure or task that `measure.statistic` belongs to, and the statistic; (None, "") for neither."""
    for declared in (*registered_measures, *registered_tasks):
        if method.startswith(f"{declared.name}."):
            return declared, method[len(declared.name) + 1 :]
    return None, ""


def _performance(table: ResultTable, asked: Asked, names: Sequence[str], choices: list[str]) -> Performance | None:
    name = table.column(asked.performance, "--performance") if asked.performance else _find_performance(table, names)
    if name is None:
        choices.append("No column is known for performance: name it with --performance.")
        return None
    if not asked.performance:
        choices.append(f"Performance, by its name: {name}.")
    values = table.numbers(name, "--performance")
    if np.all(np.isnan(values)):
        raise DataError(f"{table.name}: column {name!r} has no value.", "Give --performance another column.")
    low, high = _bounds(table, name)
    lower = bool(LOWER_IS_BETTER & set(words(name)))
    about = table.about.get(name, About())
    hints = [str(v) for c in ("task", "dataset") for v in set(table.columns.get(c, ()))] + [Path(table.name).stem]
    known = chance_of(name, sorted(hints), values)
    chance = next((c for c in (asked.chance, about.chance, table.references.get(name)) if c is not None), None)
    if chance is None and known is not None:
        chance = known[0]
        choices.append(f"Chance level of {name}: {chance:.4g} ({known[1]}).")
    logarithmic = bool({"perplexity", "ppl"} & set(words(name)[-1:]))
    return Performance(name, values, low, high, "lower" if lower else "higher", chance, logarithmic)


def _find_performance(table: ResultTable, names: Sequence[str]) -> str | None:
    free = [c for c in table.columns if c not in names and table.is_numeric(c) and "@" not in c]
    free = [c for c in free if not set(words(c)) & BIAS or holds(c, ["lm"])]
    of_tasks = [c for c in free if (one := _registered(c)[0]) is not None and one.role == "task"]
    for wanted in PERFORMANCE:
        found = [c for c in of_tasks or free if holds(c, [wanted])]
        if found:
            return found[0]
    return None


def _measure(table: ResultTable, name: str, asked: Asked, choices: list[str]) -> MeasureColumn:
    values = table.numbers(name, "--measure")
    about = table.about.get(name, About())
    ideal = next((v for k, v in asked.ideals.items() if table.column(k, "ideals") == name), None)
    if ideal is None and about.ideal is not None:
        ideal = about.ideal
    elif ideal is None:
        known = ideal_of(name, values)
        if known is not None:
            ideal = known[0]
            choices.append(f"Ideal {ideal:g}, {known[1]}: {name}.")
    low, high = _bounds(table, name)
    axis = about.axis if about.method else axis_of(name)
    method = about.method or (without_axis(name) if axis else None)
    return MeasureColumn(name, values, low, high, ideal, axis, method)


def _joined(choices: Sequence[str]) -> list[str]:
    """Choices that begin alike as one."""
    found: dict[str, list[str]] = {}
    for choice in choices:
        how, _, name = choice.rstrip(".").rpartition(": ")
        found.setdefault(how, []).append(name)
    return [f"{how}: {', '.join(names)}." for how, names in found.items()]


def _bounds(table: ResultTable, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a column: from the long table, or columns NAME_low and NAME_high; NaN where there is none."""
    about = table.about.get(name, About())
    if about.low is not None and about.high is not None:
        return about.low, about.high
    pair = [next((c for c in (f"{name}_{e}", f"{name} {e}") if c in table.columns), None) for e in ("low", "high")]
    if None in pair:
        return np.full(table.n, np.nan), np.full(table.n, np.nan)
    low, high = (table.numbers(str(c), "its table") for c in pair)
    return low, high


def _costs(table: ResultTable, names: Sequence[str], performance: Performance | None) -> tuple[Cost, ...]:
    """At most one column of each kind of cost that varies."""
    taken = {*names, performance.name if performance else "", *table.about}
    free = [c for c in table.columns if c not in taken and table.is_numeric(c)]
    free = [c for c in free if not ({"batch", "hidden", "low", "high"} | BIAS) & set(words(c))]
    found = []
    for wanted, better in COSTS.values():
        for column in (c for c in free if holds(c, wanted)):
            values = table.numbers(column, "its table")
            if len(np.unique(values[~np.isnan(values)])) > 1:
                low, high = _bounds(table, column)
                found.append(Cost(column, values, low, high, "higher" if better == "higher" else "lower"))
                break
    return tuple(found)


def _cost_text(cost: Cost) -> str:
    """`speedup (higher is better; undefined in 3 rows, which are on no front)`."""
    undefined = int(np.sum(np.isnan(cost.values)))
    lost = f"; undefined in {undefined} rows, which are on no front" if undefined else ""
    return f"{cost.name} ({cost.better} is better{lost})"


def _content_order(table: ResultTable, labels: Sequence[str]) -> np.ndarray:
    """Rows sorted by all their cells (and by label where one is given), whatever the order of rows and columns."""
    names = sorted(table.columns)
    numbered = all(label.startswith("row ") for label in labels)
    keys = [("" if numbered else labels[i], *(_sortable(table.columns[c][i]) for c in names)) for i in range(table.n)]
    return np.array(sorted(range(table.n), key=lambda i: keys[i]))


def _sortable(value: Any) -> tuple[int, float, str]:
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, (bool, int, float)):
        return (1, float(value), "")
    return (2, 0.0, str(value))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts weat_10 after weat_3."""
    return [(0, int(w), "") if w.isdigit() else (1, 0, w) for w in words(name)] + [(2, 0, name)]
