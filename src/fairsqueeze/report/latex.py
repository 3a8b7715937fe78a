"""LaTeX: the summary and the changes as booktabs tables, to be put into a paper with `\\input`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairsqueeze.report.labels import (
    interval_text,
    measure_title,
    number,
    statistic_title,
    undefined_word,
    verdict_text,
)
from fairsqueeze.report.results import Results, corrected_statistic
from fairsqueeze.report.summary import PERFORMANCE, PUBLISHED, summary_cells, summary_columns, summary_rows

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": "$-$",
    "–": "--",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
}

_SIGNS = "▼▲◆="


def escape(text: str) -> str:
    """The text with LaTeX's special characters written out."""
    return "".join(_ESCAPES.get(c, c) for c in text)


def latex(results: Results) -> str:
    """Two tables, `tab:summary` and (where models were compared) `tab:changes`; needs booktabs and graphicx only."""
    head = "% Made by fairsqueeze. Needs \\usepackage{booktabs} and \\usepackage{graphicx}.\n"
    if results.command:
        head += f"% {' '.join(results.command.split())}\n"
    return head + "\n".join(filter(None, (_summary(results), _changes(results))))


def save_latex(results: Results, path: Path) -> Path:
    """Write `latex` to `path`."""
    path.write_text(latex(results), encoding="utf-8")
    return path


def _summary(results: Results) -> str:
    columns = summary_columns(results)
    heads = [c.title.replace("\n", " ") for c in columns]
    body = []
    kind = ""
    for row in summary_rows(results, columns):
        if kind and row["kind"] == "reference" != kind:
            body.append(r"\midrule")
        kind = row["kind"]
        body.append(_line([_unsigned(str(cell)) for cell in summary_cells(row, columns)]))
    caption = f"{results.name}: performance, published bias statistics and corrected bias".removeprefix(": ")
    notes = " ".join(c.meaning for c in columns if c.measure)
    return _table("tab:summary", f"{caption}. {notes}", "l" + "r" * (len(columns) - 2) + "l", heads, body)


def _changes(results: Results) -> str:
    body = []
    for variant in results.variants:
        for change in variant.comparisons:
            if change.get("axis") is not None or change["statistic"] not in _wanted(results, change["measure"]):
                continue
            word = undefined_word(change)
            difference = word or f"{number(change['difference'], change['statistic'])} {interval_text(change)}"
            cells = [
                variant.label,
                f"{measure_title(change['measure'])}: {statistic_title(change['statistic'])}",
                difference,
                f"{change['n']:,}" if change.get("n") is not None else "–",
                _unsigned(verdict_text(change["verdict"])),
            ]
            body.append(_line(cells))
    if not body:
        return ""
    caption = "Paired differences from the dense model on the same items, with 95 % intervals."
    return _table("tab:changes", caption, "llrrl", ["model", "statistic", "difference", "n", "verdict"], body)


def _wanted(results: Results, measure: str) -> tuple[str, ...]:
    corrected = corrected_statistic(results.statistics(measure))
    return (*PERFORMANCE, *PUBLISHED, *((corrected,) if corrected else ()))


def _table(label: str, caption: str, spec: str, heads: Sequence[str], body: Sequence[str]) -> str:
    lines = [
        r"\begin{table}[tb]",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{{label}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        _line(heads),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(escape(c) for c in cells) + r" \\"


def _unsigned(text: str) -> str:
    """The verdict without its sign, which LaTeX's fonts lack."""
    return text.lstrip(_SIGNS).strip()
