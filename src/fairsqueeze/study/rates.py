"""Rates: what steps took in time, disk and memory, and what others like them may thus be expected to take."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fairsqueeze.assets import cache
from fairsqueeze.errors import AssetError, FairsqueezeError
from fairsqueeze.study.store import Store
from fairsqueeze.study.variant import Done

SCHEMA = "fairsqueeze.rates/1"
DOCUMENT = "rates"
DOCUMENTS = "documents"
"""The kind of what variants' documents take."""


@dataclass
class Rate:
    """What steps of one kind cost so far, summed: of a measure, or of a way to make a checkpoint.

    Args:
        seconds: wall time.
        work: parameters × size (items, or windows) of measures; parameters of makings. Time goes with it.
        size, bytes: items, and the bytes that their records take.
        peak: most resident memory of any, in bytes; 0 where it was not measured.
        parameters: of the largest model among them.
    """

    seconds: float = 0.0
    work: float = 0.0
    size: float = 0.0
    bytes: float = 0.0
    peak: int = 0
    parameters: int = 0

    def seconds_for(self, work: float) -> float | None:
        return self.seconds / self.work * work if self.work else None

    def bytes_for(self, size: float) -> float | None:
        return self.bytes / self.size * size if self.size else None

    def peak_for(self, parameters: int) -> int | None:
        """Grows with the model; a smaller model is expected to need as much, since not all of it is weights."""
        if not self.peak or not self.parameters:
            return None
        return round(self.peak * max(1.0, parameters / self.parameters))


@dataclass
class Rates:
    """Rates by what was done to a model of what size (`kind`), and the peak memory of models by reference.

    What this store has measured goes before what other studies on this computer have (`elsewhere`).
    """

    by_kind: dict[str, Rate] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    elsewhere: dict[str, Rate] = field(default_factory=dict)
    device: str = "cpu"

    @classmethod
    def of_store(cls, store: Store | None, device: str = "cpu") -> Rates:
        """What the finished steps of `store` tell, and the rates file of this computer's cache, about this device."""
        rates = cls(elsewhere=_from_json(_read_cache()), device=device.split(":")[0])
        if store is None:
            return rates
        kept = store.read_document(DOCUMENT) or {}
        rates.by_kind = _without_counted(_from_json(kept.get("rates", {})))
        rates.peaks = {str(k): int(v) for k, v in kept.get("peaks", {}).items()}
        rates._count(store)
        return rates

    def measure(self, name: str, parameters: int) -> Rate | None:
        """The rate of asking a measure; None unless models within a factor of about ten were asked it."""
        return self._near(f"measure:{name}", parameters)

    def making(self, methods: Iterable[str], parameters: int) -> Rate | None:
        """The rate of compressing by these methods in sequence; None as for `measure`."""
        return self._near(f"make:{'+'.join(methods)}", parameters)

    def documents(self) -> Rate | None:
        """The bytes of variants' documents (estimates, comparison, footprint); `size` is measures. None where none is
        known."""
        return self.by_kind.get(DOCUMENTS) or self.elsewhere.get(DOCUMENTS)

    def peak_of(self, model: str) -> int | None:
        """The most that any variant of this model is known to have needed here, in bytes; None where none was run."""
        return self.peaks.get(model)

    def learn(self, done: Done) -> None:
        """Take in what a finished job needed."""
        variant = done.job.variant
        if done.peak:
            self.peaks[variant.model] = max(done.peak, self.peaks.get(variant.model, 0))
        if done.made_s is None or not variant.steps:
            return
        methods = "+".join(step.name for step in variant.steps)
        rate = self.by_kind.setdefault(kind(f"make:{methods}", done.parameters, self.device), Rate())
        rate.seconds += done.made_s
        rate.work += done.parameters

    def keep(self, store: Store) -> None:
        """Write what was learnt beside the records, and into the cache of this computer, for other studies."""
        told = {key: asdict(rate) for key, rate in self.by_kind.items()}
        store.write_document(DOCUMENT, {"schema": SCHEMA, "rates": told, "peaks": self.peaks})
        self.by_kind = _without_counted(self.by_kind)
        self._count(store)
        _write_cache({**_read_cache(), **{key: asdict(rate) for key, rate in self.by_kind.items()}})

    def _near(self, what: str, parameters: int) -> Rate | None:
        for factor in (1, 10, 0.1):
            one = kind(what, factor * parameters, self.device)
            if one in self.by_kind or one in self.elsewhere:
                return self.by_kind.get(one) or self.elsewhere[one]
        return None

    def _count(self, store: Store) -> None:
        """Take in all records and documents that `store` holds."""
        self._add_records(store.outlines("records").values())
        for one in store.outlines("variants").values():
            if "steps" in one:
                rate = self.by_kind.setdefault(DOCUMENTS, Rate())
                rate.size += len(one["steps"])
                rate.bytes += one["bytes"]

    def _add_records(self, outlines: Iterable[Mapping[str, Any]]) -> None:
        for one in outlines:
            if not {"measure", "parameters", "size", "wall_s"} <= set(one):
                continue  # written before these were counted
            name = one["measure"]["name"] if isinstance(one["measure"], dict) else one["measure"]
            rate = self.by_kind.setdefault(kind(f"measure:{name}", one["parameters"], one.get("device", "cpu")), Rate())
            rate.seconds += one["wall_s"]
            rate.work += one["parameters"] * one["size"]
            rate.size += one["size"]
            rate.bytes += one.get("bytes", 0)
            rate.peak = max(rate.peak, one.get("peak_rss_bytes", 0))
            rate.parameters = max(rate.parameters, one["parameters"])


