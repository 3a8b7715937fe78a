"""Damage: how a file of a store is recognised as not whole, and where it goes then."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fairsqueeze.errors import StoreError
from fairsqueeze.records import metadata_of
from fairsqueeze.study.filesystem import Folder, reason

_NOT_ALLOWED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class Damaged(Exception):
    """A file is not what was once placed under its name; the message says why."""


def records_in(content: bytes, step: str) -> pa.Table:
    """The records of `step` that a Parquet file holds.

    Raises Damaged for bytes that are no whole Parquet file, pages that fail their checksum, metadata that names another
    step, and numbers that are not finite, which no writer ever places.
    """
    try:
        table = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()
        found = metadata_of(table)
    except (OSError, pa.ArrowException, StoreError, ValueError) as error:
        raise Damaged(" ".join(str(error).split())) from error
    if found.get("step") != step:
        raise Damaged(f"it holds step {found.get('step')}")
    column = not_finite(table)
    if column is not None:
        raise Damaged(f"{column} holds NaN or infinity")
    return table


def not_finite(table: pa.Table) -> str | None:
    """The first column (or field, as `answer.score`) that holds NaN or infinity, or None."""
    for name in table.column_names:
        for chunk in table.column(name).chunks:
            found = _not_finite(name, chunk)
            if found is not None:
                return found
    return None


def _not_finite(name: str, values: pa.Array) -> str | None:
    kind = values.type
    if pa.types.is_floating(kind):
        return None if pc.all(pc.is_finite(values)).as_py() in (True, None) else name
    if pa.types.is_struct(kind):
        parts = ((f"{name}.{field.name}", values.field(k)) for k, field in enumerate(kind))
        return next((found for found in (_not_finite(*part) for part in parts) if found is not None), None)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _not_finite(name, values.flatten())
    return None


def set_aside(
    folder: Folder, name: str, why: str, warn: Callable[[str], None], then: str = "it will be computed again"
) -> None:
    """Move a damaged file to `damaged/`, out of the way of the one that will be made again, and say so.

    Where nothing may be written the file stays, and that is said; StoreError where moving fails for another reason.
    """
    file = name.rpartition("/")[2]
    target = f"damaged/{file}.{uuid.uuid4().hex[:8]}"
    try:
        folder.move(name, target)
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        if error.errno in _NOT_ALLOWED:
            warn(f"{folder.url(name)} is damaged ({why}); it counts as absent, and stays as nothing can be written.")
            return
        raise StoreError(
            f"{folder.url(name)} is damaged ({why}) and can't be set aside: {reason(error)}.", "Remove it."
        ) from error
    warn(f"{folder.url(name)} is damaged ({why}); it was moved to {folder.url(target)}; {then}.")
