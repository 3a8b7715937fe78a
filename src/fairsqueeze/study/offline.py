"""offline: a study as it can be run without a network, with built-in models in place of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from fairsqueeze.study.located import located
from fairsqueeze.study.spec_file import Origin, Place, Problem, SpecFile, StudyProblems

BUILTIN = "builtin:"


def substitute(spec: SpecFile) -> SpecFile:
    """The offline form of a study: `offline.models` says what stands for each model, every other key of `offline`
    replaces the study's own. Its name is the study's with `-offline` at the end, if `offline` gives none.

    Overrides go over to the model that stands for theirs, unless `offline` has its own.

    Raises StudyProblems where there is no offline form, or it names no model, or not what stands for each.
    """
    from fairsqueeze.study.study import Offline

    if "offline" not in spec.value:
        place: Place = ("models",)
        remedy = "Add `offline: {models: {MODEL: builtin:NAME}}`, see docs/studies.md."
        raise StudyProblems([spec.problem(place, "the study has no offline form.", remedy)])
    try:
        form = Offline.model_validate(spec.value["offline"])
    except ValidationError as error:
        raise StudyProblems(located(spec, error, ("offline",))) from None
    stands_for, problems = _stand_ins(spec, form.models)
    if problems:
        raise StudyProblems(problems)
    return _replaced(spec, stands_for)


StandIns = dict[str, tuple[str, Place]]
"""By model of the study that stays: what stands for it, and the place that says so."""


def stand_in_of(model: str, models: Mapping[str, str | None]) -> tuple[str | None, str | None]:
    """The key of `offline.models` that names `model` and what it gives; a key may be a pattern: `EleutherAI/*`.

    An exact name comes first, then patterns in their order. (None, None) where no key names it.
    """
    if model in models:
        return model, models[model]
    key = next((key for key in models if fnmatchcase(model, key)), None)
    return key, None if key is None else models[key]


def _stand_ins(spec: SpecFile, models: Mapping[str, str | None]) -> tuple[StandIns, list[Problem]]:
    found: StandIns = {}
    problems = []
    own = [model for model in _list(spec.value.get("models")) if isinstance(model, str)]
    used = set()
    for index, model in enumerate(own):
        key, instead = stand_in_of(model, models)
        used.add(key)
        if key is None and not model.startswith(BUILTIN):
            remedy = f"Add `{model}: builtin:NAME` to offline.models, or `{model}:` with nothing, to leave it out."
            problems.append(spec.problem(("models", index), f"{model} has no offline form.", remedy))
        elif key is None:
            found[model] = (model, ("models", index))
        elif instead is not None:
            found[model] = (instead, ("offline", "models", key))
    for key, instead in models.items():
        place = ("offline", "models", key)
        if key not in used:
            problems.append(spec.problem(place, "it is no model of this study.", f"Models: {', '.join(own)}."))
        if instead is not None and not instead.startswith(BUILTIN):
            remedy = "Name a built-in model (fairsqueeze list models), or nothing."
            problems.append(spec.problem(place, f"{instead!r} is not built in.", remedy))
    if not found and not problems:
        problems.append(spec.problem(("offline", "models"), "no model is left.", "Let one stand for at least one."))
    return found, problems


def _replaced(spec: SpecFile, stands_for: StandIns) -> SpecFile:
    given = spec.value["offline"]
    value = {key: one for key, one in spec.value.items() if key != "offline"}
    origins = {place: origin for place, origin in spec.origins.items() if not place or place[0] != "offline"}
    origins |= {(key,): spec.origin((key,)) for key in value}
    _put_models(spec, stands_for, value, origins)
    if "overrides" not in given:
        _put_overrides(spec, stands_for, value, origins)
    if isinstance(value.get("name"), str):
        value["name"] = f"{value['name']}-offline"
    for key in given:
        if key != "models":
            value[key] = given[key]
            origins = {place: origin for place, origin in origins.items() if not place or place[0] != key}
            origins[(key,)] = spec.origin(("offline", key))
    return SpecFile(spec.path, value, origins)


def _put_models(
    spec: SpecFile,
    stands_for: StandIns,
    value: dict[str, Any],
    origins: dict[Place, Origin],
) -> None:
    value["models"] = list(dict.fromkeys(instead for instead, _ in stands_for.values()))
    for index, model in enumerate(value["models"]):
        place = next(place for instead, place in stands_for.values() if instead == model)
        origins[("models", index)] = spec.origin(place)


def _put_overrides(
    spec: SpecFile,
    stands_for: StandIns,
    value: dict[str, Any],
    origins: dict[Place, Origin],
) -> None:
    """The overrides under the names of the stand-ins. Several that meet in one model must say the same."""
    before = spec.value.get("overrides")
    if not isinstance(before, dict):
        return
    after: dict[str, Any] = {}
    problems = []
    for model, (instead, place) in stands_for.items():
        own = before.get(model)
        if instead in after and after[instead] != own:
            message = f"{instead} stands for several models whose overrides differ."
            problems.append(spec.problem(place, message, "Give `overrides:` under `offline:`."))
        after.setdefault(instead, own)
        origins[("overrides", instead)] = spec.origin(("overrides", model))
    if problems:
        raise StudyProblems(problems)
    value["overrides"] = {model: own for model, own in after.items() if own is not None}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
