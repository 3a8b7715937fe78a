"""The folder of a study (audit, comparison) as a table of results: one row per checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairsqueeze.analysis.long_form import widened
from fairsqueeze.analysis.table import ResultTable
from fairsqueeze.report.load import load_results

_SPEED = ("speedup", "speedup_low", "speedup_high")
"""Against the dense model, which has 1 by definition."""

_ENERGY = tuple(f"energy_against_dense{bound}" for bound in ("", "_low", "_high"))
"""Joules a pass against the dense model, which has 1 by definition where any other was measured; else undefined."""


def table_of_folder(folder: Path) -> ResultTable:
    """Every estimate of every variant, with size, speed, energy. Reference rows (random, …) are of kind "reference"."""
    results = load_results(folder)
    metered = {_dense_model(_reference(v)) for v in results.variants if _energy(v).get("against_dense") is not None}
    lines: list[dict[str, Any]] = []
    for variant in results.variants:
        facts = variant.footprint
        latency, energy = facts.get("latency") or {}, _energy(variant)
        model, dense = _dense_model(_reference(variant)), variant.kind == "dense"
        known = {
            "variant": variant.label,
            "kind": variant.kind,
            "model": model,
            "bytes_zstd": facts.get("bytes_zstd"),
            **{k: latency.get(k, 1.0 if dense else None) for k in _SPEED},
            **{k: 1.0 if dense and model in metered else energy.get(k.removeprefix("energy_")) for k in _ENERGY},
        }
        for e in variant.estimates:
            own = {k: e.get(k) for k in ("measure", "statistic", "axis", "value", "low", "high", "ideal", "chance")}
            lines.append({**known, **own})
    columns = {key: [line[key] for line in lines] for key in (lines[0] if lines else {})}
    return widened(ResultTable(str(folder), columns))


def _reference(variant: Any) -> str:
    return str(variant.audit.get("model", {}).get("reference"))


def _energy(variant: Any) -> Mapping[str, Any]:
    return (variant.footprint.get("latency") or {}).get("energy") or {}


def _dense_model(reference: str) -> str:
    """The dense model of a variant whose reference is `MODEL`, `MODEL > label` or `reference:KIND:MODEL`."""
    if reference.startswith("reference:"):
        return reference.split(":", 2)[2]
    return reference.split(" > ")[0]
