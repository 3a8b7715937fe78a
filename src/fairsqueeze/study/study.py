"""Study: a file that says which models, compressed how, measured with what; checked whole before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fairsqueeze.errors import StudyError
from fairsqueeze.registry import Setting, checked_settings, methods
from fairsqueeze.spec import Spec
from fairsqueeze.study.evaluation import spec_of
from fairsqueeze.study.presets import Pipeline, named_pipelines

REFERENCES = ("random", "constant", "destroyed")

Name = Annotated[str, Field(pattern=r"^\w[\w .+-]*$", max_length=100)]
"""Of a study: also the name of its folder below `runs/`, so that no path can be one."""
Model = Annotated[str, Field(pattern=r"\S")]
Steps = Annotated[Pipeline, Field(min_length=1)]
"""A pipeline in a file: one without a step would be the dense model again."""
Preset = Steps | Annotated[list[Steps], Field(min_length=1)]
Pipelines = list[str | Steps]
Names = list[str | dict[str, dict[str, Any] | None]]
Seeds = list[Annotated[int, Field(ge=0, lt=2**63, strict=True)]]
"""Strict, as `limit` is: YAML reads `yes` as true, which would be 1. A seed is what torch takes."""
Limit = Annotated[int, Field(ge=1, strict=True)]


class Override(BaseModel):
    """What one model is compressed and asked by instead; what is not given is the study's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipelines: Pipelines | None = None
    measures: Names | None = None
    tasks: Names | None = None
    limit: Limit | None = None


class Offline(BaseModel):
    """How the study runs without a network: `models` says which built-in model stands for each of the study's (nothing:
    it is left out; a key may be a pattern, `EleutherAI/*`); every other key replaces the study's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: dict[str, str | None]
    name: Name | None = None
    description: str | None = None
    pipelines: Pipelines | None = None
    references: list[str] | None = None
    measures: Names | None = None
    tasks: Names | None = None
    seeds: Annotated[Seeds, Field(min_length=1)] | None = None
    limit: Limit | None = None
    overrides: dict[str, Override] | None = None
    dtype: str | None = None
    device: str | None = None


class Wanted(BaseModel):
    """Something that the study should have and the software does not have yet: never skipped in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str | None = None
    measure: str | None = None
    task: str | None = None
    model: str | None = None
    why: str = Field(min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Wanted:
        if sum(one is not None for one in (self.method, self.measure, self.task, self.model)) != 1:
            raise ValueError("it names not exactly one thing")
        return self

    @property
    def kind(self) -> str:
        """method, measure, task or model."""
        return next(kind for kind in ("method", "measure", "task", "model") if getattr(self, kind) is not None)

    @property
    def name(self) -> str:
        return str(getattr(self, self.kind))


class Study(BaseModel):
    """What to run.

    `models`: references. `pipelines`: each a list of compression steps `{method: {setting: value or list}}`, or the
    name of a preset; lists span a grid, and the dense model is always included. `references`: reference rows to score
    beside every model, of random, constant, destroyed. `measures`, `tasks`: names, or `{name: {setting: value}}`.
    `seeds`: one run of every seeded method each; the first also draws the sample. `limit`: a seeded, stratified sample
    of items. `overrides`: by model, what replaces `pipelines`, `measures`, `tasks` or `limit` for it (other kinds
    answer other things). `presets`: pipelines by name. `offline`: the form for machines without a network. `wanted`:
    what the study lacks as long as the software lacks it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    description: str = ""
    models: list[Model] = Field(min_length=1)
    presets: dict[str, Preset] = Field(default_factory=dict)
    pipelines: Pipelines = Field(default_factory=list)
    references: list[str] = Field(default_factory=list)
    measures: Names = Field(default_factory=list)
    tasks: Names = Field(default_factory=list)
    seeds: Seeds = Field(default_factory=lambda: [0], min_length=1)
    limit: Limit | None = None
    overrides: dict[str, Override] = Field(default_factory=dict)
    dtype: str = "float32"
    device: str = "cpu"
    wanted: list[Wanted] = Field(default_factory=list)
    offline: Offline | None = None

    @classmethod
    def from_file(cls, path: Path | str, *, offline: bool = False) -> Study:
        """Read and check a study file, or its offline form. Nothing is loaded, and nothing outside the file looked at.

        Raises StudyError that says of everything that is wrong where (file, line), what, and what to do.
        """
        from fairsqueeze.study.reading import read_study

        return read_study(Path(path), offline=offline).sound()

    def grid(self, model: str) -> list[tuple[Spec, ...]]:
        """Every pipeline of `model` with its lists spanned, as specs with checked settings, in the file's order."""
        return [variant for pipeline in self.pipelines_for(model) for variant in span(pipeline)]

    def pipelines_for(self, model: str) -> list[Pipeline]:
        """The pipelines of `model`, with those of presets in the place of their names."""
        found: list[Pipeline] = []
        for one in self._for(model, "pipelines"):
            found += named_pipelines(one, self.presets) if isinstance(one, str) else [one]
        return found

    def evaluations(self, model: str) -> list[Spec]:
        """The tasks of `model`, then its measures, as specs."""
        return [spec_of(value) for value in self.asked_of(model)]

    def asked_of(self, model: str) -> Names:
        """The same as they stand in the file."""
        return [*self._for(model, "tasks"), *self._for(model, "measures")]

    def limit_for(self, model: str) -> int | None:
        """How many items of each measure `model` is asked; None is all."""
        limit: int | None = self._for(model, "limit")
        return limit

    def _for(self, model: str, field: str) -> Any:
        own = getattr(self.overrides.get(model), field, None)
        return getattr(self, field) if own is None else own


def span(pipeline: Sequence[Mapping[str, Mapping[str, Any] | None]]) -> list[tuple[Spec, ...]]:
    """The variants of a pipeline: every choice from its lists, each value checked once."""
    return [tuple(steps) for steps in product(*(_choices(spec_of(step)) for step in pipeline))]


def _choices(spec: Spec) -> list[Spec]:
    declared = methods.get(spec.name)
    lists = {key: value if isinstance(value, list) else [value] for key, value in spec.parameters.items()}
    for key, values in lists.items():
        if not values:
            raise StudyError(f"{spec.name}: a list of {key} is empty.", "Give at least one value.")
    base = checked_settings(declared, {key: values[0] for key, values in lists.items()})
    known: Mapping[str, Setting] = declared.settings
    checked = {key: [known[key].check(value, spec.name) for value in values] for key, values in lists.items()}
    return [Spec(spec.name, {**base, **dict(zip(checked, each, strict=True))}) for each in product(*checked.values())]
