"""What will be asked of a model: measures and tasks by name, checked, their data located, their items sampled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairsqueeze.assets.hub_file import PREFIX, hub_file
from fairsqueeze.assets.locate import Located, locate
from fairsqueeze.errors import AssetError, ModelError, StudyError, UnknownName
from fairsqueeze.items import Item, sample
from fairsqueeze.registry import Kind, Measure, call_with, checked_settings, measures, tasks
from fairsqueeze.spec import Spec, canonical_json, content_id


@dataclass(frozen=True)
class Evaluation:
    """One measure or task, ready to be asked.

    `n_available` is the number of items before sampling; `items_id` a hash of the ids and contents of those that
    remain, so that a step never mixes up two samples or two versions of a stimulus table.
    """

    declared: Measure
    settings: dict[str, Any]
    items: tuple[Item, ...]
    n_available: int
    items_id: str
    data: dict[str, Located]

    @property
    def spec(self) -> Spec:
        return Spec(self.declared.name, self.settings)

    def step(self, checkpoint: str, context: Mapping[str, Any]) -> str:
        """Content id of scoring this on `checkpoint`; `context` holds what else the numbers depend on."""
        return content_id(
            {
                "checkpoint": checkpoint,
                "measure": self.spec.to_json(),
                "version": self.declared.version,
                "items": self.items_id,
                "data": {name: located.sha256 for name, located in self.data.items()},
                "context": dict(context),
            },
            length=24,
        )

    def asks(self, item: Item) -> Mapping[str, Any]:
        return call_with(self.declared.asks, item, settings=self.settings)

    def check_outputs(self, names: Sequence[str]) -> None:
        """Raises where a classifier whose outputs have these names can't be asked this."""
        if self.declared.check_outputs is not None:
            call_with(self.declared.check_outputs, names, self.items, settings=self.settings)


def spec_of(value: str | Mapping[str, Any]) -> Spec:
    """A measure, task or method with settings: `name`, `name:key=value,key=value`, or `{name: {key: value}}`."""
    if isinstance(value, Mapping):
        if len(value) != 1:
            raise StudyError(
                f"{dict(value)!r} names {len(value)} things.", "Write one `name: {setting: value}` per entry."
            )
        ((name, parameters),) = value.items()
        return Spec(str(name), dict(parameters or {}))
    name, _, rest = str(value).partition(":")
    parameters = {}
    for part in filter(None, rest.split(",")):
        key, equals, text = part.partition("=")
        if not equals:
            raise StudyError(f"{value!r}: {part!r} is not KEY=VALUE.", f"Write for example {name}:key=value.")
        parameters[key.strip()] = text.strip()
    return Spec(name.strip(), parameters)


def defaults_for(kind: Kind) -> tuple[list[Spec], list[Spec]]:
    """The default measures and tasks for models of this kind."""
    return (
        [Spec(m.name) for m in measures if kind in m.default_for],
        [Spec(t.name) for t in tasks if kind in t.default_for],
    )


def declared_of(spec: Spec, role: str | None = None) -> Measure:
    """The measure or task that `spec` names; `role` ("measure" or "task") says which it must be.

    Raises UnknownName with near matches, or saying that the name is of the other role.
    """
    if role is None:
        role = "task" if spec.name in tasks else "measure"
    own, other = (tasks, measures) if role == "task" else (measures, tasks)
    if spec.name not in own and spec.name in other:
        raise UnknownName(f"{spec.name!r} is a {other.kind}, not a {own.kind}.", f"Name it as a {other.kind}.")
    return own.get(spec.name)


def check_once(specs: Sequence[Spec]) -> None:
    """Raises StudyError where a measure or task is named twice: records and estimates are told apart by name alone."""
    names = [spec.name for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StudyError(f"{twice} is asked for twice.", "Name it once; ask other settings in a second audit.")


def prepare(specs: Sequence[Spec], kind: Kind, *, limit: int | None, seed: int) -> list[Evaluation]:
    """Check every name, setting, kind and data file before anything is spent, then sample the items.

    Raises UnknownName, BadSetting, ModelError (a measure that does not fit this kind), AssetError (data not here),
    DataError (data malformed), StudyError (a name given twice).
    """
    check_once(specs)
    declared = [(declared_of(spec), spec) for spec in specs]
    for one, _ in declared:
        if kind not in one.kinds:
            raise ModelError(
                f"{one.role} {one.name} needs a model of kind {' or '.join(sorted(one.kinds))}; this one is {kind}.",
                fitting(one, kind),
            )
    settled = [(one, _settings(one, spec, limit, seed)) for one, spec in declared]
    located = {name: _located(name) for one, _ in settled for name in one.data}
    return [
        _evaluation(one, settings, {name: located[name] for name in one.data}, limit, seed) for one, settings in settled
    ]


def fitting(one: Measure, kind: Kind) -> str:
    """The remedy for a measure or task that models of this kind can't be asked: what of its family they can."""
    registry = measures if one.role == "measure" else tasks
    family = one.name.split(".")[0]
    fitting = [m.name for m in registry if kind in m.kinds and m.name.split(".")[0] == family]
    return f"For this model use {' or '.join(fitting)}." if fitting else f"See: fairsqueeze list {one.role}s"


def _settings(one: Measure, spec: Spec, limit: int | None, seed: int) -> dict[str, Any]:
    settings = checked_settings(one, spec.parameters)
    if "seed" in settings and "seed" not in spec.parameters:
        settings["seed"] = seed
    if one.limit_setting and limit is not None and one.limit_setting not in spec.parameters:
        usual = settings[one.limit_setting]
        settings[one.limit_setting] = limit if usual is None else min(usual, limit)
    return settings


def _located(name: str) -> Located | None:
    if not name.endswith("?"):
        return locate(name)
    try:
        return locate(name.rstrip("?"))
    except AssetError:
        return None


def _evaluation(
    one: Measure, settings: dict[str, Any], located: Mapping[str, Located | None], limit: int | None, seed: int
) -> Evaluation:
    files = _Files()
    for found in located.values():
        if found is not None:
            files.update(found.files)
    items = call_with(one.items, files, settings=_with_files(settings))
    _check_items(one, items)
    data = {
        name.rstrip("?"): found
        for name, found in located.items()
        if found is not None and not files.used.isdisjoint(found.files)
    }
    chosen = sample(items, limit if one.limit_setting == "" else None, seed)
    return Evaluation(one, settings, tuple(chosen), len(items), _hash(chosen), data)


def _with_files(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with the files that they name on the hub as paths: the one way to the network from here."""
    return {
        name: str(hub_file(value)) if name.startswith("file") and str(value).startswith(PREFIX) else value
        for name, value in settings.items()
    }


class _Files(dict[str, Path]):
    """Located files by name, remembering which were used: only these belong to a step's identity."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Path:
        self.used.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.used.add(name)
        return super().get(name, default)

    def items(self) -> Any:
        self.used.update(self)
        return super().items()

    def values(self) -> Any:
        self.used.update(self)
        return super().values()


def _check_items(one: Measure, items: Sequence[Item]) -> None:
    if not items:
        raise StudyError(f"{one.name} has no items.", "Its data is empty; fetch it again.")
    ids = [item.id for item in items]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise StudyError(
            f"{one.name} has two items with the id {twice!r}.", "This is a fault of the measure; report it."
        )


def _hash(items: Sequence[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(canonical_json([item.id, item.axis, item.group, item.cluster, item.content]).encode())
        digest.update(b"\n")
    return digest.hexdigest()[:24]
