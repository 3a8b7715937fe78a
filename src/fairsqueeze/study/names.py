"""Every name, setting and range of a study, against what is declared: all that is wrong, each with its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import FairsqueezeError, UnknownName, unknown_name
from fairsqueeze.registry import Measure, Method, checked_settings, measures, methods, tasks
from fairsqueeze.study.evaluation import check_once, declared_of, spec_of
from fairsqueeze.study.presets import Pipeline, named_pipelines, pipelines_of
from fairsqueeze.study.spec_file import Place, Problem, SpecFile
from fairsqueeze.study.study import REFERENCES, Override, Study

if TYPE_CHECKING:
    from fairsqueeze.study.study import Names

DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "npu", "mtia", "xla")
PLANNED = "What does not exist yet goes under `wanted:`, see docs/studies.md."


def name_problems(study: Study, spec: SpecFile, skip: Collection[str] = ()) -> list[Problem]:
    """What is wrong in the names and settings of `study`, whose values are `spec`'s; keys in `skip` are left alone."""
    looks = _Looks(study, spec)
    found = [
        *looks.models(),
        *looks.seeds(),
        *looks.machine(),
        *looks.references(),
        *looks.presets(),
        *looks.part((), study),
    ]
    for model, override in study.overrides.items():
        if model not in study.models and "models" not in skip:
            known = f"Models: {', '.join(study.models)}."
            found.append(spec.problem(("overrides", model), f"{model!r} is no model of this study.", known))
        found += looks.part(("overrides", model), override)
    if not {"models", "measures", "tasks", "overrides"} & set(skip):
        found += looks.unasked()
    return found


