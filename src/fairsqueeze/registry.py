"""What can be named: compression methods, bias measures and performance tasks, declared where they are defined.

A method, measure or task is one declared function in one file; its keyword-only parameters are its settings, and its
docstring is its documentation. Command line, docs, study validation and report read the declaration. Nothing here
imports torch. Plugins register through the entry-point groups `fairsqueeze.methods`, `.measures` and `.tasks`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from fairsqueeze.errors import BadSetting, FairsqueezeError, unknown_name
from fairsqueeze.items import Item, Row

Frame = Mapping[str, np.ndarray]
"""Columns of the records of one measure: `item, axis, group, cluster, status` (objects; axis may be None),
`preference, control, n_tokens` (float64, NaN where null) and every field of `answer` under its own name."""

Kind = Literal["causal", "masked", "encoder", "pair_classifier", "pair_regressor"]


@dataclass(frozen=True)
class Range:
    """Allowed values of a numeric setting; used as `Annotated[float, Range(0, 1, high_open=True)]`."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        return f"{'(' if self.low_open else '['}{self.low:g}, {self.high:g}{')' if self.high_open else ']'}"


@dataclass(frozen=True)
class Setting:
    """One keyword-only parameter of a declared function."""

    name: str
    type: type
    default: Any
    required: bool
    range: Range | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False

    def describe(self) -> str:
        """`sparsity: float in [0, 1), default 0.5`."""
        kind = f"one of {', '.join(map(repr, self.choices))}" if self.choices else self.type.__name__
        where = f" in {self.range}" if self.range else ""
        default = "required" if self.required else f"default {self.default!r}"
        return f"{self.name}: {kind}{where}, {default}"

    def check(self, value: Any, owner: str) -> Any:
        """`value` in this setting's type (text from a command line is converted); BadSetting if it can't be."""
        if (value is None and self.optional) or (isinstance(value, str) and value.lower() == "none" and self.optional):
            return None
        if self.choices:
            matching = [c for c in self.choices if c == value or str(c) == str(value)]
            if not matching:
                raise self._refuse(owner, value, f"one of {', '.join(map(repr, self.choices))}")
            return matching[0]
        converted = self._convert(value, owner)
        if self.range is not None and converted not in self.range:
            raise self._refuse(owner, value, f"a number in {self.range}")
        return converted

    def _convert(self, value: Any, owner: str) -> Any:
        if self.type is bool:
            if isinstance(value, bool):
                return value
            if str(value).lower() in {"true", "yes", "1", "false", "no", "0"}:
                return str(value).lower() in {"true", "yes", "1"}
            raise self._refuse(owner, value, "true or false")
        if isinstance(value, bool) and self.type in (int, float):
            raise self._refuse(owner, value, self._kind())
        try:
            converted = self.type(value)
        except (TypeError, ValueError, OverflowError):
            raise self._refuse(owner, value, self._kind()) from None
        if self.type is int and isinstance(value, float) and converted != value:
            raise self._refuse(owner, value, "a whole number")
        return converted

    def _kind(self) -> str:
        return f"a value of type {self.type.__name__}" + (f" in {self.range}" if self.range else "")

    def _refuse(self, owner: str, value: Any, wanted: str) -> BadSetting:
        return BadSetting(f"{owner}: {self.name} is {value!r}.", f"It must be {wanted}.")


def settings_of(function: Callable[..., Any]) -> dict[str, Setting]:
    """The keyword-only parameters of `function` as settings, in order.

    Types are `int, float, bool, str`, a `Literal`, any of these `| None`, or `Annotated[…, Range(…)]`.
    """
    return dict(_settings_of(function))


@cache
def _settings_of(function: Callable[..., Any]) -> dict[str, Setting]:
    """Read once per function: a study of many variants asks for them at every one."""
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        required = parameter.default is inspect.Parameter.empty
        found[name] = _setting(name, hints[name], None if required else parameter.default, required)
    return found


