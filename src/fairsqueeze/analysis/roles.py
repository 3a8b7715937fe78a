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
    scale_of,
    without_axis,
    words,
)
from fairsqueeze.analysis.lineage import clusters_of_rows, labels_of_rows, parents_of_rows
from fairsqueeze.analysis.table import About, ResultTable
from fairsqueeze.errors import BadSetting, DataError
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
    if asked.performance is not None:
        asked = replace(asked, performance=table.column(asked.performance, "--performance"))
    names = _measure_names(table, asked, choices)
    of_axes = _axis_names(table, names, choices)
    asked = replace(asked, ideals=_ideals(table, asked.ideals, [*names, *of_axes]))
    performance = _performance(table, asked, names, choices)
    ideals: list[str] = []
    measures = tuple(_measure(table, name, asked, ideals) for name in sorted(names, key=_natural))
    choices += _joined(ideals)
    if not any(np.any(~np.isnan(m.values)) for m in measures):
        raise DataError(f"{table.name}: no measure has a value in any row.", "Name other columns with --measure.")
    label_column, labels = labels_of_rows(table, {m.name for m in measures} | {performance.name if performance else ""})
    cluster_column, clusters = clusters_of_rows(table, asked.cluster, choices)
    parent = parents_of_rows(table, asked.parent, (label_column, labels), clusters if cluster_column else None, choices)
    costs = _costs(table, names, performance, choices)
    if costs:
        choices.append(f"Costs, by their names: {', '.join(map(_cost_text, costs))}.")
    found = Checkpoints(
        table.name,
        tuple(labels),
        performance,
        measures,
        tuple(_measure(table, name, asked, []) for name in sorted(of_axes, key=_natural)),
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
        those = ResultTable(table.name, {column: [values[i] for i in named or random]})
        if those.is_numeric(column):
            references[column] = float(np.nanmean(those.numbers(column, "--performance")))
    about = {
        name: replace(a, low=None if a.low is None else a.low[keep], high=None if a.high is None else a.high[keep])
        for name, a in table.about.items()
    }
    return ResultTable(table.name, {c: [v[i] for i in keep] for c, v in table.columns.items()}, about, references)


def _measure_names(table: ResultTable, asked: Asked, choices: list[str]) -> list[str]:
    if asked.measures:
        named = list(dict.fromkeys(table.column(m, "--measure") for m in asked.measures))
        if asked.performance in named:
            raise BadSetting(
                f"--performance and --measure both name {asked.performance}.",
                "A measure can't be compared with itself: leave it out of one of the two.",
            )
        return named
    found = [c for c in table.columns if _is_measure(table, c) and c != asked.performance]
    overall = [c for c in found if table.about.get(c, About()).axis is None]
    found = overall if table.about and overall else found
    read = [c for c in found if table.is_numeric(c)]
    unread = [*_unread(table, found, "measure"), *_empty(table, found)]
    if not read:
        raise DataError(
            " ".join([f"{table.name}: no column is known for a bias measure.", *unread]),
            f"Name them: --measure COLUMN. Columns: {', '.join(table.columns)}.",
        )
    choices.append(f"Measures, by their names: {', '.join(sorted(read, key=_natural))}.")
    choices += unread
    return read


def _axis_names(table: ResultTable, names: Sequence[str], choices: list[str]) -> list[str]:
    """Figures by axis, in a long table, of the measures that are analysed overall."""
    methods = {table.about[n].method for n in names if n in table.about and table.about[n].axis is None}
    found = [c for c, a in table.about.items() if a.axis is not None and a.method in methods]
    choices += _unread(table, found, "measure by axis")
    return [c for c in found if table.is_numeric(c)]


def _unread(table: ResultTable, named: Sequence[str], role: str) -> list[str]:
    """One sentence on the columns with digits in them that a cell keeps from being read; none if there is none."""
    why = [f"{c} ({reason})" for c in named if (reason := table.why_not_numeric(c)) is not None]
    return [f"Not read, though named like a {role}: {', '.join(why)}."] if why else []


def _empty(table: ResultTable, named: Sequence[str]) -> list[str]:
    empty = [c for c in named if all(v is None for v in table.columns[c])]
    return [f"Left out, as no row has a value: {', '.join(empty)}."] if empty else []


def _ideals(table: ResultTable, asked: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """The ideals asked for by full column name; an error for a column that is no measure of this analysis."""
    found = {table.column(name, "--ideal"): ideal for name, ideal in asked.items()}
    for name in found:
        if name not in names:
            raise BadSetting(
                f"--ideal {name}: {name} is not among the measures: {', '.join(names)}.",
                "Name one of these, or more with --measure.",
            )
    return found


def _is_measure(table: ResultTable, name: str) -> bool:
    """Whether the name speaks of a bias measure, whatever the cells hold."""
    about = table.about.get(name)
    if about is not None and about.method is not None:
        measure, statistic = _registered(about.method)
        if measure is not None:
            first = measure.statistics[0].name
            wanted = HEADLINE if first in (*HEADLINE, "lm_score") else (first, *HEADLINE)
            return measure.role == "measure" and statistic in wanted
    own = set(words(name))
    return bool(own & BIAS) and not own & NOT_BIAS


def _registered(method: str) -> tuple[Any, str]:
    """The measure or task that `measure.statistic` belongs to, and the statistic; (None, "") for neither."""
    for declared in (*registered_measures, *registered_tasks):
        if method.startswith(f"{declared.name}."):
            return declared, method[len(declared.name) + 1 :]
    return None, ""


def _performance(table: ResultTable, asked: Asked, names: Sequence[str], choices: list[str]) -> Performance | None:
    name = asked.performance or _find_performance(table, names)
    if not asked.performance:
        named = [c for c in table.columns if c not in names and holds(c, PERFORMANCE) and not set(words(c)) & BIAS]
        choices += _unread(table, named, "performance")
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
    known = chance_of(name, sorted(hints), values, table.in_percent(name))
    chance = next((c for c in (asked.chance, about.chance, table.references.get(name)) if c is not None), None)
    if chance is None and known is not None:
        chance = known[0]
        shown = "unknown" if chance is None else f"{chance:.4g}"
        choices.append(f"Chance level of {name}: {shown} ({known[1]}).")
    elif asked.chance is not None and not lower and _looks_larger(table, name, values, asked.chance):
        choices.append(f"Chance level {asked.chance:g} as given, though the values look like percentages: {name}.")
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
    ideal = asked.ideals.get(name, about.ideal)
    if ideal is None:
        known = ideal_of(name, values, table.in_percent(name))
        if known is not None:
            ideal = known[0]
            shown = "No ideal" if ideal is None else f"Ideal {ideal:g}"
            choices.append(f"{shown}, {known[1]}: {name}.")
    elif _looks_larger(table, name, values, ideal):
        choices.append(f"Ideal {ideal:g} as given, though the values look like percentages: {name}.")
    low, high = _bounds(table, name)
    axis = about.axis if about.method else axis_of(name)
    method = about.method or (without_axis(name) if axis else None)
    return MeasureColumn(name, values, low, high, ideal, axis, method)


def _looks_larger(table: ResultTable, name: str, values: np.ndarray, figure: float) -> bool:
    """Whether a figure given as a share stands beside percentages: values up to 100, some above 10 or with a %."""
    in_percent = table.in_percent(name)
    percentages = scale_of(values, in_percent) == "percentages" and (in_percent or np.nanmax(values, initial=0.0) > 10)
    return 0 < figure <= 1 and bool(percentages)


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


def _costs(
    table: ResultTable, names: Sequence[str], performance: Performance | None, choices: list[str]
) -> tuple[Cost, ...]:
    """At most one column of each kind of cost that varies."""
    taken = {*names, performance.name if performance else "", *table.about}
    free = [c for c in table.columns if c not in taken]
    free = [c for c in free if not ({"batch", "hidden", "low", "high"} | BIAS) & set(words(c))]
    choices += _unread(table, [c for c in free if any(holds(c, wanted) for wanted, _ in COSTS.values())], "cost")
    free = [c for c in free if table.is_numeric(c)]
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
