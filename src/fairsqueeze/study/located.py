"""What pydantic finds wrong in the values of a study file, in words, with file and line."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from fairsqueeze.study.spec_file import Place, Problem, SpecFile

_SETTINGS = "{setting: value}"
FORMS = {
    "name": "the study's, and its folder's: letters, digits, spaces, . _ + - (a letter or digit first), at most 100",
    "limit": "a whole number of at least 1, without quotes",
    "seeds": "a list of whole numbers from 0 to 2**63 - 1, without quotes",
    "models": "a list of models: hub ids, folders, .gguf files or builtin:NAME",
    "pipelines": f"a list; each entry a preset's name, or a list of at least one step {{method: {_SETTINGS}}} "
    "(the dense model is always included)",
    "presets": f"names, each with a list of at least one step {{method: {_SETTINGS}}} or a list of such lists",
    "measures": f"a list of names, or {{name: {_SETTINGS}}}",
    "tasks": f"a list of names, or {{name: {_SETTINGS}}}",
    "references": "a list of random, constant, destroyed",
    "wanted": "a list of {measure|task|method|model: NAME, why: TEXT}",
}
"""What stands under a key, where the types alone would not tell a reader."""


def located(spec: SpecFile, error: ValidationError, place: Place = ()) -> list[Problem]:
    """One problem for each place at which `error` found something; `place` leads to what was validated."""
    found: dict[Place, Problem] = {}
    for one in error.errors(include_url=False):
        at = (*place, *one["loc"])
        if one["type"] not in ("extra_forbidden", "missing"):
            at = at[: spec.depth(at)]  # the rest names a branch of a union, not a place
        found.setdefault(at, spec.problem(at, *_in_words(at, one)))
    return list(found.values())


def _in_words(place: Place, one: Any) -> tuple[str, str]:
    if one["type"] == "extra_forbidden":
        return unknown_key(str(place[-1]), _keys_at(place[:-1]))
    if one["type"] == "missing":
        return "it is missing.", f"Add `{place[-1]}:`."
    message = one["msg"].removeprefix("Value error, ").rstrip(".")
    if one["type"] == "value_error":
        return f"{message}.", f"It must be {FORMS['wanted']}."
    if place[:2] == ("offline", "models"):
        return f"{_short(one['input'])} can't stand here.", "Write MODEL: builtin:NAME, or MODEL: with nothing."
    field = next((part for part in reversed(place) if part in FORMS), None)
    if field is not None:
        return f"{_short(one['input'])} can't stand here.", f"`{field}` is {FORMS[field]}."
    return f"{message} (got {_short(one['input'])}).", "See docs/studies.md."


def unknown_key(key: str, known: list[str]) -> tuple[str, str]:
    """Message and remedy for a key that a mapping of a study file can't have."""
    near = get_close_matches(key, known, n=2)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"unknown key {key!r}.", f"{hint}Keys: {', '.join(known)}."


def _keys_at(place: Place) -> list[str]:
    """The keys that the mapping at `place` may have."""
    from fairsqueeze.study.study import Offline, Override, Study, Wanted

    if place and place[0] == "wanted":
        return list(Wanted.model_fields)
    if "overrides" in place:
        return list(Override.model_fields)
    if place == ("offline",):
        return list(Offline.model_fields)
    return [*Study.model_fields, "include"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