def _setting(name: str, hint: Any, default: Any, required: bool) -> Setting:
    limits = None
    optional = False
    while True:
        if get_origin(hint) is Annotated:
            hint, *extras = get_args(hint)
            limits = next((e for e in extras if isinstance(e, Range)), limits)
        elif get_origin(hint) is Literal:
            return Setting(name, str, default, required, limits, get_args(hint), optional)
        elif type(None) in get_args(hint):
            optional = True
            (hint,) = [a for a in get_args(hint) if a is not type(None)]
        else:
            return Setting(name, hint, default, required, limits, (), optional)


@dataclass(frozen=True)
class Statistic:
    """A published number computed from a measure's records.

    Args:
        name: the published name: `share_stereotypical`, `lm_score`, `icat`, `effect_size`, …
        compute: (frame, weights) -> values. `weights` has shape (R, n): how often each row counts in each of R
            replicates (all ones for the figure itself); the result has shape (R,), NaN where undefined. The same
            function thus serves the value and its bootstrap.
        ideal: the value of an unbiased (task: perfect) model; None if there is none.
        chance: what a model answering at random gets: a number, or a function of (frame, rng).
        constant: what a model giving the same answer to everything gets.
        range: smallest and largest possible value.
        better: for tasks, which direction is better.
        needs: columns that must be defined for a row to count; the others are counted as n_undefined.
        resample: False for a number that has no bootstrap interval (a p-value).
        by_axis: also reported per axis.
        where: (column, value): only rows with this value count, rows shared by all axes among them (one test of many).
    """

    name: str
    compute: Callable[[Frame, np.ndarray], np.ndarray]
    ideal: float | None
    chance: float | Callable[[Frame, np.random.Generator], float] | None
    constant: float | None
    range: tuple[float, float]
    better: Literal["lower", "higher"] | None = None
    needs: tuple[str, ...] = ()
    resample: bool = True
    by_axis: bool = True
    unit: str = ""
    where: tuple[str, str] | None = None


@dataclass(frozen=True)
class Card:
    """What a reader must know before trusting a measure. Plain sentences.

    `control` says what competence is measured on; `neutral` which neutral contexts give the prior-corrected form
    ("" if the measure has none); `differs` how we differ from the reference code; `criticisms` what is known against
    it, each with its source; `expected_n` the number of items in full.
    """

    control: str
    neutral: str = ""
    differs: str = ""
    criticisms: tuple[str, ...] = ()
    expected_n: int | None = None


@dataclass(frozen=True)
class Measure:
    """A bias measure or a performance task: which items, what it asks, how an answer becomes rows, what is published.

    `items(files, **settings)` gets the located data files by their name (`{"dev.json": Path}`) and returns items;
    `asks(item, **settings)` names the requests of an item; `score(item, answers, **settings)` turns their answers
    (same names) into rows. Each of the three takes those settings that its signature names. `score` is the declared
    function: its keyword-only parameters are all settings there are.

    `limit_setting` names the setting that `--limit` sets, where items can't be sampled (a stream of text); "" means
    that items are sampled, None that `--limit` does not apply (a test is a whole).

    `check_outputs(names, items, **settings)` gets the names of a classifier's outputs in their order and the items, and
    raises before anything is asked where they can't be told apart.
    """

    name: str
    role: Literal["measure", "task"]
    version: int
    kinds: frozenset[str]
    data: tuple[str, ...]
    source: str
    items: Callable[..., list[Item]]
    asks: Callable[..., Mapping[str, Any]]
    score: Callable[..., list[Row]]
    statistics: tuple[Statistic, ...]
    card: Card
    default_for: frozenset[str] = frozenset()
    limit_setting: str | None = ""
    check_outputs: Callable[..., None] | None = None

    @property
    def settings(self) -> dict[str, Setting]:
        return settings_of(self.score)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.score) or "").split("\n\n")[0].replace("\n", " ")

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.score) or ""


