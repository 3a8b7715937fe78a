"""Content hashes of files, computed once per file and process and remembered in the cache for the cache's own files."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from fairsqueeze.assets import cache, folder
from fairsqueeze.errors import AssetError

EMPTY = hashlib.sha256().hexdigest()
_BLOCK = 1 << 20
_State = tuple[int, int]
_known: dict[Path, tuple[_State, str]] = {}


def sha256_of(path: Path) -> str:
    """The sha256 of a file, 64 hex digits; computed again whenever its size or time of change differs."""
    state = _state(path)
    remembered = _known.get(path)
    if remembered is None or remembered[0] != state:
        with path.open("rb") as stream:
            remembered = (state, digest(stream))
        _known[path] = remembered
    return remembered[1]


def files_named(settings: Mapping[str, Any]) -> dict[str, str]:
    """The sha256 of each file that a setting names: another text under the same path is another setting."""
    texts = {key: value for key, value in settings.items() if isinstance(value, str) and value}
    paths = {key: Path(value).expanduser() for key, value in texts.items()}
    return {key: sha256_of(path) for key, path in paths.items() if path.is_file()}


def sha256_of_gzip(path: Path) -> str:
    """The sha256 of what a gzip file holds.

    Raises:
        AssetError: it is cut off or not gzip at all.
    """
    state = _state(path)
    remembered = _known.get(path)
    if remembered is None or remembered[0] != state:
        try:
            with gzip.open(path, "rb") as stream:
                remembered = (state, digest(cast(BinaryIO, stream)))
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            remedy = f"Replace it by an unbroken copy, or unset {folder.VARIABLE}."
            raise AssetError(f"{path} can't be decompressed: {problem}.", remedy) from problem
        _known[path] = remembered
    return remembered[1]


def sha256_in_cache(path: Path) -> str:
    """As `sha256_of`, for a file of the cache: its hash is also remembered beside it, with its size and time."""
    if path not in _known and (noted := _read_note(path)) is not None:
        _known[path] = noted
    before = _known.get(path)
    now = sha256_of(path)
    if _known[path] != before:
        _write_note(path)
    return now


def content_id(digests: list[str]) -> str:
    """One sha256 over the hashes of several files, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _state(path: Path) -> _State:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def digest(stream: BinaryIO) -> str:
    """The sha256 of what is left in a stream."""
    running = hashlib.sha256()
    while block := stream.read(_BLOCK):
        running.update(block)
    return running.hexdigest()


def _note_path(path: Path) -> Path:
    return cache.root() / "checked" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"


def _read_note(path: Path) -> tuple[_State, str] | None:
    try:
        note = json.loads(_note_path(path).read_text(encoding="utf-8"))
        if note["path"] != str(path):
            return None
        return (int(note["size"]), int(note["mtime_ns"])), str(note["sha256"])
    except (OSError, ValueError, KeyError, TypeError):  # no note, or a damaged one: the file is hashed again
        return None


def _write_note(path: Path) -> None:
    (size, mtime_ns), known = _known[path]
    note = {"path": str(path), "size": size, "mtime_ns": mtime_ns, "sha256": known}
    try:
        with cache.placing(_note_path(path)) as temporary:
            temporary.write_text(json.dumps(note), encoding="utf-8")
    except AssetError:  # a cache that can only be read: the hash is computed again next time
        return
