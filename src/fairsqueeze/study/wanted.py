"""wanted: what a study should have and the software does not have yet. It is told, not skipped in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairsqueeze.registry import Registry, measures, methods, tasks
from fairsqueeze.study.findings import Findings
from fairsqueeze.study.study import Study, Wanted

REGISTRIES: dict[str, Registry[Any]] = {"method": methods, "measure": measures, "task": tasks}


def look_for_wanted(study: Study, findings: Findings) -> None:
    """A finding for everything that the study wants: that it is not there yet, or that it is now."""
    for index, one in enumerate(study.wanted):
        there = existing(one)
        if there:
            variants = f" as {', '.join(there)}" if there != [one.name] else ""
            now = f"{one.kind} {one.name} exists now{variants}."
            findings.add(("wanted", index), now, f"Move it to `{_key(one)}:`.", level="notice")
        else:
            message = f"not there yet: {one.kind} {one.name} ({one.why.rstrip('.')})."
            findings.add(("wanted", index), message, "The study runs without it.", level="missing")


def existing(one: Wanted) -> list[str]:
    """What there is under the wanted name: itself, or the variants of a family (`winobias.type1` of `winobias`)."""
    if one.kind == "model":
        from fairsqueeze.assets.catalogue import entries

        builtin = one.name.removeprefix("builtin:") in {entry.name for entry in entries("model")}
        return [one.name] if builtin or Path(one.name).expanduser().is_dir() else []
    names = REGISTRIES[one.kind].names()
    return [name for name in names if name == one.name or name.startswith(f"{one.name}.")]


def _key(one: Wanted) -> str:
    return "pipelines" if one.kind == "method" else f"{one.kind}s"
