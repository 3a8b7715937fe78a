"""include: a study file that builds on others. What it says itself wins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairsqueeze.errors import StudyError
from fairsqueeze.study.offline import substitute
from fairsqueeze.study.spec_file import Origin, Place, SpecFile, StudyProblems, read_spec

JOINED = ("presets", "overrides")
"""Keys whose entries are joined by name; every other key is taken whole from the file that says it last."""
FORMS = "Write `include: other.yaml`, `include: {file: other.yaml, offline: true}`, or a list of these."


def read_with_includes(path: Path) -> SpecFile:
    """The values of the study file at `path`, on top of those of the files that it includes.

    `include` names a file (relative to the including one), or `{file: …, offline: true}` for its offline form, or
    several of these, of which later ones win over earlier ones.

    Raises StudyError where `path` can't be read, StudyProblems for everything else, with the file and line at fault.
    """
    return _read(path, ())


def _read(path: Path, including: tuple[Path, ...]) -> SpecFile:
    own = read_spec(path)
    if "include" not in own.value:
        return own
    given = own.value["include"]
    several = isinstance(given, list)
    entries = given if several else [given]
    merged: SpecFile | None = None
    for index, entry in enumerate(entries):
        place: Place = ("include", index) if several else ("include",)
        other = _included(own, place, entry, (*including, path.resolve()))
        merged = other if merged is None else over(merged, other)
    rest = SpecFile(path, {key: value for key, value in own.value.items() if key != "include"}, own.origins)
    return rest if merged is None else over(merged, rest)


def _included(own: SpecFile, place: Place, entry: Any, including: tuple[Path, ...]) -> SpecFile:
    name, offline = _name_and_form(own, place, entry)
    target = own.path.parent / Path(name).expanduser()
    if target.resolve() in including:
        chain = " → ".join(file.name for file in (*including, target))
        message = f"{name} includes this file in turn: {chain}."
        raise StudyProblems([own.problem(place, message, "Leave one of the includes out.")])
    try:
        found = _read(target, including)
    except StudyProblems:
        raise  # they name the included file and its line themselves
    except StudyError as error:
        remedy = "The path is relative to the file that includes it."
        raise StudyProblems([own.problem(place, error.message, remedy)]) from None
    return substitute(found) if offline else found


def _name_and_form(own: SpecFile, place: Place, entry: Any) -> tuple[str, bool]:
    if isinstance(entry, str):
        return entry, False
    if isinstance(entry, Mapping) and isinstance(entry.get("file"), str) and set(entry) <= {"file", "offline"}:
        offline = entry.get("offline", False)
        if isinstance(offline, bool):
            return entry["file"], offline
    raise StudyProblems([own.problem(place, f"{entry!r} names no file.", FORMS)])


def over(base: SpecFile, top: SpecFile) -> SpecFile:
    """The values of `top` and, where it says nothing, those of `base`; called by the name of `top`."""
    value, origins = dict(base.value), {place: found for place, found in base.origins.items() if place}
    for key in base.value:
        origins.setdefault((key,), base.origin((key,)))
    for key, own in top.value.items():
        below = value.get(key)
        if key in JOINED and isinstance(own, dict) and isinstance(below, dict):
            _join(origins, base, key, below)
            _join(origins, top, key, own)
            value[key] = {**below, **own}
        else:
            origins = {place: found for place, found in origins.items() if place[0] != key}
            value[key] = own
            origins |= {place: found for place, found in top.origins.items() if place and place[0] == key}
        origins[(key,)] = top.origin((key,))
    return SpecFile(top.path, value, {**origins, (): top.origins[()]})


def _join(origins: dict[Place, Origin], spec: SpecFile, key: str, names: Mapping[str, Any]) -> None:
    origins |= {(key, name): spec.origin((key, name)) for name in names}
