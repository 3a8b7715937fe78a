"""Tables for the terminal. Cells are `Text`, so that nothing in a label is taken for markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from fairsqueeze.report.labels import (
    MISSING,
    interval_text,
    number,
    undefined_word,
    value_text,
    verdict_text,
)
from fairsqueeze.report.results import Results
from fairsqueeze.report.summary import summary_cells, summary_columns, summary_rows

__all__ = ["audit_table", "compare_table", "listing_table", "summary_rows", "summary_table"]

TERMINAL_FAMILIES = 2
"""How many families of bias measures fit beside each other in 100 columns; the page shows all."""

_VERDICT_STYLE = {"worse": "bold red", "better": "green", "unmeasurable": "yellow"}


def summary_table(results: Results) -> Table:
    """One row per model: zeros, size, performance, published statistics, corrected bias, verdict; fits 100 columns."""
    columns = summary_columns(results, TERMINAL_FAMILIES, performance=1)
    table = _table(results.name)
    for column in columns:
        words = column.key in ("variant", "verdict")
        table.add_column(column.title, justify="left" if words else "right", overflow="fold", no_wrap=not words)
    for row in summary_rows(results, columns):
        cells = []
        for column, cell in zip(columns, summary_cells(row, columns), strict=True):
            style = _VERDICT_STYLE.get(row["verdict"], "") if column.key == "verdict" else ""
            cells.append(Text("\n".join(filter(None, (cell.text, cell.interval))), style=style))
        table.add_row(*cells, style="dim" if row["kind"] == "reference" else None)
    table.caption = Text("\n".join(c.meaning for c in columns if c.measure))
    table.caption_justify = "left"
    return table


def audit_table(audit: Mapping[str, Any], *, axes: bool = False) -> Table:
    """The estimates of one audit document: overall figures, and with `axes` those per axis too."""
    table = _table(str(audit.get("model", {}).get("reference", "")))
    _columns(table, ["measure"], no_wrap=True)
    _columns(table, ["statistic", "axis"] if axes else ["statistic"])
    _columns(table, ["value", "95 % interval", "n", "undefined", "ideal", "chance"], "right", no_wrap=True)
    for row in audit.get("estimates", ()):
        if row.get("axis") is not None and not axes:
            continue
        words = [row["measure"], row["statistic"], *([row.get("axis") or "all"] if axes else [])]
        numbers = [value_text(row), interval_text(row), _count(row.get("n")), _count(row.get("n_undefined"))]
        ideals = [number(row.get(key), row["statistic"]) for key in ("ideal", "chance")]
        table.add_row(*map(Text, [*words, *numbers, *ideals]))
    return table


def compare_table(comparison: Mapping[str, Any], *, axes: bool = False) -> Table:
    """The paired differences of one comparison document (other minus base); with `axes` those per axis too."""
    base, other = (str(comparison.get(side, {}).get("reference", side)) for side in ("base", "other"))
    table = _table(f"{other} against {base}: {verdict_text(str(comparison.get('verdict', '')))}")
    _columns(table, ["measure"], no_wrap=True)
    _columns(table, ["statistic", "axis"] if axes else ["statistic"])
    _columns(table, ["base", "other", "difference", "n", "detectable\nfrom"], "right", no_wrap=True)
    _columns(table, ["verdict"])
    for row in comparison.get("comparisons", ()):
        if row.get("axis") is not None and not axes:
            continue
        words = [row["measure"], row["statistic"], *([row.get("axis") or "all"] if axes else [])]
        style = _VERDICT_STYLE.get(row["verdict"], "")
        base_value, other_value, difference, interval, *rest = change_cells(row)
        cells = [*words, base_value, other_value, f"{difference}\n{interval}".strip(), *rest]
        table.add_row(*map(Text, cells), Text(verdict_text(row["verdict"]), style=style))
    return table


def change_cells(row: Mapping[str, Any]) -> list[str]:
    """Base, other, difference, interval, n and smallest detectable difference of one comparison, as texts."""
    word = undefined_word(row) or "undefined"
    name = row["statistic"]
    values = [word if row.get(key) is None else number(row[key], name) for key in ("base", "other", "difference")]
    interval = interval_text({**row, "verdict": "ok"})
    return [*values, interval, _count(row.get("n")), number(row.get("smallest_detectable"), name)]


def listing_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Rows as they are, one column per key of `columns`; lists are joined by commas, a missing value is `–`. Names stay
    on one line, so that they can be copied."""
    table = _table("")
    for column in columns:
        _columns(table, [column.replace("_", " ")], no_wrap=column == "name")
    for row in rows:
        table.add_row(*(Text(_plain(row.get(c))) for c in columns))
    return table


def _table(title: str) -> Table:
    return Table(
        title=Text(title) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0),
    )


def _columns(table: Table, titles: Sequence[str], justify: Any = "left", no_wrap: bool = False) -> None:
    for title in titles:
        table.add_column(title, justify=justify, overflow="fold", no_wrap=no_wrap)


def _count(value: Any) -> str:
    return MISSING if value is None else f"{value:,}"


def _plain(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(sorted(map(str, value)) if isinstance(value, (set, frozenset)) else map(str, value))
    return str(value)
