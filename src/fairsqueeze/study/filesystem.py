"""Folder: files by name below a root, on this machine or on any fsspec filesystem, each placed whole or not at all."""

from __future__ import annotations

import os
import re
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from fairsqueeze.errors import StoreError

PUT_IS_ATOMIC = frozenset({"abfs", "abfss", "az", "gcs", "gs", "memory", "s3", "s3a"})
"""Object stores: an object appears under its name complete. Elsewhere a file gets another name until it is whole."""

_URL_AS_PATH = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])")


class Folder(ABC):
    """Files below `root`; a name is a path with `/`, as in `records/1f.parquet`.

    Every method raises OSError (FileNotFoundError where a file is not there) and nothing else. Names that start with a
    dot belong to files that are not whole yet, and are never listed.
    """

    root: Path | str

    @abstractmethod
    def check(self) -> None:
        """StoreError if files can't be placed here as things are; nothing is written."""

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file in `folder` by file name, in alphabetical order; empty where there is no such folder."""

    @abstractmethod
    def changed(self, folder: str) -> float:
        """When a file in `folder` was last placed, in seconds since 1970; 0 where there is none."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a file."""

    @abstractmethod
    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The content of those of `names` that are there."""

    @abstractmethod
    def place(self, name: str, content: bytes) -> None:
        """Make `content` the content of a file: all of it, or the file stays as it was."""

    @abstractmethod
    def move(self, name: str, target: str) -> None:
        """Give a file another name."""

    @abstractmethod
    def remove(self, names: Iterable[str]) -> None:
        """Remove files; one that is not there is no error."""

    def url(self, name: str) -> str:
        """What messages call a file."""
        return f"{self.root}/{name}"


def folder_at(root: Path | str) -> Folder:
    """The folder at a path, or at a URL such as `s3://bucket/prefix` or `memory://name`.

    StoreError for a protocol that fsspec does not know, or whose package is not installed. A URL that went through Path
    (`s3:/bucket`) is taken as the URL it was.
    """
    text = root.as_posix() if isinstance(root, Path) else str(root)
    found = _URL_AS_PATH.match(text)
    if found is None or (isinstance(root, Path) and not _known(found[1])):
        return LocalFolder(Path(root))
    rest = text[found.end() :]
    if found[1] in ("file", "local"):
        return LocalFolder(Path("/" + rest))
    return RemoteFolder(f"{found[1]}://{rest}".rstrip("/"), found[1])


def reason(error: OSError) -> str:
    """What an OSError says, without its number and file."""
    return error.strerror or str(error) or type(error).__name__


class LocalFolder(Folder):
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root: Path = root

    def check(self) -> None:
        nearest = next(folder for folder in (self.root, *self.root.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise StoreError(f"--out {self.root} can't be written: {nearest} is a file.", "Choose another folder.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise StoreError(
                f"--out {self.root} can't be written: no permission in {nearest}.", "Choose another folder."
            )

    def sizes(self, folder: str) -> dict[str, int]:
        found = {}
        try:
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file():
                        found[entry.name] = entry.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return dict(sorted(found.items()))

    def changed(self, folder: str) -> float:
        times = ((self.root / folder / file).stat().st_mtime for file in self.sizes(folder))
        return max(times, default=0.0)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        found = {}
        for name in names:
            try:
                found[name] = self.read(name)
            except FileNotFoundError:
                continue
        return found

    def place(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def move(self, name: str, target: str) -> None:
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.root / name, self.root / target)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self.root / name).unlink(missing_ok=True)


class RemoteFolder(Folder):
    """A prefix on an fsspec filesystem, with the credentials and endpoint of fsspec's own configuration."""

    def __init__(self, root: str, protocol: str) -> None:
        self.root: str = root
        self.filesystem, self._prefix = _opened(root)
        self._put_is_atomic = protocol in PUT_IS_ATOMIC

    def check(self) -> None:
        try:
            self.sizes("records")
        except OSError as error:
            raise StoreError(
                f"--out {self.root} can't be reached: {reason(error)}.", "Check the address and the credentials."
            ) from error

    def sizes(self, folder: str) -> dict[str, int]:
        return {name: int(one["size"]) for name, one in self._listed(folder).items()}

    def changed(self, folder: str) -> float:
        return max(map(_seconds, self._listed(folder).values()), default=0.0)

    def read(self, name: str) -> bytes:
        with _os_errors_only():
            content: bytes = self.filesystem.cat_file(self.path(name))
        return content

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        by_path = {self.filesystem._strip_protocol(self.path(name)): name for name in names}
        if not by_path:
            return {}
        with _os_errors_only():
            answers = self.filesystem.cat(list(by_path), on_error="return")
            found = {}
            for path, answer in answers.items():
                if isinstance(answer, FileNotFoundError):
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                found[by_path[path]] = answer
        return found

    def place(self, name: str, content: bytes) -> None:
        path = self.path(name)
        with _os_errors_only():
            if self._put_is_atomic:
                self.filesystem.pipe_file(path, content)
                return
            parent, _, file = path.rpartition("/")
            partial = f"{parent}/.{file}.{uuid.uuid4().hex}.part"
            self.filesystem.makedirs(parent, exist_ok=True)
            self.filesystem.pipe_file(partial, content)
            self.filesystem.mv(partial, path)

    def move(self, name: str, target: str) -> None:
        with _os_errors_only():
            if not self._put_is_atomic:
                self.filesystem.makedirs(self.path(target).rpartition("/")[0], exist_ok=True)
            self.filesystem.mv(self.path(name), self.path(target))

    def remove(self, names: Iterable[str]) -> None:
        with _os_errors_only():
            for name in names:
                try:
                    self.filesystem.rm_file(self.path(name))
                except FileNotFoundError:
                    continue

    def path(self, name: str) -> str:
        """Where a file is on its filesystem."""
        return f"{self._prefix}/{name}".rstrip("/")

    def _listed(self, folder: str) -> dict[str, dict[str, Any]]:
        """What the filesystem tells of every file in `folder`, by file name."""
        with _os_errors_only():
            try:
                listed = self.filesystem.ls(self.path(folder), detail=True)
            except FileNotFoundError:
                return {}
        files = {one["name"].rsplit("/", 1)[-1]: one for one in listed if one["type"] == "file"}
        return {name: files[name] for name in sorted(files) if name and not name.startswith(".")}


