"""Manifest: what every file of a store must be, promised before the file is placed, by any number of writers.

    manifest/loose/ID.json      one promise, as it was made
    manifest/parts/ID.parquet   many promises, put together out of loose ones

Every file is placed once under the hash of its own bytes and never changed, so writers need no lock. A promise may be
there several times, and promises of two writers about one file stand side by side: the file is whole if it keeps any.
Loose promises are removed only after a part that holds them is placed, and readers list the loose ones first, so none
is ever missed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fairsqueeze.study.damaged import Damaged, set_aside
from fairsqueeze.study.filesystem import Folder

LOOSE, PARTS = "manifest/loose", "manifest/parts"
GATHER_EVERY = 256
"""On average one in so many promises has its writer gather all loose ones into a part."""

_SCHEMA = pa.schema([("name", pa.string()), ("sha256", pa.string()), ("size", pa.int64()), ("facts", pa.string())])


class Promise(NamedTuple):
    """What a file must be: its name below the store, the sha256 and number of its bytes, and facts about it as JSON."""

    name: str
    sha256: str
    size: int
    facts: str

    @classmethod
    def of(cls, name: str, content: bytes, facts: Mapping[str, Any]) -> Promise:
        text = json.dumps(dict(facts), sort_keys=True, ensure_ascii=False, allow_nan=False)
        return cls(name, hashlib.sha256(content).hexdigest(), len(content), text)


class Manifest:
    """The promises below `folder`, read once and then only as far as they are new."""

    def __init__(self, folder: Folder, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._promises: dict[str, dict[str, Promise]] = {}
        self._seen: set[str] = set()

    def promise(self, promise: Promise) -> None:
        """Place a promise. The file itself comes after it."""
        content = json.dumps(promise._asdict(), sort_keys=True, ensure_ascii=False).encode()
        self._folder.place(f"{LOOSE}/{_id(content)}.json", content)
        self._remember([promise])
        if int(_id(content), 16) % GATHER_EVERY == 0:
            self.gather()

    def add(self, promises: Iterable[Promise]) -> None:
        """Place many promises at once."""
        ordered = sorted(set(promises), key=lambda one: (one.name, one.sha256, one.facts))
        if not ordered:
            return
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.Table.from_pylist([one._asdict() for one in ordered], schema=_SCHEMA), sink, compression="zstd"
        )
        content = sink.getvalue().to_pybytes()
        self._folder.place(f"{PARTS}/{_id(content)}.parquet", content)
        self._remember(ordered)

    def gather(self) -> None:
        """Put all loose promises into a part."""
        loose = [f"{LOOSE}/{file}" for file in self._folder.sizes(LOOSE)]
        read = self._read(loose)
        self.add(promise for promises in read.values() for promise in promises)
        self._folder.remove(read)

    def refresh(self) -> None:
        """Take in the promises that were made since the last time, by whomever."""
        for folder in (LOOSE, PARTS):
            self._take(f"{folder}/{file}" for file in self._folder.sizes(folder))

    def of(self, name: str) -> list[Promise]:
        """The promises about the file `name`, as far as they are known since `refresh`."""
        return list(self._promises.get(name, {}).values())

    def check(self, name: str, content: bytes) -> None:
        """Damaged if promises were made about this file and `content` keeps none of them."""
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._promises.get(name, {}):
            self.refresh()
        known = self._promises.get(name)
        if known and digest not in known:
            raise Damaged("its bytes are not those that the manifest promises")

    def _take(self, names: Iterable[str]) -> None:
        read = self._read([name for name in names if name not in self._seen])
        for promises in read.values():
            self._remember(promises)
        self._seen.update(read)

    def _remember(self, promises: Iterable[Promise]) -> None:
        for promise in promises:
            self._promises.setdefault(promise.name, {}).setdefault(promise.sha256, promise)

    def _read(self, names: list[str]) -> dict[str, list[Promise]]:
        """The promises in those of `names` that are there and whole; a damaged file is set aside."""
        found = {}
        for name, content in self._folder.read_many(names).items():
            try:
                found[name] = _promises_in(name, content)
            except Damaged as error:
                set_aside(self._folder, name, str(error), self._warn, "what it told of will be checked anew")
        return found


def _promises_in(name: str, content: bytes) -> list[Promise]:
    stem, _, suffix = name.rpartition("/")[2].partition(".")
    if _id(content) != stem:
        raise Damaged("its name is not the hash of its bytes")
    if suffix == "json":
        return [Promise(**json.loads(content))]
    columns = pq.ParquetFile(pa.BufferReader(content)).read().to_pydict()
    return list(map(Promise._make, zip(*(columns[name] for name in _SCHEMA.names), strict=True)))


def _id(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]
