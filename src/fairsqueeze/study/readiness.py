"""Can a study run here and now? Its models, data, calibration texts and device are looked for; no weight is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairsqueeze.assets.catalogue import entry
from fairsqueeze.assets.hub_file import PREFIX
from fairsqueeze.assets.locate import locate
from fairsqueeze.errors import AssetError, FairsqueezeError
from fairsqueeze.models.reference import parse_reference
from fairsqueeze.registry import Kind, Measure, call_with, methods
from fairsqueeze.spec import Spec, canonical_json
from fairsqueeze.study.evaluation import declared_of, fitting, prepare, spec_of
from fairsqueeze.study.findings import Findings
from fairsqueeze.study.kinds import Kinds
from fairsqueeze.study.presets import named_pipelines
from fairsqueeze.study.spec_file import Place
from fairsqueeze.study.study import Study, span

PAIRED = ("pair_classifier", "pair_regressor")
TEXTS = ("calibration", "text")
"""Settings of methods that name a text: one of the package's, one of a data set, or a file."""


@dataclass
class Readiness:
    """What was looked for, and what came of it.

    Args:
        kinds: by model, None where it could not be told.
        items: by model, how many items each of its tasks and measures has.
        to_fetch: names of data sets and built-in models that are needed, not here, and can be fetched.
        on_hub: models that would be fetched from the hub, and are not here.
        hub_answers: whether the hub was asked, and answered.
    """

    kinds: dict[str, Kind | None] = field(default_factory=dict)
    items: dict[str, list[int]] = field(default_factory=dict)
    to_fetch: list[str] = field(default_factory=list)
    on_hub: list[str] = field(default_factory=list)
    hub_answers: bool = False
    _seen: dict[str, int | FairsqueezeError] = field(default_factory=dict)

    def need(self, name: str) -> AssetError | None:
        """The error for an asset that is not here, noted as one to fetch."""
        try:
            locate(name)
        except AssetError as error:
            self.note(name)
            return error
        return None

    def note(self, name: str) -> None:
        """Note an asset that is not here as one to fetch, if it can be fetched."""
        if name not in self.to_fetch and entry(name).remote:
            self.to_fetch.append(name)


def look(study: Study, findings: Findings) -> Readiness:
    """Look for everything that `study` needs, and add what stops it to `findings`."""
    ready = Readiness()
    kinds = Kinds()
    for index, model in enumerate(study.models):
        ready.kinds[model] = _look_for_model(("models", index), model, kinds, ready, findings)
    ready.hub_answers = bool(ready.on_hub) and kinds.hub_answers
    if ready.on_hub and not ready.hub_answers:
        message = "{models}: not checked, since the hub can't be reached from here."
        for model in ready.on_hub:
            findings.add(("models",), message, "The study fetches what it does not find.", level="notice", model=model)
    for model in study.models:
        if ready.kinds[model] is None and model not in ready.on_hub:
            ready.items[model] = []  # it is not there, which is told: what it would be asked can wait
            continue
        ready.items[model] = [
            n for one in _asked(study, model) if (n := _look_for_items(study, model, one, ready, findings)) is not None
        ]
        _look_at_steps(study, model, ready, findings)
    _look_at_device(study, findings)
    return ready


def _look_for_model(place: Place, model: str, kinds: Kinds, ready: Readiness, findings: Findings) -> Kind | None:
    from fairsqueeze.assets.hub import weights_here
    from fairsqueeze.models.weights import stored_names

    try:
        kind = kinds.of(model)
        parsed = parse_reference(model)
        parsed = parsed.of or parsed
        if parsed.source == "hub":
            if not weights_here(parsed.name, parsed.revision):
                ready.on_hub.append(model)
        elif parsed.source == "builtin":
            error = ready.need(parsed.name)
            if error is not None:
                findings.add(place, error.message, error.remedy)
        elif parsed.source == "folder" and parsed.path is not None:
            stored_names(parsed.path)
    except FairsqueezeError as error:
        findings.add(place, error.message, error.remedy)
        return None
    return kind


@dataclass(frozen=True)
class _Asked:
    place: Place
    spec: Spec
    declared: Measure


def _asked(study: Study, model: str) -> Iterator[_Asked]:
    """The tasks and measures of `model`, with the place in the file that asks for them."""
    own = study.overrides.get(model)
    for role in ("task", "measure"):
        replaced = getattr(own, f"{role}s", None)
        base: Place = (f"{role}s",) if replaced is None else ("overrides", model, f"{role}s")
        for index, value in enumerate(getattr(study, f"{role}s") if replaced is None else replaced):
            spec = spec_of(value)
            yield _Asked((*base, index), spec, declared_of(spec, role))


