"""Records: the Arrow schema of what a measure saw, one row per stimulus, and the numpy view that statistics take."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fairsqueeze.errors import NonFinite, StoreError
from fairsqueeze.items import Row
from fairsqueeze.registry import Frame

SCHEMA_VERSION = 1
METADATA_KEY = b"fairsqueeze"
COLUMNS = ("step", "checkpoint", "measure", "item", "axis", "group", "cluster")

_FIXED = [pa.field(name, pa.string(), nullable=name in ("axis", "group")) for name in COLUMNS] + [
    pa.field("preference", pa.float64()),
    pa.field("control", pa.float64()),
    pa.field("status", pa.string(), nullable=False),
]


def table_of(rows: Sequence[Row], *, step: str, checkpoint: str, measure: str, metadata: Mapping[str, Any]) -> pa.Table:
    """Rows as an Arrow table with `metadata` (JSON) under the key `fairsqueeze`.

    Raises NonFinite if any number is NaN or infinite: undefined values must be None with a status that says why.
    Raises StoreError if rows disagree about the fields of `answer`, or an undefined value has status ok.
    """
    for row in rows:
        _check(row, measure)
    columns: dict[str, Any] = {
        "step": [step] * len(rows),
        "checkpoint": [checkpoint] * len(rows),
        "measure": [measure] * len(rows),
    }
    for name in ("item", "axis", "group", "cluster", "preference", "control", "status"):
        columns[name] = [getattr(row, name) for row in rows]
    answers = pa.array([dict(row.answer) for row in rows])
    fields = [*_FIXED, pa.field("answer", answers.type), pa.field("n_tokens", pa.int64(), nullable=False)]
    if len({tuple(row.answer) for row in rows}) > 1:
        raise StoreError(f"{measure}: rows have different fields in their answer.", "Give every row the same keys.")
    arrays = [pa.array(columns[f.name], type=f.type) for f in _FIXED]
    arrays += [answers, pa.array([row.n_tokens for row in rows], pa.int64())]
    meta = {METADATA_KEY: json.dumps({"schema": SCHEMA_VERSION, **metadata}, sort_keys=True)}
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=meta))


def metadata_of(table: pa.Table) -> dict[str, Any]:
    """The JSON metadata that `table_of` attached."""
    raw = (table.schema.metadata or {}).get(METADATA_KEY)
    if raw is None:
        raise StoreError("A table has no fairsqueeze metadata.", "It was not written by fairsqueeze.")
    return json.loads(raw)


def frame_of(table: pa.Table) -> Frame:
    """The columns of `table` as numpy arrays, the scalar fields of `answer` among them; null floats become NaN.

    Lists inside `answer` become object arrays. Rows keep their order.
    """
    frame = {name: _array(table.column(name).combine_chunks()) for name in table.column_names if name != "answer"}
    answer = table.column("answer").combine_chunks()
    for index, name in enumerate(f.name for f in answer.type):
        if name in frame:
            raise StoreError(f"answer.{name} has the name of a column.", "Rename the field of the answer.")
        frame[name] = _array(answer.field(index))
    return frame


def select(frame: Frame, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The rows of `frame` for which the boolean or integer index `rows` stands."""
    return {name: column[rows] for name, column in frame.items()}


def _array(column: pa.Array) -> np.ndarray:
    if pa.types.is_null(column.type):
        return np.full(len(column), math.nan)
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(column.type):
        return np.array([math.nan if v is None else float(v) for v in column.to_pylist()])
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values


def _check(row: Row, measure: str) -> None:
    for name, value in (("preference", row.preference), ("control", row.control), *row.answer.items()):
        numbers = value if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
            raise NonFinite(
                f"{measure}: item {row.item} has {name} = {value}.",
                "The model (or the measure) is broken; a number that is not finite is never scored.",
            )
    if row.status == "ok" and row.preference is None and row.control is None and not row.answer:
        raise StoreError(f"{measure}: item {row.item} is 'ok' with nothing in it.", "Give a status that says why.")
