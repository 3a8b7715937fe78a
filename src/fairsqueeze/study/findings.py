"""What a look at a study finds: what stops it, what it lacks, what a reader should know. Plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fairsqueeze.study.spec_file import Place, Problem, SpecFile

Level = Literal["problem", "missing", "notice"]


@dataclass(frozen=True)
class Finding:
    """One finding. `level`: "problem" (the study can't run as it stands, here and now), "missing" (something that it
    wants does not exist yet; it runs without), "notice" (what could not be checked, or should be looked at).

    `where` is "FILE, line N", or "" for what stands in no line; `place` the keys that lead there.
    """

    level: Level
    where: str
    place: str
    message: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """`studies/a.yaml, line 4: measures[0]: …`, without the remedy."""
        return ": ".join(filter(None, (self.where, self.place, self.message)))

    def to_json(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "where": self.where,
            "place": self.place,
            "message": self.message,
            "remedy": self.remedy,
        }


def found(problem: Problem, level: Level = "problem") -> Finding:
    """A problem of the file as a finding."""
    return Finding(level, problem.where, problem.place, problem.message, problem.remedy)


class Findings:
    """Findings as they come. What several models share is one finding that names them all."""

    def __init__(self, spec: SpecFile) -> None:
        self._spec = spec
        self._models: dict[tuple[Place, Level, str, str], list[str]] = {}

    def add(self, place: Place, message: str, remedy: str = "", *, level: Level = "problem", model: str = "") -> None:
        """A finding at `place`; a `{models}` in `message` becomes the list of all models that it was added for."""
        named = self._models.setdefault((place, level, message, remedy), [])
        if model and model not in named:
            named.append(model)

    def __iter__(self) -> Iterator[Finding]:
        """In the order of the file; what stands in no line comes last."""
        each = [(self._line(place), finding) for place, finding in self._told()]
        return iter([finding for _, finding in sorted(each, key=lambda one: one[0])])

    def _line(self, place: Place) -> tuple[bool, bool, str, int]:
        origin = self._spec.origin(place)
        return not place, origin.path != self._spec.path, str(origin.path), origin.line

    def _told(self) -> Iterator[tuple[Place, Finding]]:
        for (place, level, message, remedy), models in self._models.items():
            told = message.replace("{models}", _listed(models))
            problem = self._spec.problem(place, told, remedy)
            yield place, found(problem, level) if place else Finding(level, "", "", told, remedy)


def _listed(names: list[str], most: int = 3) -> str:
    """`a, b and 4 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