@dataclass(frozen=True)
class Method:
    """A compression method.

    `grain` "weight": `function(weight, *, …) -> weight`, applied to every matrix that `selects` names;
    `grain` "model": `function(model, …) -> None` edits, in place, a copy that the caller made.
    `selects`: "all" (every weight matrix, norms and embeddings included), "linear", "attention", "feed_forward".
    `exact_over`: within what its `sparsity` holds to the nearest weight: "matrix", "row", "selection", or "" (nothing).
    `needs`: statistics of a layer's inputs by name (`compress/layer_statistics.py`), gathered block by block and handed
    over as keyword arguments; `calibration` then gives the token sequences, and its keyword-only parameters are
    settings too. `simulated`: the result is stored dense, so no report may claim its memory saving. `saves`: what it
    really saves, in a sentence. `removes`: what it takes out physically, so that shapes change ("" where it keeps
    them); its `share` holds to the nearest of these. `updates`: weights that it keeps may get other values; `trains`:
    so may all others of the model. `packs`: weights are no ordinary floats afterwards, so that no further step can
    change them. `storable`: whether the result can be saved. `requires`: what it asks of the model, the data and the
    machine, in a sentence ("" for nothing beyond weights of ordinary floats).
    `fits(refs, …)`: BadSetting before anything is spent, where settings don't suit these weights, or, if it names a
    keyword `model`, where they don't suit the model or a file can't be read; `measures(refs, …)`: what else is
    measured on the result, ModelError where a promise is broken. Both take the settings that they name, and `seed`.
    """

    name: str
    grain: Literal["weight", "model"]
    function: Callable[..., Any]
    selects: str
    needs: frozenset[str]
    source: str
    saves: str
    simulated: bool = False
    version: int = 1
    family: str = ""
    exact_over: Literal["matrix", "row", "selection", ""] = ""
    removes: Literal["heads", "neurons", "blocks", "tokens", ""] = ""
    calibration: Callable[..., Any] | None = None
    updates: bool = False
    trains: bool = False
    packs: bool = False
    storable: bool = True
    fits: Callable[..., None] | None = None
    measures: Callable[..., dict[str, Any]] | None = None
    requires: str = ""

    def __post_init__(self) -> None:
        if self.needs and (self.grain != "weight" or self.calibration is None):
            raise FairsqueezeError(
                f"Method {self.name!r} needs {', '.join(sorted(self.needs))}.",
                "Only a weight rule gets statistics, and its declaration names its calibration.",
            )

    @property
    def settings(self) -> dict[str, Setting]:
        own = {**settings_of(self.function), **(settings_of(self.calibration) if self.calibration else {})}
        return {k: s for k, s in own.items() if k not in self.needs and k != "seed"}

    @property
    def seeded(self) -> bool:
        """Whether the method draws at random, itself (it then takes a keyword `seed`) or for its calibration."""
        return bool(self.needs) or "seed" in settings_of(self.function)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n\n")[0].replace("\n", " ")

    @property
    def doc(self) -> str:
        told = [inspect.getdoc(function) for function in (self.function, self.calibration) if function is not None]
        return "\n\n".join(filter(None, told))


Declared = TypeVar("Declared", Measure, Method)


