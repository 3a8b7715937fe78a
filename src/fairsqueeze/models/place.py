"""Where the files of a referenced model lie: one folder that transformers can load, and where it came from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import AssetError, ModelError, unknown_name
from fairsqueeze.models.reference import Reference

if TYPE_CHECKING:
    from fairsqueeze.assets.catalogue import Delta, Entry


@dataclass(frozen=True)
class Place:
    """A folder with config, safetensors and tokeniser, and what is known of its origin (plain JSON)."""

    folder: Path
    provenance: dict[str, Any] = field(default_factory=dict)


def place_of(reference: Reference) -> Place:
    """The folder of `reference`; a GGUF file is converted into the cache the first time.

    Only a hub id may reach for the network. Raises ModelError, AssetError or UnknownName.
    """
    if reference.source == "builtin":
        return _builtin(model_entry(reference.name))
    if reference.source == "hub":
        return _hub(reference)
    if reference.path is None:
        raise ModelError(f"{reference.text!r} is not stored anywhere: it is made from another model.", "Load it.")
    if reference.source == "gguf":
        return _converted(reference.path, {"source": "gguf", "path": str(reference.path)})
    return Place(reference.path, {"source": "folder", "path": str(reference.path)})


def config_place_of(reference: Reference) -> Place:
    """A folder that holds the config at least: no weights are fetched from the hub for it."""
    if reference.source == "hub":
        place = _hub(reference, ("config.json",))
        if (place.folder / "config.json").is_file():
            return place
    return place_of(reference)


def model_entry(name: str) -> Entry:
    """The catalogue's entry for the built-in model `name`; UnknownName with near names otherwise."""
    from fairsqueeze.assets.catalogue import entries

    known = {entry.name: entry for entry in entries("model")}
    if name not in known:
        raise unknown_name("built-in model", name, known, "See: fairsqueeze list models")
    return known[name]


def _builtin(entry: Entry) -> Place:
    from fairsqueeze.assets.locate import locate

    located = locate(entry.name)
    provenance = {
        "source": f"builtin:{entry.name}",
        "from": located.source,
        "files_sha256": located.sha256,
        "licence": located.licence,
    }
    quantised = [path for path in located.files.values() if path.suffix == ".gguf"]
    if quantised:
        return _converted(quantised[0], provenance)
    configs = [path for path in located.files.values() if path.name == "config.json"]
    outermost = min(configs, key=lambda path: len(path.parts))
    if entry.delta is not None:
        return _with_delta(outermost.parent, entry.delta, provenance)
    return Place(outermost.parent, provenance)


def _with_delta(base: Path, delta: Delta, provenance: dict[str, Any]) -> Place:
    from importlib.resources import as_file, files

    from fairsqueeze.models.delta import with_delta

    with as_file(files("fairsqueeze.models") / "deltas" / delta.file) as path:
        folder, facts = with_delta(base, path, delta.sha256, delta.id, provenance["files_sha256"])
    return Place(folder, {**provenance, "delta": facts})


def _converted(path: Path, provenance: dict[str, Any]) -> Place:
    from fairsqueeze.models.gguf import convert

    folder, facts = convert(path)
    return Place(folder, {**provenance, "gguf": facts})


def _hub(reference: Reference, patterns: tuple[str, ...] = ()) -> Place:
    from fairsqueeze.assets.catalogue import entries
    from fairsqueeze.assets.hub import snapshot

    try:
        folder = snapshot(reference.name, reference.revision, patterns)
    except AssetError as error:
        near = difflib.get_close_matches(reference.name, [entry.name for entry in entries("model")], n=1)
        if not near:
            raise
        raise AssetError(error.message, f"Did you mean builtin:{near[0]}? {error.remedy}") from error
    # The cache of the hub names a snapshot's folder by its commit.
    provenance = {"source": "hub", "repository": reference.name, "revision": folder.name}
    quantised = sorted(folder.glob("*.gguf"))
    if quantised and not any(folder.glob("*.safetensors")):
        return _converted(quantised[0], provenance)
    return Place(folder, provenance)
