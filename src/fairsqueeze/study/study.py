"""Study: a file that says which models, compressed how, measured with what; checked whole before anything is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairsqueeze.errors import FairsqueezeError, StudyError
from fairsqueeze.registry import checked_settings, methods
from fairsqueeze.spec import Spec
from fairsqueeze.study.evaluation import check_once, declared_of, spec_of

REFERENCES = ("random", "constant", "destroyed")


Pipelines = list[list[dict[str, dict[str, Any] | None]]]
Names = list[str | dict[str, dict[str, Any] | None]]


class Override(BaseModel):
    """What one model is compressed and asked by instead; what is not given is the study's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipelines: Pipelines | None = None
    measures: Names | None = None
    tasks: Names | None = None
    limit: int | None = Field(default=None, ge=1)


class Study(BaseModel):
    """What to run.

    `models`: references. `pipelines`: each a list of compression steps `{method: {setting: value or list}}`; lists span
    a grid, and the dense model is always included. `references`: reference rows to score beside every model, of
    random, constant, destroyed. `measures`, `tasks`: names, or `{name: {setting: value}}`. `seeds`: one run of every
    seeded method each; the first also draws the sample. `limit`: a seeded, stratified sample of items. `overrides`: by
    model, what replaces `pipelines`, `measures`, `tasks` or `limit` for it (other kinds answer other things).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    models: list[str] = Field(min_length=1)
    pipelines: Pipelines = Field(default_factory=list)
    references: list[str] = Field(default_factory=list)
    measures: Names = Field(default_factory=list)
    tasks: Names = Field(default_factory=list)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default_factory=lambda: [0], min_length=1)
    limit: int | None = Field(default=None, ge=1)
    overrides: dict[str, Override] = Field(default_factory=dict)
    dtype: str = "float32"
    device: str = "cpu"

    @classmethod
    def from_file(cls, path: Path | str) -> Study:
        """Read and check a study file. StudyError says file, line, what is wrong and what to do."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise StudyError(f"There is no study file {path}.", "Give the path of a .yaml file.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(f"{path} can't be read: {error}.", "Give the path of a .yaml file.") from None
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise StudyError(f"{path} is not YAML: {' '.join(str(error).split())}.", "Mend the syntax.") from None
        if not isinstance(value, Mapping) or root is None:
            raise StudyError(f"{path} holds no study.", "Start from docs/studies.md.")
        _check_keys(root, path)
        try:
            study = cls.model_validate(value)
        except ValidationError as error:
            raise _located(path, root, error) from None
        study._check_names(path, root)
        return study

    def grid(self, model: str) -> list[tuple[Spec, ...]]:
        """Every pipeline of `model` with its lists spanned, as specs with checked settings, in the file's order."""
        return [variant for pipeline in self._for(model, "pipelines") for variant in _span(pipeline)]

    def evaluations(self, model: str) -> list[Spec]:
        """The tasks of `model`, then its measures, as specs."""
        return [*map(spec_of, self._for(model, "tasks")), *map(spec_of, self._for(model, "measures"))]

    def limit_for(self, model: str) -> int | None:
        """How many items of each measure `model` is asked; None is all."""
        limit: int | None = self._for(model, "limit")
        return limit

    def _for(self, model: str, field: str) -> Any:
        own = getattr(self.overrides.get(model), field, None)
        return getattr(self, field) if own is None else own

    def _check_names(self, path: Path, root: yaml.Node) -> None:
        """Every name, setting and range, each error with its line."""
        for index, one in enumerate(self.references):
            if one not in REFERENCES:
                message = f"{one!r} is no reference row."
                raise _at(path, root, ("references", index), message, f"Use {', '.join(REFERENCES)}.")
        _check_part(self, path, root, ())
        for model, override in self.overrides.items():
            if model not in self.models:
                known = f"Models: {', '.join(self.models)}."
                raise _at(path, root, ("overrides", model), f"{model!r} is no model of this study.", known)
            _check_part(override, path, root, ("overrides", model))


def _check_part(part: Study | Override, path: Path, root: yaml.Node, place: tuple[Any, ...]) -> None:
    """Names and settings of the tasks, measures and pipelines of a study, or of what replaces them for a model."""
    for role in ("task", "measure"):
        named = getattr(part, f"{role}s") or ()
        for index, value in enumerate(named):
            with _lines(path, root, (*place, f"{role}s", index)):
                spec = spec_of(value)
                checked_settings(declared_of(spec, role), spec.parameters)
        with _lines(path, root, (*place, f"{role}s")):
            check_once([spec_of(value) for value in named])
    for index, pipeline in enumerate(part.pipelines or ()):
        with _lines(path, root, (*place, "pipelines", index)):
            for variant in _span(pipeline):
                for step in variant:
                    checked_settings(methods.get(step.name), step.parameters)


def _span(pipeline: Sequence[Mapping[str, Mapping[str, Any] | None]]) -> list[tuple[Spec, ...]]:
    choices = []
    for step in pipeline:
        spec = spec_of(step)
        keys = list(spec.parameters)
        values = [v if isinstance(v, list) else [v] for v in spec.parameters.values()]
        if [] in values:
            raise StudyError(f"{spec.name}: a list of {keys[values.index([])]} is empty.", "Give at least one value.")
        choices.append([Spec(spec.name, dict(zip(keys, each, strict=True))) for each in product(*values)])
    return [_checked(steps) for steps in product(*choices)]


def _checked(steps: Sequence[Spec]) -> tuple[Spec, ...]:
    return tuple(Spec(s.name, checked_settings(methods.get(s.name), s.parameters)) for s in steps)


@dataclass
class _lines:
    """Errors raised inside get the study file's name and line in front."""

    path: Path
    root: yaml.Node
    place: tuple[Any, ...]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FairsqueezeError):
            raise _at(self.path, self.root, self.place, error.message, error.remedy) from None


def _at(path: Path, root: yaml.Node, place: Sequence[Any], message: str, remedy: str) -> StudyError:
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    return StudyError(f"{path}, line {_line(root, place)}: {where}: {message}", remedy)


def _check_keys(node: yaml.Node, path: Path) -> None:
    """Raises StudyError for a key that stands twice in one mapping: YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                line = key.start_mark.line + 1
                raise StudyError(f"{path}, line {line}: the key {name!r} stands there twice.", "Leave one of them out.")
            seen.add(name)
            _check_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_keys(value, path)


def _located(path: Path, root: yaml.Node, error: ValidationError) -> StudyError:
    first = error.errors()[0]
    place = list(first["loc"])
    if first["type"] == "extra_forbidden":
        key = str(place[-1])
        near = difflib.get_close_matches(key, Study.model_fields, n=2)
        hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else ""
        return _at(path, root, place, f"unknown key {key!r}.", f"{hint} Keys: {', '.join(Study.model_fields)}.".strip())
    if first["type"] == "missing":
        return _at(path, root, place, "is missing.", f"Add `{place[-1]}:`.")
    return _at(path, root, place, f"{first['msg']} (got {first['input']!r}).", "See docs/studies.md.")


def _line(root: yaml.Node, place: Sequence[Any]) -> int:
    node = root
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                break
            node = found[0][1] if part is not place[-1] else found[0][0]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            break
    return node.start_mark.line + 1
