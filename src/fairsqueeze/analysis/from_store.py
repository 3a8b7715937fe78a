"""The folder of a study (audit, comparison) as a table of results: one row per checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairsqueeze.analysis.long_form import widened
from fairsqueeze.analysis.table import ResultTable
from fairsqueeze.report.load import load_results

_SPEED = ("speedup", "speedup_low", "speedup_high")
"""Against the dense model, which has 1 by definition."""


def table_of_folder(folder: Path) -> ResultTable:
    """Every estimate of every variant, with size and speed. Reference rows (random, …) come as kind "reference"."""
    results = load_results(folder)
    lines: list[dict[str, Any]] = []
    for variant in results.variants:
        facts = variant.footprint
        latency = facts.get("latency") or {}
        known = {
            "variant": variant.label,
            "kind": variant.kind,
            "model": _dense_model(str(variant.audit.get("model", {}).get("reference"))),
            "bytes_zstd": facts.get("bytes_zstd"),
            **{k: latency.get(k, 1.0 if variant.kind == "dense" else None) for k in _SPEED},
        }
        for e in variant.estimates:
            own = {k: e.get(k) for k in ("measure", "statistic", "axis", "value", "low", "high", "ideal", "chance")}
            lines.append({**known, **own})
    columns = {key: [line[key] for line in lines] for key in (lines[0] if lines else {})}
    return widened(ResultTable(str(folder), columns))


def _dense_model(reference: str) -> str:
    """The dense model of a variant whose reference is `MODEL`, `MODEL > label` or `reference:KIND:MODEL`."""
    if reference.startswith("reference:"):
        return reference.split(":", 2)[2]
    return reference.split(" > ")[0]
