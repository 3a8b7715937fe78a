"""The report: one HTML file that needs no network, and the other formats under one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairsqueeze.errors import StoreError, unknown_name
from fairsqueeze.report.cards import cards
from fairsqueeze.report.details import change_sections, footprint_rows, measure_sections, provenance_rows
from fairsqueeze.report.environment import drawn, environment
from fairsqueeze.report.figures import figures, save_figures
from fairsqueeze.report.findings import Finding, findings, in_short
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
    return _written(results, _writers(), format, out)


def report_card(card: Mapping[str, Any], *, format: str = "html", out: Path | str | None = None) -> Path:
    """Write the report card of a measure and return its path.

    Args:
        card: the document that `validate` made (`ReportCard.to_json()`).
        format: `html` (one self-contained page) or `figures` (a folder with its curves as SVG and PNG).
        out: the file or folder to write; by default `validation.html` or `figures/` here.

    Raises: as `report`; StoreError if `card` is none.
    """
    from fairsqueeze.report.validation_page import checked_card, save_card_figures, save_card_page

    writers: Writers = {"html": ("validation.html", save_card_page), "figures": ("figures", save_card_figures)}
    return _written(checked_card(card, "The document"), writers, format, out)


def report_folder(folder: Path | str, *, format: str = "html", out: Path | str | None = None) -> Path:
    """Write the report of the folder of an audit, a comparison or a study, or the card of a measure that was validated.

    Args:
        folder: the `--out` of one of these, or a URL. What was audited there goes before a card.
        format, out: as in `report` and `report_card`; by default the file is made in `folder`, or here for a URL.

    Raises: as these; StoreError if `folder` holds none of them.
    """
    from fairsqueeze.report.load import holds_results, load_results
    from fairsqueeze.study.store import Store

    card = None if holds_results(folder) else Store(folder).read_document("validation")
    results = None if card is not None else load_results(folder)
    name = {"html": "report.html", "latex": "table.tex", "csv": "estimates.csv"}.get(format, format)
    here = Path() if "://" in str(folder) else Path(folder)
    path = here / name if out is None else out
    if results is not None:
        return report(results, format=format, out=path)
    return report_card(card or {}, format=format, out=path)


Writers = Mapping[str, tuple[str, Callable[[Any, Path], Any]]]


def _written(subject: Any, writers: Writers, format: str, out: Path | str | None) -> Path:
    """`subject` written by the writer of `format`."""
    if format not in writers:
        raise unknown_name("report format", format, writers)
    default, write = writers[format]
    path = Path(out) if out is not None else Path(default)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(subject, path)
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
        environment()
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


def _writers() -> Writers:
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
    """Figures under their headings."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for figure in drawn(figures(results)):
        groups.setdefault(figure["group"], []).append(figure)
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
