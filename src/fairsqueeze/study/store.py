"""Store: a folder of Parquet records and JSON documents, by content id. A crash never leaves half a file."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fairsqueeze.errors import NonFinite, StoreError
from fairsqueeze.records import SCHEMA_VERSION, metadata_of
from fairsqueeze.study.damaged import Damaged, not_finite, records_in, set_aside
from fairsqueeze.study.facts import facts_of_document, facts_of_records
from fairsqueeze.study.filesystem import folder_at, reason
from fairsqueeze.study.manifest import Manifest, Promise

LAYOUT_VERSION = 2
"""1: records and documents. 2: the same, with `store.json` and a manifest."""

PROMISED = {"records": ".parquet", "variants": ".json"}
"""The folders whose files are placed once and stand in the manifest, and how their names end."""

_CHUNK = 1000


class Store:
    """Records of steps under `root/records`, JSON documents under `root`; any number of processes may write at once.

    `root` is a folder, or a URL that fsspec knows, as in `s3://bucket/prefix`. A file appears under its name only when
    it is complete and on disk. A file that can't be read, that is not what the manifest promises, or whose metadata
    names another step, is moved to `root/damaged` and reported as absent, so that it is computed again.
    """

    def __init__(self, root: Path | str, warn: Callable[[str], None] | None = None) -> None:
        self._warn = warn or (lambda message: None)
        self.folder = folder_at(root)
        self.root: Any = self.folder.root  # a Path, or the URL as text
        self._manifest = Manifest(self.folder, self._warn)
        self._layout: int | None = None

    def check(self) -> None:
        """StoreError if `prepare` would fail for what is there already; nothing is written."""
        self.folder.check()
        self._check_layout()

    def prepare(self) -> None:
        """Make the folder and prove that it can be written; StoreError with exit code 2 otherwise.

        Files that the manifest does not know, as in a store of layout 1, are checked and taken into it.
        """
        try:
            if self._check_layout() < LAYOUT_VERSION:
                layout = json.dumps({"schema": f"fairsqueeze.store/{LAYOUT_VERSION}"})
                self.folder.place("store.json", layout.encode())
            self.folder.place("records/.writable", b"")
            self.folder.remove(["records/.writable"])
        except OSError as error:
            raise StoreError(
                f"--out {self.root} can't be written: {reason(error)}.", "Choose another folder."
            ) from None
        self._adopt()

    def has(self, step: str) -> bool:
        """Whether the records of `step` are there and whole."""
        return self.read(step) is not None

    def read(self, step: str) -> pa.Table | None:
        """The records of `step`, or None; a damaged file is set aside, reported, and counts as absent."""
        name = f"records/{step}.parquet"
        table = self._whole(name)
        if table is not None and metadata_of(table).get("schema", 0) > SCHEMA_VERSION:
            raise StoreError(
                f"{self.folder.url(name)} was written by a newer fairsqueeze (schema {metadata_of(table)['schema']}).",
                "Upgrade fairsqueeze.",
            )
        return table

    def write(self, step: str, table: pa.Table) -> None:
        """Place the records of `step`, atomically; NonFinite if they hold NaN or infinity."""
        column = not_finite(table)
        if column is not None:
            raise NonFinite(
                f"Step {step}: {column} holds NaN or infinity.",
                "An undefined value is null, with a status that says why.",
            )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        self._place(f"records/{step}.parquet", sink.getvalue().to_pybytes(), facts_of_records(table))

    def read_document(self, name: str) -> dict[str, Any] | None:
        """The JSON document `name` (a path below the root, without suffix), or None; a damaged one is set aside."""
        return self._whole(f"{name}.json")

    def write_document(self, name: str, value: dict[str, Any]) -> Path | str:
        """Place a JSON document, atomically; NaN in it is a ValueError. Returns where it is."""
        content = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode()
        self._place(f"{name}.json", content, facts_of_document(value))
        return self.root / f"{name}.json" if isinstance(self.root, Path) else self.folder.url(f"{name}.json")

    def documents(self, folder: str) -> Iterator[dict[str, Any]]:
        """All readable JSON documents in `folder`, by name."""
        return (document for _, document in self.documents_by_id(folder))

    def documents_by_id(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The same, each after its name without suffix."""
        for file in self._sizes(folder):
            name = file.removesuffix(".json")
            document = self.read_document(f"{folder}/{name}") if name != file else None
            if document is not None:
                yield name, document

    def holds(self, name: str) -> bool:
        """Whether the JSON document `name` is there, be it readable or not."""
        folder, _, file = name.rpartition("/")
        return f"{file}.json" in self._sizes(folder)

    def changed(self) -> float:
        """When a document was last placed, in seconds since 1970."""
        with self._reading("."):
            return max(self.folder.changed(folder) for folder in ("", "variants", "base", "other"))

    def steps(self) -> list[str]:
        """Ids of the steps whose records are there."""
        return sorted(file.removesuffix(".parquet") for file in self._sizes("records") if file.endswith(".parquet"))

    def outlines(self, folder: str) -> dict[str, dict[str, Any]]:
        """What the manifest tells of every file that is there in `records` or `variants`, by id, in order.

        The facts of each (`facts.py`), its `sha256` and its `bytes`. Only a file of another size than promised, or one
        with no promise or several, is opened; damaged ones are set aside and left out.
        """
        return {
            key: {**json.loads(kept.facts), "sha256": kept.sha256, "bytes": kept.size}
            for key, kept in self._there(folder)
        }

    def ids(self, folder: str) -> set[str]:
        """The ids that `outlines` would tell of, without the facts."""
        return {key for key, _ in self._there(folder)}

    def verify(self) -> list[str]:
        """Read every file of `records` and `variants`, set the damaged ones aside and name them.

        Reading a step does this for that step; this is for disks that one has come to doubt.
        """
        damaged = []
        for folder, suffix in PROMISED.items():
            names = [f"{folder}/{file}" for file in self._sizes(folder) if file.endswith(suffix)]
            damaged += [name for name in names if self._whole(name) is None]
        return damaged

    def _there(self, folder: str) -> Iterator[tuple[str, Promise]]:
        """Id and kept promise of every file that is there and has the promised size."""
        sizes = self._sizes(folder)
        with self._reading(folder):
            self._manifest.refresh()
        for file, size in sizes.items():
            name = f"{folder}/{file}"
            if not file.endswith(PROMISED[folder]):
                continue
            promises = self._manifest.of(name)
            kept = promises[0] if len(promises) == 1 and promises[0].size == size else self._kept(name)
            if kept is not None:
                yield file.removesuffix(PROMISED[folder]), kept

    def _adopt(self) -> None:
        """Promise what the files already are that no promise tells of."""
        for folder, suffix in PROMISED.items():
            names = [f"{folder}/{file}" for file in self._sizes(folder) if file.endswith(suffix)]
            if not names:
                continue
            with self._reading(folder):
                self._manifest.refresh()
            unknown = [name for name in names if not self._manifest.of(name)]
            if len(unknown) > _CHUNK:
                self._warn(f"{self.root}: {len(unknown)} files of {folder} are checked and taken into the manifest.")
            for first in range(0, len(unknown), _CHUNK):
                found = (self._kept(name) for name in unknown[first : first + _CHUNK])
                with self._writing("manifest"):
                    self._manifest.add(one for one in found if one is not None)

    def _kept(self, name: str) -> Promise | None:
        """The promise that a file keeps, or the one that it would: None if it is not there or damaged."""
        content = self._content(name)
        value = None if content is None else self._checked(name, content)
        if content is None or value is None:
            return None
        mine = Promise.of(
            name, content, facts_of_records(value) if isinstance(value, pa.Table) else facts_of_document(value)
        )
        return next((one for one in self._manifest.of(name) if one.sha256 == mine.sha256), mine)

    def _whole(self, name: str) -> Any:
        content = self._content(name)
        return None if content is None else self._checked(name, content)

    def _content(self, name: str) -> bytes | None:
        self._check_layout()
        with self._reading(name):
            try:
                return self.folder.read(name)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                set_aside(self.folder, name, reason(error), self._warn)
                return None

    def _checked(self, name: str, content: bytes) -> Any:
        """The table or document in `content`, the file `name`; if it is damaged, the file is set aside: None."""
        folder, _, file = name.rpartition("/")
        try:
            if folder in PROMISED:
                with self._reading(name):
                    self._manifest.check(name, content)
            return records_in(content, file.removesuffix(".parquet")) if folder == "records" else _document_in(content)
        except Damaged as error:
            if self._content(name) != content:  # another process has mended it since
                return self._whole(name)
            set_aside(self.folder, name, str(error), self._warn)
            return None

    def _place(self, name: str, content: bytes, facts: Mapping[str, Any]) -> None:
        with self._writing(name):
            if name.rpartition("/")[0] in PROMISED:
                self._manifest.promise(Promise.of(name, content, facts))
            self.folder.place(name, content)

    def _sizes(self, folder: str) -> dict[str, int]:
        with self._reading(folder):
            return self.folder.sizes(folder)

    def _check_layout(self) -> int:
        """The layout of what is there; StoreError for a newer one than this version knows."""
        if self._layout is not None:
            return self._layout
        version = 1
        with self._reading("store.json"):
            try:
                found = str(_document_in(self.folder.read("store.json")).get("schema"))
                version = int(found.removeprefix("fairsqueeze.store/"))
            except (FileNotFoundError, NotADirectoryError, Damaged, ValueError):
                pass  # it tells nothing else, and `prepare` places it anew
        if version > LAYOUT_VERSION:
            raise StoreError(
                f"{self.root} was written by a newer fairsqueeze (store layout {version}).", "Upgrade fairsqueeze."
            )
        self._layout = version
        return version

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self.folder.url(name)} can't be read: {reason(error)}.",
                "Check the disk, the permissions, the network.",
            ) from error

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = " The disk is full." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise StoreError(
                f"{self.folder.url(name)} can't be written: {reason(error)}.{full}",
                "Make room or fix the permissions, then run the same command again: finished work is kept.",
            ) from error


def _document_in(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:  # UnicodeDecodeError is one
        raise Damaged(str(error)) from error
    if not isinstance(value, dict):
        raise Damaged("it holds no JSON object")
    return value
