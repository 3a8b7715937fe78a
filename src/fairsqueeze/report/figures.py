"""The figures of a report: which charts these results fill, each with a caption and its content in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fairsqueeze.report.charts import (
    Row,
    by_performance,
    by_sparsity,
    estimate_rows,
    size_rows,
    sizes,
)
from fairsqueeze.report.damage import study_curves
from fairsqueeze.report.figure import Figure, file_name, save_all
from fairsqueeze.report.labels import interval_text, measure_title, number, percent, statistic_title, value_text
from fairsqueeze.report.results import Results, corrected_statistic
from fairsqueeze.report.summary import PERFORMANCE, PUBLISHED

_ORDER = ("share_stereotypical", "ss", "icat", "lm_score", "mean_abs_effect")


def figures(results: Results) -> list[Figure]:
    """Published statistics beside corrected bias, by sparsity and by damage; bias against performance; sizes."""
    found: list[Figure] = []
    performance = performance_of(results)
    several = len(list(results.of_kind("dense", "compressed"))) > 1
    for measure in results.measures:
        corrected = corrected_statistic(results.statistics(measure))
        if corrected is None or not several:
            continue
        published = sorted((s for s in results.statistics(measure) if s in PUBLISHED), key=_ORDER.index)
        found += _against_sparsity(results, measure, [*published[:1], corrected, *published[1:]])
        found += study_curves(results, measure)
        if performance is not None:
            rows = estimate_rows(results, measure, corrected, performance)
            if any(r["performance"] is not None and r["kind"] != "reference" for r in rows):
                found.append(_against_performance(measure, rows))
    rows = size_rows(results)
    if rows and several:
        caption = "Zeros in no pattern make a file smaller only once it is compressed; by themselves they save no time."
        alt = "Size in MB. " + "; ".join(f"{r['variant']}, {r['encoding']}: {r['megabytes']:,.0f}" for r in rows) + "."
        found.append(Figure("size", "Size", sizes(rows), caption, alt))
    return found


def performance_of(results: Results) -> tuple[str, str] | None:
    """Measure and statistic of the performance figure against which bias is drawn: perplexity first, then accuracy."""
    for statistic in PERFORMANCE:
        for measure in results.measures:
            if not results.is_bias(measure) and statistic in results.statistics(measure):
                return measure, statistic
    return None


def save_figures(results: Results, folder: Path) -> list[Path]:
    """Write every figure as SVG and as PNG into `folder`; returns the paths."""
    return save_all(figures(results), folder)


def _against_sparsity(results: Results, measure: str, statistics: Sequence[str]) -> Iterator[Figure]:
    for statistic in statistics:
        rows = estimate_rows(results, measure, statistic)
        kind = "Corrected bias" if statistic.startswith("corrected") else "Published statistic"
        caption = f"{kind} of {measure} against measured sparsity. Whiskers: 95 % intervals. "
        caption += "Solid line: ideal; dashed: chance."
        if any(r["unmeasurable"] for r in rows):
            caption += " Hollow symbols on the lower edge: unmeasurable."
        yield Figure(file_name(measure, statistic), measure_title(measure), by_sparsity(rows), caption, _alt(rows))


def _against_performance(measure: str, rows: Sequence[Row]) -> Figure:
    task = statistic_title(rows[0]["performance_statistic"])
    caption = f"Corrected bias of {measure} against {task}. Whiskers: 95 % intervals; hollow symbols: unmeasurable."
    chart = by_performance(rows)
    return Figure(file_name(measure, "against_performance"), measure_title(measure), chart, caption, _alt(rows, task))


def _alt(rows: Sequence[Row], task: str = "") -> str:
    name = f"{measure_title(rows[0]['measure'])}, {statistic_title(rows[0]['statistic'])}"
    return f"{name}. " + "; ".join(_spoken(r, task) for r in rows) + "."


def _spoken(row: Row, task: str) -> str:
    state = {**row, "status": "unmeasurable" if row["unmeasurable"] else "ok"}
    where = f"{task} {number(row['performance'])}" if task else f"{percent(_share(row))} zeros"
    return f"{row['variant']} ({where}): {value_text(state)} {interval_text(state)}".strip()


def _share(row: Row) -> float | None:
    return None if row["sparsity"] is None else row["sparsity"] / 100
