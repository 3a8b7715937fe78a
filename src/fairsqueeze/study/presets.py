"""Presets: pipelines with a name. Some come with the package, others stand in a study's `presets:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from fairsqueeze.errors import UnknownName, unknown_name
from fairsqueeze.registry import methods

Step = dict[str, dict[str, Any] | None]
Pipeline = list[Step]


@dataclass(frozen=True)
class Preset:
    """Pipelines of the package under one name: what they are, whose, and the pipelines themselves."""

    name: str
    what: str
    source: str
    pipelines: tuple[Pipeline, ...]


@cache
def package_presets() -> dict[str, Preset]:
    """The presets that come with the package, by name (`presets.yaml` has them)."""
    raw = yaml.safe_load(files("fairsqueeze.study").joinpath("presets.yaml").read_text(encoding="utf-8"))
    return {name: Preset(name, one["what"], one["source"], _flat(one, raw)) for name, one in raw.items()}


def _flat(one: Mapping[str, Any], raw: Mapping[str, Any]) -> tuple[Pipeline, ...]:
    """The pipelines of a preset, those of the presets that it gathers first."""
    gathered = [pipeline for name in one.get("of", ()) for pipeline in raw[name]["pipelines"]]
    return (*gathered, *one.get("pipelines", ()))


def pipelines_of(preset: Pipeline | list[Pipeline]) -> list[Pipeline]:
    """The pipelines of a preset as it stands in a study file: one list of steps, or a list of such lists."""
    return [steps for steps in preset if isinstance(steps, list)] or [[s for s in preset if not isinstance(s, list)]]


def named_pipelines(name: str, own: Mapping[str, Pipeline | list[Pipeline]]) -> list[Pipeline]:
    """The pipelines called `name`: of `own`, the study's presets, else of the package's.

    Raises UnknownName with near names; where `name` is a method, it says how a pipeline of it is written.
    """
    if name in own:
        return pipelines_of(own[name])
    known = package_presets()
    if name in known:
        return list(known[name].pipelines)
    if name in methods:
        raise UnknownName(f"{name!r} is a method, not a preset.", f"Write the pipeline as [{{{name}: {{…}}}}].")
    raise unknown_name("preset", name, [*own, *known], "See docs/studies.md.")
