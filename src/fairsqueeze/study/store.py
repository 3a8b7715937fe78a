"""Store: a folder of Parquet records and JSON documents, by content id. A crash never leaves half a file."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fairsqueeze.errors import StoreError
from fairsqueeze.records import SCHEMA_VERSION, metadata_of


class Store:
    """Records of steps under `root/records`, JSON documents under `root`.

    A file appears under its name only when it is complete and on disk. A file that can't be read, or whose metadata
    names another step, is moved to `root/damaged` and reported as absent, so that it is computed again.
    """

    def __init__(self, root: Path | str, warn: Callable[[str], None] | None = None) -> None:
        self.root = Path(root)
        self._warn = warn or (lambda message: None)

    def check(self) -> None:
        """StoreError if `prepare` would fail for what is there already; nothing is written."""
        nearest = next(folder for folder in (self.root, *self.root.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise StoreError(f"--out {self.root} can't be written: {nearest} is a file.", "Choose another folder.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise StoreError(
                f"--out {self.root} can't be written: no permission in {nearest}.", "Choose another folder."
            )

    def prepare(self) -> None:
        """Make the folder and prove that it can be written; StoreError with exit code 2 otherwise."""
        try:
            (self.root / "records").mkdir(parents=True, exist_ok=True)
            self._place(self.root / ".writable", b"")
            (self.root / ".writable").unlink(missing_ok=True)
        except (OSError, StoreError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.message
            raise StoreError(f"--out {self.root} can't be written: {reason}.", "Choose another folder.") from None

    def has(self, step: str) -> bool:
        """Whether the records of `step` are there and whole."""
        return self.read(step) is not None

    def read(self, step: str) -> pa.Table | None:
        """The records of `step`, or None; a damaged file is set aside, reported, and counts as absent."""
        path = self._records(step)
        if not path.exists():
            return None
        try:
            table = pq.read_table(path)
            found = metadata_of(table)
        except (OSError, pa.ArrowException, StoreError, ValueError) as error:
            self._set_aside(path, str(error))
            return None
        if found.get("step") != step:
            self._set_aside(path, f"it holds step {found.get('step')}")
            return None
        if found.get("schema", 0) > SCHEMA_VERSION:
            raise StoreError(
                f"{path} was written by a newer fairsqueeze (schema {found['schema']}).", "Upgrade fairsqueeze."
            )
        return table

    def write(self, step: str, table: pa.Table) -> None:
        """Place the records of `step`, atomically."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self._place(self._records(step), sink.getvalue().to_pybytes())

    def read_document(self, name: str) -> dict[str, Any] | None:
        """The JSON document `name` (a path below the root, without suffix), or None; a damaged one is set aside."""
        path = self.root / f"{name}.json"
        if not path.exists():
            return None
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(value, dict):
                raise ValueError("it holds no JSON object")
        except (OSError, ValueError) as error:
            self._set_aside(path, str(error))
            return None
        return value

    def write_document(self, name: str, value: dict[str, Any]) -> Path:
        """Place a JSON document, atomically; NaN in it is a ValueError."""
        path = self.root / f"{name}.json"
        self._place(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode())
        return path

    def documents(self, folder: str) -> Iterator[dict[str, Any]]:
        """All readable JSON documents in `folder`, by name."""
        for path in sorted((self.root / folder).glob("*.json")):
            document = self.read_document(f"{folder}/{path.stem}")
            if document is not None:
                yield document

    def steps(self) -> list[str]:
        """Ids of the steps whose records are there."""
        return sorted(p.stem for p in (self.root / "records").glob("*.parquet"))

    def _records(self, step: str) -> Path:
        return self.root / "records" / f"{step}.parquet"

    def _place(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            full = " The disk is full." if error.errno == errno.ENOSPC else ""
            raise StoreError(
                f"{path} can't be written: {error.strerror}.{full}",
                "Make room or fix the permissions, then run the same command again: finished work is kept.",
            ) from error

    def _set_aside(self, path: Path, why: str) -> None:
        target = self.root / "damaged" / f"{path.name}.{uuid.uuid4().hex[:8]}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        except OSError as error:
            raise StoreError(
                f"{path} is damaged ({why}) and can't be set aside: {error.strerror}.", "Remove it."
            ) from error
        self._warn(f"{path} is damaged ({why}); it was moved to {target} and will be computed again.")
