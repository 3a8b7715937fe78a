"""The report: one HTML file that needs no network, and the other formats under one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fairsqueeze.errors import StoreError, unknown_name
from fairsqueeze.report.cards import cards
from fairsqueeze.report.charts import svg
from fairsqueeze.report.details import change_sections, footprint_rows, measure_sections, provenance_rows
from fairsqueeze.report.figures import figures, save_figures
from fairsqueeze.report.findings import Finding, findings, in_short
from fairsqueeze.report.labels import measure_title, verdict_text
from fairsqueeze.report.results import Results
from fairsqueeze.report.summary import summary_cells, summary_columns, summary_rows


def report(results: Results, *, format: str = "html", out: Path | str | None = None) -> Path:
    """Write a report and return its path.

    Args:
        results: what to report; `study.results.load_results(folder)` reads them from a folder.
        format: `html` (one self-contained page), `latex` (booktabs tables), `csv` (all estimates, long form),
            `figures` (a folder of SVG and PNG) or `eee` (a folder of Every Eval Ever documents, one per model).
        out: the file or, for figures and eee, the folder to write; by default `report.html`, `report.tex`,
            `estimates.csv`, `figures/` or `eee/` here.

    Raises UnknownName for another format, StoreError if `out` can't be written.
    """
    writers = _writers()
    if format not in writers:
        raise unknown_name("report format", format, writers)
    default, write = writers[format]
    path = Path(out) if out is not None else Path(default)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(results, path)
    except OSError as problem:
        raise StoreError(
            f"The report can't be written to {path}: {problem.strerror}.", "Give another --out."
        ) from problem
    return path


def render(results: Results) -> str:
    """The page as HTML text. The same results give the same text, byte for byte."""
    columns = summary_columns(results)
    rows = summary_rows(results, columns)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            results=results,
            in_short=in_short(results),
            groups=_grouped(findings(results)),
            columns=columns,
            rows=[(row, summary_cells(row, columns)) for row in rows],
            figures=_drawn(results),
            changes=change_sections(results),
            sections=measure_sections(results),
            footprint=footprint_rows(results),
            cards=cards(results),
            warnings=_warnings(results),
            provenance=provenance_rows(results),
        )
    )


def _writers() -> Mapping[str, tuple[str, Callable[[Results, Path], Any]]]:
    from fairsqueeze.report.eee import save_eee
    from fairsqueeze.report.export import save_csv
    from fairsqueeze.report.latex import save_latex

    return {
        "html": ("report.html", lambda results, path: path.write_text(render(results), encoding="utf-8")),
        "latex": ("report.tex", save_latex),
        "csv": ("estimates.csv", save_csv),
        "figures": ("figures", save_figures),
        "eee": ("eee", save_eee),
    }


def _grouped(found: list[Finding]) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for finding in found:
        groups.setdefault(finding.subject, []).append(finding)
    return groups


def _drawn(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Figures as SVG under their headings. The SVG is vega's own output, which escapes every text in it."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for index, figure in enumerate(figures(results)):
        drawing = Markup(svg(figure.chart, f"f{index}", inherit=True))
        groups.setdefault(figure.group, []).append({"svg": drawing, "caption": figure.caption, "alt": figure.alt})
    return groups


def _warnings(results: Results) -> list[tuple[str, list[str]]]:
    """Each warning once, with the models that it concerns."""
    found: dict[str, list[str]] = {}
    for variant in results.variants:
        for warning in (*variant.audit.get("warnings", ()), *(variant.comparison or {}).get("warnings", ())):
            labels = found.setdefault(str(warning), [])
            if variant.label not in labels:
                labels.append(variant.label)
    everyone = [v.label for v in results.variants]
    return [(text, ["every model"] if labels == everyone else labels) for text, labels in found.items()]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fairsqueeze.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(measure_title=measure_title, verdict=verdict_text)
    return environment
