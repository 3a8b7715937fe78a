"""A study file as it was read: plain values, and for every place in them the file and line that it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fairsqueeze.errors import StudyError

Place = tuple[Any, ...]
"""Keys and list positions that lead to a value: `("pipelines", 0, 1, "rtn", "bits")`."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a study file: where, what, and what to do."""

    path: str
    line: int
    place: str
    message: str
    remedy: str = ""

    @property
    def where(self) -> str:
        return f"{self.path}, line {self.line}"

    @property
    def text(self) -> str:
        """`studies/a.yaml, line 4: pipelines[0]: rtn has no setting 'bit'.`"""
        return ": ".join(filter(None, (self.where, self.place, self.message)))


class StudyProblems(StudyError):
    """All that is wrong in a study file; `problems` has them one by one, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        if len(self.problems) == 1:
            super().__init__(first.text, first.remedy)
            return
        lines = [f"  {one.text} {one.remedy}".rstrip() for one in self.problems]
        super().__init__("\n".join([f"{first.path} has {len(self.problems)} problems.", *lines]))


@dataclass(frozen=True)
class Origin:
    """Where a value stands: its file, its YAML node, and the line of its key (or of itself, in a list)."""

    path: Path
    line: int
    node: yaml.Node


@dataclass(frozen=True)
class SpecFile:
    """The values of a study file.

    `origins` says where the values at some places come from, outermost first; what lies deeper is found within their
    nodes. The place `()` is the file itself.
    """

    path: Path
    value: dict[str, Any]
    origins: dict[Place, Origin] = field(repr=False)

    def origin(self, place: Sequence[Any]) -> Origin:
        """Where the value at `place` stands; for one that is not there, what would hold it."""
        known = next(tuple(place[:n]) for n in range(len(place), -1, -1) if tuple(place[:n]) in self.origins)
        found = self.origins[known]
        for part in place[len(known) :]:
            inner = _child(found, part)
            if inner is None:
                break
            found = inner
        return found

    def problem(self, place: Sequence[Any], message: str, remedy: str = "") -> Problem:
        """The problem of the value at `place`."""
        origin = self.origin(place)
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        return Problem(str(origin.path), origin.line, where, message, remedy)

    def depth(self, place: Sequence[Any]) -> int:
        """How many of the parts of `place` lead to something that is in the values."""
        value: Any = self.value
        for depth, part in enumerate(place):
            if (isinstance(value, Mapping) and part in value) or (
                isinstance(value, list) and isinstance(part, int) and part < len(value)
            ):
                value = value[part]
            else:
                return depth
        return len(place)


def read_spec(path: Path) -> SpecFile:
    """The values of the YAML file at `path`.

    Raises StudyError where it can't be read, StudyProblems for what is no YAML, holds no mapping, or has a key twice
    (YAML would silently take the last).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(f"There is no study file {path}.", "Give the path of a .yaml file.") from None
    except IsADirectoryError:
        raise StudyError(f"{path} is a folder, not a study file.", "Give the path of a .yaml file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} can't be read: {error}.", "Give the path of a .yaml file.") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none, such as 2024-13-01
        raise StudyProblems([_not_yaml(path, error)]) from None
    if not isinstance(value, dict) or root is None:
        raise StudyProblems([Problem(str(path), 1, "", "there is no study in it.", "Start from docs/studies.md.")])
    whole = Origin(path, 1, root)
    twice = [Problem(str(path), line, "", *_twice(name)) for name, line in _repeated(root, set())]
    if twice:
        raise StudyProblems(twice)
    return SpecFile(path, value, {(): whole})


def _not_yaml(path: Path, error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    told = getattr(error, "problem", None) or " ".join(str(error).split())
    return Problem(str(path), mark.line + 1 if mark else 1, "", f"it is not YAML: {told}.", "Mend the syntax.")


def _twice(name: str) -> tuple[str, str]:
    return f"the key {name!r} stands there twice.", "Leave one of them out."


def _repeated(node: yaml.Node, seen: set[int]) -> Iterator[tuple[str, int]]:
    """Keys that stand twice in one mapping, with the line of the second. An alias is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in names:
                yield name, key.start_mark.line + 1
            names.add(name)
            yield from _repeated(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value, seen)


def _child(origin: Origin, part: Any) -> Origin | None:
    node = origin.node
    if isinstance(node, yaml.MappingNode):
        found = [(key, value) for key, value in node.value if key.value == str(part)]
        return Origin(origin.path, found[0][0].start_mark.line + 1, found[0][1]) if found else None
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return Origin(origin.path, node.value[part].start_mark.line + 1, node.value[part])
    return None
