"""The folder of a study (audit, comparison) as a table of results: one row per checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairsqueeze.analysis.long_form import widened
from fairsqueeze.analysis.table import ResultTable
from fairsqueeze.report.load import load_results


def table_of_folder(folder: Path) -> ResultTable:
    """Every estimate of every variant, with size, speed, energy. Reference rows (random, …) are of kind "reference"."""
    results = load_results(folder)
    lines: list[dict[str, Any]] = []
    for variant in results.variants:
        known = {
            "variant": variant.label,
            "kind": variant.kind,
            "model": variant.origin,
            "bytes_zstd": variant.footprint.get("bytes_zstd"),
            **results.costs_against_dense(variant),
        }
        for e in variant.estimates:
            own = {k: e.get(k) for k in ("measure", "statistic", "axis", "value", "low", "high", "ideal", "chance")}
            lines.append({**known, **own})
    columns = {key: [line[key] for line in lines] for key in (lines[0] if lines else {})}
    return widened(ResultTable(str(folder), columns))
