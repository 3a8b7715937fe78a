"""Where an asset lies on this machine: the user's folder, else the cache, every byte checked. Never the network."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path

from fairsqueeze.assets import cache, checksum, folder
from fairsqueeze.assets.catalogue import AssetFile, Entry, entry
from fairsqueeze.errors import AssetError


@dataclass(frozen=True)
class Located:
    """An asset that is here and whole.

    Args:
        name: the entry's name.
        files: by file name (`AssetFile.name`), where it lies.
        sha256: one content id over the hashes of all raw files; the same whatever the source.
        source: which source: "folder PATH", "cache PATH", or both.
        licence: the entry's licence.
    """

    name: str
    files: dict[str, Path]
    sha256: str
    source: str
    licence: str


def locate(name: str) -> Located:
    """The files of the asset `name`, from `FAIRSQUEEZE_DATA` if set, else from the cache.

    Raises:
        UnknownName: the catalogue has no such name.
        AssetError: it is not here (the remedy is the command that fetches it), or a file is not what it should be.
    """
    wanted = entry(name)
    root = usable_folder(wanted)
    found: dict[str, Path] = {}
    places: dict[str, None] = {}
    missing: list[AssetFile] = []
    for file in wanted.files:
        place = None if root is None else find_in_folder(root, file)
        if place is not None:
            found[file.name] = place
            places[f"folder {root}"] = None
        elif in_cache(file, wanted.name):
            found[file.name] = cache.path_of(file.path)
            places[f"cache {cache.root()}"] = None
        else:
            missing.append(file)
    if missing:
        raise _absent(wanted, missing, folder.configured())
    return Located(name, found, content_id(wanted), " and ".join(places), wanted.licence)


def usable_folder(wanted: Entry) -> Path | None:
    """The user's folder; None for a model that is not there in whole, since its files must lie in one folder."""
    root = folder.configured()
    if root is None or wanted.kind == "data" or all((root / file.path).is_file() for file in wanted.files):
        return root
    return None


def content_id(wanted: Entry) -> str:
    """The one content id of an entry: a sha256 over the raw sha256 of its files."""
    return checksum.content_id([file.sha256 for file in wanted.files])


def find_in_folder(root: Path, file: AssetFile) -> Path | None:
    """The checked raw file of a folder laid out as the catalogue, or None; a gzipped one is unpacked into the cache.

    Raises:
        AssetError: the file is there with other bytes than the catalogue says.
    """
    found = folder.find(root, file.path)
    if found is None:
        return None
    packed = folder.compressed(found, file.path)
    digest = checksum.sha256_of_gzip(found) if packed else checksum.sha256_of(found)
    if digest != file.sha256:
        raise wrong_bytes(found, file, digest, f"Replace it by the original file, or unset {folder.VARIABLE}.")
    if not packed:
        return found
    target = cache.path_of(file.path)
    if not (target.is_file() and checksum.sha256_in_cache(target) == file.sha256):
        with cache.placing(target) as temporary, gzip.open(found, "rb") as source, temporary.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    return target


def in_cache(file: AssetFile, name: str) -> bool:
    """Whether the cache has this file of the asset `name`, whole.

    Raises:
        AssetError: it has one of that name with other bytes.
    """
    path = cache.path_of(file.path)
    if not path.is_file():
        return False
    digest = checksum.sha256_in_cache(path)
    if digest != file.sha256:
        raise wrong_bytes(path, file, digest, f"Run `fairsqueeze fetch {name}`, which replaces it.")
    return True


def wrong_bytes(path: Path | str, file: AssetFile, digest: str, remedy: str) -> AssetError:
    """The error for a file whose bytes are not the catalogue's; an empty file is called empty."""
    empty = digest == checksum.EMPTY
    got = "is empty" if empty else f"has sha256 {digest}"
    return AssetError(f"{path} {got}; expected sha256 {file.sha256}.", remedy)


def _absent(wanted: Entry, missing: list[AssetFile], root: Path | None) -> AssetError:
    looked = f"{root} and {cache.root()}" if root is not None else str(cache.root())
    names = ", ".join(file.path for file in missing[:3]) + (", …" if len(missing) > 3 else "")
    what = f"{wanted.name!r} is not on this machine: {names} not found in {looked}."
    if wanted.remote:
        return AssetError(what, f"Run `fairsqueeze fetch {wanted.name}`.")
    return AssetError(
        what,
        f"It can't be fetched; let {folder.VARIABLE} name a folder that holds {missing[0].path}"
        f"{' and the others' if len(missing) > 1 else ''} ({wanted.citation}).",
    )
