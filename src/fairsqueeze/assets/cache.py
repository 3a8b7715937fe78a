"""The cache on disk: where fetched files lie, how they get there whole or not at all, and who may write."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from fairsqueeze.errors import AssetError

VARIABLE = "FAIRSQUEEZE_CACHE"


class NotWritable(AssetError):
    """The cache could not be written (full disk, no right to): no other source would help."""


def root() -> Path:
    """The cache folder: `FAIRSQUEEZE_CACHE`, else the one that the operating system keeps for programs."""
    value = os.environ.get(VARIABLE, "").strip()
    return Path(value).expanduser().absolute() if value else Path(user_cache_dir("fairsqueeze"))


def path_of(path: str) -> Path:
    """Where the file of the catalogue's `path` lies once it is fetched; the layout is that of `FAIRSQUEEZE_DATA`."""
    return root() / "assets" / path


def wheel_path(file: str) -> Path:
    """Where a wheel that several entries share is kept."""
    return root() / "wheels" / file


def partial_path(name: str) -> Path:
    """Where an unfinished download lies; never read as data."""
    return root() / "partial" / f"{name}.part"


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Only one process at a time within; `name` is an asset or a wheel. The others wait."""
    folder = root() / "locks"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / f"{name.replace('/', '_')}.lock")
        held.acquire()
    try:
        yield
    finally:
        held.release()


@contextmanager
def placing(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` that replaces it when the block ends well, and vanishes when it does not.

    The bytes are on the disk before the name is, so no reader and no crash ever sees half a file.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.chmod(0o644)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turns a full disk and a folder that can't be written into a message with a remedy."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotWritable(
                f"The disk is full: {target} could not be written.",
                f"Free some space, or let {VARIABLE} name a folder elsewhere; a download goes on where it stopped.",
            ) from problem
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise NotWritable(
                f"{target} can't be written: {problem.strerror}.",
                f"Let {VARIABLE} name a folder that you may write to.",
            ) from problem
        raise