def _look_for_items(study: Study, model: str, one: _Asked, ready: Readiness, findings: Findings) -> int | None:
    """How many items this has for `model`; None where it can't be asked, which `findings` then say why."""
    declared, kind = one.declared, ready.kinds[model]
    if kind is not None and kind not in declared.kinds:
        needs = " or ".join(sorted(declared.kinds))
        message = f"{declared.role} {declared.name} needs a model of kind {needs}; of kind {kind}: {{models}}."
        remedy = f"Use `overrides:` for models of another kind. {fitting(declared, kind)}"
        findings.add(one.place, message, remedy, model=model)
        return None
    absent = [error for name in declared.data if not name.endswith("?") and (error := ready.need(name)) is not None]
    for error in absent:
        findings.add(one.place, error.message, error.remedy)
    if absent:
        return None
    distant = [v for v in one.spec.parameters.values() if str(v).startswith(PREFIX)]
    if distant:
        findings.add(one.place, f"not checked: {distant[0]}.", "It is fetched when the study runs.", level="notice")
        return None
    any_kind: Any = min(declared.kinds)  # of a model that can't be told, the data can be looked for all the same
    prepared = _prepared(study, model, one, kind or any_kind, ready)
    if isinstance(prepared, FairsqueezeError):
        for name in (name.rstrip("?") for name in declared.data if repr(name.rstrip("?")) in prepared.message):
            ready.note(name)
        findings.add(one.place, prepared.message, prepared.remedy)
        return None
    return prepared


def _prepared(study: Study, model: str, one: _Asked, kind: Kind, ready: Readiness) -> int | FairsqueezeError:
    """How many items, or why there are none; the same question is asked once."""
    limit, seed = study.limit_for(model), study.seeds[0]
    key = canonical_json([one.spec.to_json(), kind, limit])
    if key not in ready._seen:
        try:
            ready._seen[key] = len(prepare([one.spec], kind, limit=limit, seed=seed)[0].items)
        except FairsqueezeError as error:
            ready._seen[key] = error
    return ready._seen[key]


def _look_at_steps(study: Study, model: str, ready: Readiness, findings: Findings) -> None:
    """Calibration texts and labelled pairs that the methods of `model` name, and settings that exclude each other."""
    own = study.overrides.get(model)
    replaced = own is not None and own.pipelines is not None
    base: Place = ("overrides", model, "pipelines") if replaced else ("pipelines",)
    given = own.pipelines if own is not None and own.pipelines is not None else study.pipelines
    for index, one in enumerate(given):
        for pipeline in named_pipelines(one, study.presets) if isinstance(one, str) else [one]:
            for step in pipeline:
                spec = spec_of(step)
                for error in _of_step(spec, ready.kinds[model], ready):
                    findings.add((*base, index), f"{spec.name}: {error.message}", error.remedy, model=model)


def _of_step(spec: Spec, kind: Kind | None, ready: Readiness) -> Iterator[FairsqueezeError]:
    known = methods.get(spec.name).settings
    yield from _misfits(spec)
    for key in TEXTS:
        for value in _values(spec.parameters, key):
            if key in known and (error := _text(str(value), ready)) is not None:
                yield error
    for value in _values(spec.parameters, "pairs"):
        if "pairs" in known and (error := _file(str(value), "the path of a JSON Lines file of more and less")):
            yield error
    if "labelled" in known and kind in PAIRED:
        for value in _values(spec.parameters, "labelled") or [""]:
            if (error := _pairs(str(value), ready)) is not None:
                yield error


def _misfits(spec: Spec) -> Iterator[FairsqueezeError]:
    """What a method says of its settings by themselves, before it sees a weight: `keep` of `of`, say."""
    fits = methods.get(spec.name).fits
    if fits is None or "model" in inspect.signature(fits).parameters:
        return
    for (one,) in span([{spec.name: dict(spec.parameters)}]):
        try:
            call_with(fits, [], settings=one.parameters)
        except FairsqueezeError as error:
            yield error


def _values(parameters: Mapping[str, Any], key: str) -> list[Any]:
    value = parameters.get(key, [])
    return value if isinstance(value, list) else [value]


def _text(name: str, ready: Readiness) -> FairsqueezeError | None:
    from fairsqueeze.compress.calibration_text import PACKAGE
    from fairsqueeze.compress.calibration_text import TEXTS as named

    if name in named:
        return ready.need(named[name][0])
    return None if name in ("", PACKAGE) else _file(name, f"{PACKAGE}, {', '.join(named)}, or the path of a text file")


def _pairs(name: str, ready: Readiness) -> FairsqueezeError | None:
    from fairsqueeze.compress.calibration_pairs import PAIRS

    forms = f"{', '.join(PAIRS)}, or the path of a JSON Lines file of first, second and label"
    if not name:
        return FairsqueezeError("a classifier or regressor needs labelled pairs.", f"Give labelled: {forms}.")
    return ready.need(PAIRS[name]) if name in PAIRS else _file(name, forms)


def _file(name: str, forms: str) -> FairsqueezeError | None:
    if Path(name).expanduser().is_file():
        return None
    return FairsqueezeError(f"there is no file {name}.", f"Give {forms}.")


def _look_at_device(study: Study, findings: Findings) -> None:
    if study.device == "cpu":
        return
    from fairsqueeze.models.load import device_named

    try:
        device_named(study.device)
    except FairsqueezeError as error:
        findings.add(("device",), error.message, error.remedy)