class _Looks:
    """The looks at a study, each yielding what it finds."""

    def __init__(self, study: Study, spec: SpecFile) -> None:
        self._study, self._spec = study, spec

    def _says(self, place: Place, error: FairsqueezeError) -> Problem:
        return self._spec.problem(place, error.message, error.remedy)

    def models(self) -> Iterator[Problem]:
        from fairsqueeze.models.place import model_entry

        for index, model in enumerate(self._study.models):
            if model in self._study.models[:index]:
                yield self._spec.problem(("models", index), f"{model} stands there twice.", "Leave one of them out.")
            elif model.startswith("builtin:"):
                try:
                    model_entry(model.removeprefix("builtin:"))
                except FairsqueezeError as error:
                    yield self._says(("models", index), error)

    def seeds(self) -> Iterator[Problem]:
        for index, seed in enumerate(self._study.seeds):
            if seed in self._study.seeds[:index]:
                yield self._spec.problem(("seeds", index), f"seed {seed} stands there twice.", "Leave one of them out.")

    def machine(self) -> Iterator[Problem]:
        from fairsqueeze.models.load import DTYPES

        dtype, device = self._study.dtype, self._study.device
        if dtype not in DTYPES:
            yield self._says(("dtype",), unknown_name("dtype", dtype, DTYPES))
        if not re.fullmatch(rf"({'|'.join(DEVICES)})(:\d+)?", device):
            remedy = "It must be cpu, cuda, cuda:1, mps or another device of torch."
            yield self._spec.problem(("device",), f"{device!r} is no device.", remedy)

    def references(self) -> Iterator[Problem]:
        for index, one in enumerate(self._study.references):
            if one not in REFERENCES:
                remedy = f"Use {', '.join(REFERENCES)}."
                yield self._spec.problem(("references", index), f"{one!r} is no reference row.", remedy)

    def presets(self) -> Iterator[Problem]:
        for name, preset in self._study.presets.items():
            nested = any(isinstance(steps, list) for steps in preset)
            for index, pipeline in enumerate(pipelines_of(preset)):
                yield from self._pipeline(("presets", name, index) if nested else ("presets", name), pipeline)

    def part(self, place: Place, part: Study | Override) -> Iterator[Problem]:
        """Tasks, measures and pipelines of a study, or of what replaces them for a model."""
        yield from self._named((*place, "tasks"), "task", part.tasks or ())
        yield from self._named((*place, "measures"), "measure", part.measures or ())
        for index, pipeline in enumerate(part.pipelines or ()):
            at = (*place, "pipelines", index)
            if isinstance(pipeline, str):
                try:
                    named_pipelines(pipeline, self._study.presets)
                except FairsqueezeError as error:
                    yield self._says(at, error)
            else:
                yield from self._pipeline(at, pipeline)

    def _named(self, place: Place, role: str, named: Names | Sequence[Any]) -> Iterator[Problem]:
        sound = []
        for index, value in enumerate(named):
            try:
                spec = spec_of(value)
            except FairsqueezeError as error:
                yield self._says((*place, index), error)
                continue
            try:
                declared = declared_of(spec, role)
            except FairsqueezeError as error:
                known = (tasks if role == "task" else measures).names()
                yield self._says((*place, index), _or_wanted(error, spec.name, known))
                continue
            sound.append(spec)
            below = (*place, index, spec.name) if isinstance(value, Mapping) else (*place, index)
            yield from self._settings(below, declared, spec.parameters)
        try:
            check_once(sound)
        except FairsqueezeError as error:
            yield self._says(place, error)

    def _pipeline(self, place: Place, pipeline: Pipeline) -> Iterator[Problem]:
        packed = ""
        for index, step in enumerate(pipeline):
            at = (*place, index)
            try:
                spec = spec_of(step)
            except FairsqueezeError as error:
                yield self._says(at, error)
                continue
            if spec.name not in methods:
                missing = unknown_name("method", spec.name, methods.names(), "See: fairsqueeze list methods")
                yield self._says(at, _or_wanted(missing, spec.name, methods.names()))
                continue
            declared = methods.get(spec.name)
            if packed:
                message = f"{spec.name} can't follow {packed}, which packs the weights."
                yield self._spec.problem(at, message, f"Let {packed} be the last step.")
            packed = spec.name if declared.packs else packed
            yield from self._settings((*at, spec.name), declared, spec.parameters, lists=True)

    def _settings(
        self, place: Place, declared: Measure | Method, given: Mapping[str, Any], lists: bool = False
    ) -> Iterator[Problem]:
        """Each setting by itself, so that all that are wrong are told; in a pipeline a list is so many values."""
        sound = {}
        for key, value in given.items():
            values = value if lists and isinstance(value, list) else [value]
            if not values:
                message = f"{declared.name}: a list of {key} is empty."
                yield self._spec.problem((*place, key), message, "Give at least one value.")
            known = declared.settings.get(key)
            for one in values:
                try:
                    if known is None:
                        checked_settings(declared, {key: one})  # says that there is none, and what there is
                    else:
                        known.check(one, declared.name)
                except FairsqueezeError as error:
                    yield self._says((*place, key), error)
            if known is not None:
                sound[key] = known.default
        missing = [s for s in declared.settings.values() if s.required and s.name not in sound]
        for setting in missing:
            message = f"{declared.name} needs {setting.name}."
            yield self._spec.problem(place, message, f"Give {setting.describe()}.")

    def unasked(self) -> Iterator[Problem]:
        """Models of which nothing is asked."""
        for index, model in enumerate(self._study.models):
            if not self._study.asked_of(model):
                remedy = "Add `measures:` or `tasks:`, for the study or under `overrides:`."
                yield self._spec.problem(("models", index), f"nothing is asked of {model}.", remedy)


def _or_wanted(error: FairsqueezeError, name: str, known: Collection[str]) -> FairsqueezeError:
    """The error, saying of a name that is unlike all others that it may be planned."""
    family = any(one.startswith(f"{name}.") for one in known)
    if not isinstance(error, UnknownName) or family or name in {*measures.names(), *tasks.names()}:
        return error
    if get_close_matches(name, known, n=1, cutoff=0.75):
        return error
    return UnknownName(error.message, f"{error.remedy} {PLANNED}")
