from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.assets import normalise


def put_back(how: str | None, content: bytes) -> bytes:
    sink = io.BytesIO()
    normalise.put_back(how, io.BytesIO(content), sink)
    return sink.getvalue()


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bc"])).map(b"".join), st.integers(1, 7))
def test_line_ends_are_put_back_whatever_the_block_size(content: bytes, block: int) -> None:
    before = normalise._BLOCK
    normalise._BLOCK = block
    try:
        assert put_back("crlf", content) == content.replace(b"\r\n", b"\n")
        assert put_back(None, content) == content
    finally:
        normalise._BLOCK = before


def test_wikitext_is_rebuilt_from_the_rows_of_the_hub() -> None:
    raw = " \n = Title = \n \n Some text . \n \n"
    rows = ["", " = Title = \n", "", " Some text . \n", ""]  # as the hub's script made them: blank lines emptied
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": rows}), buffer)
    assert put_back("wikitext_parquet", buffer.getvalue()) == raw.encode()


def test_an_unknown_way_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        put_back("no such way", b"")