def kind(what: str, parameters: float, device: str) -> str:
    """The key of a rate. Time is not in proportion to size over many orders of magnitude, so that each has its own.

    >>> kind("measure:weat", 135e6, "cpu")
    'measure:weat@8@cpu'
    """
    return f"{what}@{round(math.log10(max(1.0, parameters)))}@{device}"


def parameters_of(model: str) -> int | None:
    """Number of parameters that the files of `model` hold, read from their headers; None where they tell nothing."""
    from fairsqueeze.models.place import config_place_of
    from fairsqueeze.models.reference import parse_reference
    from fairsqueeze.models.weights import read_header, weight_files

    reference = parse_reference(model)
    try:
        folder = config_place_of(reference.of or reference).folder
        headers = [read_header(path) for path in weight_files(folder)]
    except FairsqueezeError:  # weights that are not here yet, or that are damaged: loading them says so
        return None
    return sum(_product(entry["shape"]) for header in headers for entry in header.values())


def _without_counted(rates: Mapping[str, Rate]) -> dict[str, Rate]:
    """Those that are not counted anew from records and documents."""
    return {kind: rate for kind, rate in rates.items() if not kind.startswith("measure:") and kind != DOCUMENTS}


def _product(shape: Iterable[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def _from_json(value: Mapping[str, Any]) -> dict[str, Rate]:
    return {key: Rate(**rate) for key, rate in value.items() if set(rate) == set(Rate.__dataclass_fields__)}


def _cache_path() -> Path:
    return cache.root() / "rates.json"


def _read_cache() -> dict[str, Any]:
    try:
        found = json.loads(_cache_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no file yet, or a damaged one: nothing is known from elsewhere
        return {}
    rates = found.get("rates", {}) if isinstance(found, dict) and found.get("schema") == SCHEMA else {}
    return rates if isinstance(rates, dict) else {}


def _write_cache(rates: Mapping[str, Any]) -> None:
    try:
        with cache.placing(_cache_path()) as temporary:
            temporary.write_text(json.dumps({"schema": SCHEMA, "rates": rates}, indent=1), encoding="utf-8")
    except AssetError:  # a cache that can only be read: these rates stay in the store
        return
