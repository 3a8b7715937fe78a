"""How the original bytes of a file are put back from a re-packaged copy; the result is always hashed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import BinaryIO

_BLOCK = 1 << 20


def put_back(how: str | None, source: BinaryIO, sink: BinaryIO) -> None:
    """Writes the original bytes of `source` to `sink`; `how` None copies, else it is one of `WAYS`."""
    if how is None:
        shutil.copyfileobj(source, sink, _BLOCK)
    else:
        WAYS[how](source, sink)


def from_crlf(source: BinaryIO, sink: BinaryIO) -> None:
    """Every CR LF becomes LF; a CR without LF stays."""
    held = b""
    while block := source.read(_BLOCK):
        block = held + block
        held = b"\r" if block.endswith(b"\r") else b""
        sink.write(block[: len(block) - len(held)].replace(b"\r\n", b"\n"))
    sink.write(held)


def from_wikitext_parquet(source: BinaryIO, sink: BinaryIO) -> None:
    """The raw text of a WikiText split from the hub's rows: one line each, where the blank line `" \\n"` became ""."""
    import pyarrow.parquet

    for line in pyarrow.parquet.read_table(source, columns=["text"])["text"].to_pylist():
        sink.write((line or " \n").encode())


WAYS: dict[str, Callable[[BinaryIO, BinaryIO], None]] = {
    "crlf": from_crlf,
    "wikitext_parquet": from_wikitext_parquet,
}