def _known(protocol: str) -> bool:
    from fsspec import available_protocols

    return protocol in available_protocols()


def _opened(url: str) -> tuple[Any, str]:
    """The filesystem behind `url`, which never answers from a remembered listing, and the path on it."""
    import fsspec

    try:
        filesystem, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise StoreError(f"{url} needs a package that is not here: {error}.", _package(url)) from error
    except ValueError as error:
        raise StoreError(f"{url} can't be opened: {error}.", "Give a folder or a URL that fsspec knows.") from error
    return filesystem, str(path).rstrip("/")


def _package(url: str) -> str:
    if url.startswith(("s3://", "s3a://")):
        return "Run: pip install 'fairsqueeze[s3]'"
    return "Install the fsspec package for this protocol."


def _seconds(info: dict[str, Any]) -> float:
    """When a file was placed, under any of the names that filesystems have for this; 0 where they don't tell."""
    told = next((info[key] for key in ("LastModified", "last_modified", "mtime", "created") if info.get(key)), 0.0)
    return told.timestamp() if isinstance(told, datetime) else float(told)


@contextmanager
def _os_errors_only() -> Iterator[None]:
    """What object stores raise on top of OSError (no credentials, no connection), as OSError."""
    try:
        yield
    except _beyond_os_errors() as error:
        raise OSError(str(error)) from error


def _beyond_os_errors() -> tuple[type[Exception], ...]:
    known = (
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
        ("aiohttp", "ClientError"),
    )
    return tuple(getattr(sys.modules[module], name) for module, name in known if module in sys.modules)
