"""CSV: every estimate and every comparison in long form, one line each."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from fairsqueeze.report.results import COSTS_AGAINST_DENSE, Results

OF_ESTIMATE = (
    *("measure", "statistic", "axis", "value", "low", "high", "n", "n_undefined"),
    *("ideal", "chance", "constant", "status"),
)

COLUMNS = (
    "variant",
    "kind",
    "checkpoint",
    "reference",
    "sparsity",
    "bytes_dense",
    "bytes_zstd",
    *COSTS_AGAINST_DENSE,
    *OF_ESTIMATE,
    "difference",
    "difference_low",
    "difference_high",
    "smallest_detectable",
    "verdict",
)
"""Columns of the table. An empty field is null: not asked, undefined (see `status`) or, for `axis`, all items."""


def long_rows(results: Results) -> list[dict[str, Any]]:
    """One row per model × measure × statistic × axis, unrounded, its change against the dense model beside it."""
    rows = []
    for variant in results.variants:
        model, facts = variant.audit.get("model", {}), variant.footprint
        known = {
            "variant": variant.label,
            "kind": variant.kind,
            "checkpoint": model.get("id"),
            "reference": model.get("reference"),
            **{key: facts.get(key) for key in ("sparsity", "bytes_dense", "bytes_zstd")},
            **results.costs_against_dense(variant),
        }
        for estimate in variant.estimates:
            change = variant.change(estimate["measure"], estimate["statistic"], estimate.get("axis")) or {}
            paired = {
                "difference": change.get("difference"),
                "difference_low": change.get("low"),
                "difference_high": change.get("high"),
                "smallest_detectable": change.get("smallest_detectable"),
                "verdict": change.get("verdict"),
            }
            own = {key: estimate.get(key) for key in OF_ESTIMATE}
            rows.append({**known, **own, **paired})
    return rows


def csv_text(results: Results) -> str:
    """`long_rows` as CSV (RFC 4180, header line, empty fields for null)."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    writer.writerows(long_rows(results))
    return stream.getvalue()


def save_csv(results: Results, path: Path) -> Path:
    """Write `csv_text` to `path`."""
    path.write_text(csv_text(results), encoding="utf-8", newline="")
    return path
