"""What `study plan` prints: variants, steps by kind, and what they may be expected to take."""

from __future__ import annotations

from typing import Any

from rich.console import Group

from fairsqueeze.report.table import listing_table

UNKNOWN = "not measured yet"
MANY = 200
"""Variants up to which each has its line."""


def plan_text(document: dict[str, Any]) -> Any:
    """The variants (where there are not too many), a table of steps, and the sums."""
    variants = document["variants"]
    shown = [{k: v for k, v in one.items() if k != "id"} for one in variants]
    listed = listing_table(shown, list(shown[0])) if len(shown) <= MANY else f"{len(shown)} variants"
    rows = [_row(row) for row in document["rows"]]
    steps = [listing_table(rows, list(rows[0]))] if rows else []
    problems = [f"{model}: not counted: {why}" for model, why in document["problems"].items()]
    return Group(listed, *steps, _sums(document), *problems)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    open_steps = row["steps"] - row["cached"]
    return {
        "model": row["model"],
        "step": row["what"],
        "to do": open_steps,
        "cached": row["cached"],
        "items": row["size"] or "",
        "time": duration(row["seconds"]) if open_steps else "",
        "disk": size(row["bytes"]) if open_steps and row["size"] else "",
        "memory": size(row["peak"]) if open_steps and row["size"] else "",
    }


def _sums(document: dict[str, Any]) -> str:
    told = (
        f"{document['steps'] - document['cached']} of {document['steps']} steps to do, {document['cached']} cached. "
        f"Expected: time {duration(document['seconds'])}, disk {size(document['bytes'])}, "
        f"memory {size(document['peak_bytes'])} ({size(document['available_bytes'])} available)."
    )
    if document["begun"]:
        told += (
            f" Besides, {document['begun']} files of records belong to no finished variant: a run finds those that it"
            " needs once their checkpoints are made."
        )
    without = document["not_measured"]
    return f"{told} Not in the sum, since not measured yet: {', '.join(without)}." if without else told


def duration(seconds: float | None) -> str:
    """`40 s`, `12 min`, `3.5 h`, or that nothing is known."""
    if seconds is None:
        return UNKNOWN
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float | None) -> str:
    """`3.4 GB`, `12 MB`, `5 kB`, or that nothing is known."""
    if count is None:
        return UNKNOWN
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1e3:.0f} kB"
