"""Reading a study file whole: its includes, its shape, its names; all that is wrong at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fairsqueeze.study.include import read_with_includes
from fairsqueeze.study.located import located
from fairsqueeze.study.names import name_problems
from fairsqueeze.study.offline import substitute
from fairsqueeze.study.spec_file import Place, Problem, SpecFile, StudyProblems
from fairsqueeze.study.study import Study


@dataclass(frozen=True)
class Reading:
    """What a study file holds: its values with their places, the study if there is one, and what is wrong."""

    spec: SpecFile
    study: Study | None
    problems: tuple[Problem, ...]

    def sound(self) -> Study:
        """The study. Raises StudyProblems if anything is wrong with it."""
        if self.problems or self.study is None:
            raise StudyProblems(self.problems)
        return self.study


def read_study(path: Path, *, offline: bool = False) -> Reading:
    """The study in the file at `path`, or its offline form; either form's problems are told where it has both.

    Raises StudyError where the file can't be read at all, StudyProblems where it is no YAML or an include fails.
    """
    spec = read_with_includes(path)
    if offline:
        spec = substitute(spec)
    study, problems = _validated(spec)
    if study is not None and study.offline is not None:
        problems += [one for one in _offline_problems(spec) if one not in problems]
    return Reading(spec, study, tuple(sorted(problems, key=lambda one: (one.path != str(path), one.path, one.line))))


def _offline_problems(spec: SpecFile) -> list[Problem]:
    try:
        return _validated(substitute(spec))[1]
    except StudyProblems as found:
        return list(found.problems)


def _validated(spec: SpecFile) -> tuple[Study | None, list[Problem]]:
    """The study of these values, if their shape allows one, and what is wrong in shape, names and settings."""
    try:
        study = Study.model_validate(spec.value)
    except ValidationError as error:
        problems = located(spec, error)
        rest, gone = _rest(spec.value, [one["loc"] for one in error.errors(include_url=False)])
        return None, problems if rest is None else [*problems, *name_problems(rest, spec, gone)]
    return study, name_problems(study, spec)


def _rest(value: dict[str, Any], bad: Sequence[Place]) -> tuple[Study | None, set[str]]:
    """The study that is left without the keys whose values have a wrong shape: its names can still be checked.

    With it the outermost keys that lost something.
    """
    left = copy.deepcopy(value)
    for place in bad:
        _remove(left, place)
    left = {"name": "unnamed", "models": ["unnamed"], **left}
    try:
        return Study.model_validate(left), {str(place[0]) for place in bad}
    except ValidationError:
        return None, set()


def _remove(value: Any, place: Place) -> None:
    """Take out the innermost mapping entry that `place` leads through; list positions stay, or places would shift."""
    if place and isinstance(value, dict) and place[0] in value:
        below = value[place[0]]
        if len(place) > 1 and isinstance(below, dict) and place[1] in below:
            _remove(below, place[1:])
        else:
            del value[place[0]]
