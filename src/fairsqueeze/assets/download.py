"""One file over HTTP, resumed where it stopped: after a lost connection at once, after a killed process next time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import httpx

from fairsqueeze.assets import cache
from fairsqueeze.errors import AssetError

_WAITS_S = (0.2, 1.0, 3.0)  # before each new try that follows a failure without a single new byte
_BLOCK = 1 << 18


class Progress(Protocol):
    """What a download reports to; `fairsqueeze.study.progress` has some."""

    def say(self, message: str) -> None: ...

    def advance(self, task: str, done: float, total: float) -> None: ...


def download(client: httpx.Client, url: str, part: Path, size: int, progress: Progress | None = None) -> None:
    """Brings `part` to its full `size` in bytes, going on after what it already holds.

    Raises:
        httpx.HTTPError: refused, or lost four times in a row without a new byte; `part` keeps what came.
        AssetError: the disk is full, or the server holds another number of bytes.
    """
    with cache.writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while (held := _size(part)) != size:
        if held > size:  # not ours: start again
            part.unlink()
            continue
        try:
            _stream(client, url, part, size, progress)
        except httpx.TransportError:
            failures = 0 if _size(part) > held else failures + 1
            if failures > len(_WAITS_S):
                raise
            if failures:
                time.sleep(_WAITS_S[failures - 1])
        else:
            if _size(part) != size:
                got = _size(part)
                part.unlink()
                raise AssetError(
                    f"The source of {part.stem} gave {got} bytes; expected {size}.", "Try another source with `--from`."
                )


def _stream(client: httpx.Client, url: str, part: Path, size: int, progress: Progress | None) -> None:
    held = _size(part)
    headers = {"Range": f"bytes={held}-", "Accept-Encoding": "identity"} if held else {"Accept-Encoding": "identity"}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        response.raise_for_status()
        goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT and _starts_at(response) == held
        done = held if goes_on else 0
        with cache.writing(part), part.open("ab" if goes_on else "wb") as sink:
            for block in response.iter_raw(_BLOCK):
                sink.write(block)
                done += len(block)
                if done > size:
                    break
                if progress is not None:
                    progress.advance(f"fetching {part.stem}", done, size)


def _starts_at(response: httpx.Response) -> int:
    """The first byte that a partial answer holds, -1 where it does not say."""
    given = response.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    return int(given) if given.isdigit() else -1


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