@dataclass
class Registry(Generic[Declared]):
    """Declared things of one kind by name. Built-in ones come from the modules of `package`, the rest from plugins."""

    kind: str
    package: str
    _by_name: dict[str, Declared] = field(default_factory=dict)
    _loaded: bool = False

    def add(self, declared: Declared) -> None:
        if declared.name in self._by_name:
            raise FairsqueezeError(
                f"Two {self.kind}s are called {declared.name!r}.", "Rename one; a name stands for one number."
            )
        if not declared.summary:
            raise FairsqueezeError(
                f"{self.kind} {declared.name!r} has no docstring.", "Say what comes out, and from where."
            )
        self._by_name[declared.name] = declared

    def get(self, name: str) -> Declared:
        """The one called `name`; UnknownName with near matches otherwise."""
        self._load()
        if name not in self._by_name:
            raise unknown_name(self.kind, name, self._by_name, f"See: fairsqueeze list {self.kind}s")
        return self._by_name[name]

    def names(self) -> list[str]:
        self._load()
        return sorted(self._by_name)

    def __iter__(self) -> Iterator[Declared]:
        self._load()
        return iter([self._by_name[n] for n in sorted(self._by_name)])

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._by_name

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # before: the modules may ask for names while they are imported
        try:
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self.package}.{module.name}")
            for point in entry_points(group=f"fairsqueeze.{self.kind}s"):
                point.load()
        except BaseException:
            self._loaded = False  # half filled: who asks again is told the same, not that a name is unknown
            raise


methods: Registry[Method] = Registry("method", "fairsqueeze.compress")
measures: Registry[Measure] = Registry("measure", "fairsqueeze.measures")
tasks: Registry[Measure] = Registry("task", "fairsqueeze.tasks")


def _evaluation(
    role: Literal["measure", "task"], name: str, **declaration: Any
) -> Callable[[Callable[..., list[Row]]], Any]:
    def declare(score: Callable[..., list[Row]]) -> Callable[..., list[Row]]:
        kinds = frozenset(declaration.pop("kinds"))
        default_for = frozenset(declaration.pop("default_for", ()))
        declared = Measure(name=name, role=role, kinds=kinds, default_for=default_for, score=score, **declaration)
        (measures if role == "measure" else tasks).add(declared)
        return score

    return declare


def measure(name: str, **declaration: Any) -> Callable[..., Any]:
    """Declare the decorated `score` function as a bias measure; arguments are the fields of `Measure`."""
    return _evaluation("measure", name, **declaration)


def task(name: str, **declaration: Any) -> Callable[..., Any]:
    """Declare the decorated `score` function as a performance task; arguments are the fields of `Measure`."""
    return _evaluation("task", name, **declaration)


def weight_rule(
    name: str, *, selects: str, source: str, saves: str, needs: Iterable[str] = (), **more: Any
) -> Callable[..., Any]:
    """Declare `function(weight, *, …) -> weight` as a compression method, applied matrix by matrix."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        methods.add(Method(name, "weight", function, selects, frozenset(needs), source, saves, **more))
        return function

    return declare


def model_rule(
    name: str, *, selects: str, source: str, saves: str, needs: Iterable[str] = (), **more: Any
) -> Callable[..., Any]:
    """Declare `function(model, *, …) -> None` as a compression method that edits a whole (already copied) model."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        methods.add(Method(name, "model", function, selects, frozenset(needs), source, saves, **more))
        return function

    return declare


def checked_settings(declared: Measure | Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of `declared`: `given` ones checked and converted, the others by default.

    Raises BadSetting for an unknown key (with near names), a missing required one, a wrong type or range.
    """
    known = declared.settings
    for key in given:
        if key not in known:
            listed = "; ".join(s.describe() for s in known.values()) or "it takes none"
            hint = unknown_name("setting", key, known).remedy
            hint = hint if hint.endswith("?") else f"{hint.rstrip('.')}."
            raise BadSetting(f"{declared.name} has no setting {key!r}.", f"{hint} Settings: {listed}.")
    values = {}
    for name, setting in known.items():
        if name in given:
            values[name] = setting.check(given[name], declared.name)
        elif setting.required:
            raise BadSetting(f"{declared.name} needs {name}.", f"Give {setting.describe()}.")
        else:
            values[name] = setting.default
    return values


def call_with(function: Callable[..., Any], *arguments: Any, settings: Mapping[str, Any]) -> Any:
    """Call `function` with those of `settings` that its keyword-only parameters name."""
    named = {
        name for name, p in inspect.signature(function).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return function(*arguments, **{k: v for k, v in settings.items() if k in named})
