"""sql: questions in SQL to the folder of a study, an audit or a comparison; no model is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from fairsqueeze.errors import FairsqueezeError, StoreError
from fairsqueeze.records import COLUMNS
from fairsqueeze.study.filesystem import LocalFolder, RemoteFolder
from fairsqueeze.study.finished import finished
from fairsqueeze.study.store import Store

STEPS = pa.schema(
    [(name, pa.string()) for name in ("step", "checkpoint", "reference", "measure", "settings", "items", "answer")]
    + [(name, pa.int64()) for name in ("measure_version", "schema", "rows", "undefined", "bytes")]
    + [("sha256", pa.string()), ("wall_s", pa.float64()), ("cpu_s", pa.float64())]
)
_OF_MODEL = [(name, pa.string()) for name in ("model", "label", "kind", "checkpoint", "reference")]
_AMOUNTS = ("value", "low", "high", "ideal", "chance", "constant", "bca_low", "bca_high", "fieller_low", "fieller_high")
ESTIMATES = pa.schema(
    _OF_MODEL
    + [
        (name, pa.string())
        for name in ("step", "measure", "statistic", "axis", "status", "verdict", "reason", "method")
    ]
    + [(name, pa.int64()) for name in ("n", "n_undefined", "n_clusters")]
    + [(name, pa.float64()) for name in _AMOUNTS]
)
_SPEED = ("median_s", "tokens_per_s", "speedup", "speedup_low", "speedup_high")
_ENERGY = ("joules_per_token", "against_dense", "against_dense_low", "against_dense_high")
_COUNTS = ("parameters", "nonzeros", "zeros")
FOOTPRINTS = pa.schema(
    _OF_MODEL
    + [("dtype", pa.string())]
    + [(f"{part}{name}", pa.int64()) for part in ("", "linear_") for name in _COUNTS]
    + [(name, pa.float64()) for name in ("sparsity", "linear_sparsity")]
    + [(f"bytes_{form}", pa.int64()) for form in ("dense", "sparse", "zstd")]
    + [(f"bits_per_weight_{form}", pa.float64()) for form in ("dense", "sparse", "zstd")]
    + [(f"flops_per_token_{way}", pa.float64()) for way in ("dense", "skipping_zeros")]
    + [(f"latency_{name}", pa.float64()) for name in _SPEED]
    + [(f"latency_energy_{name}", pa.float64()) for name in _ENERGY]
    + [("latency_energy_basis", pa.string())]
)
VIEWS = ("records", "estimates", "footprints", "steps")

_CLOSED = (
    "SET temp_directory = ''",
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET lock_configuration = true",
)

_REFUSALS = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError, duckdb.PermissionException)


def open(folder: Path | str) -> Database:
    """The results in the folder of a study, an audit or a comparison, to be asked in SQL.

    Args:
        folder: the `--out` folder, or a URL that fsspec knows, as in `s3://bucket/prefix`.

    Returns: an object with `sql(query)`; also a context manager. It reads what is there when a view is first asked for;
    open again to see what a running study has added.

    Raises StoreError if the folder holds no study, audit or comparison.

    Views (docs/store.md has every column):
        records: one row per stimulus and step, as stored; `answer` is JSON text (`answer->>'logprob'`).
        estimates: one row per variant, measure, statistic and axis (null: overall), with the `step` it came from.
        footprints: one row per variant: parameters, zeros, bytes, bits per weight, operations, speed.
        steps: one row per file of records: what was asked of which checkpoint, rows, bytes, sha256, seconds.

    `estimates` and `footprints` hold the study as it now stands; `records` and `steps` also what an earlier version of
    the study file asked. Join on `step` to leave that out.

    Example:
        >>> fairsqueeze.open("runs/first-light").sql("SELECT label, sparsity FROM footprints")  # doctest: +SKIP
    """
    said: list[str] = []
    stores = [store for store in _stores(folder, said.append) if store.steps() or store.read_document("audit")]
    if not stores:
        raise StoreError(f"{folder} holds no audit, comparison or study.", "Give the --out folder of one of these.")
    return Database(stores, said)


class Database:
    """The views of one folder (or of both sides of a comparison) in a DuckDB of their own, which reads nothing else.

    One SELECT at a time: a query may come from a stranger. It can neither write nor reach another file, variable of
    this process, extension or address; it can take long.
    """

    def __init__(self, stores: Sequence[Store], said: list[str]) -> None:
        self._stores = stores
        self._said = said  # what the stores warn of
        self._there: set[str] = set()
        self._lock = threading.Lock()
        self._connection = duckdb.connect(":memory:")
        for statement in _CLOSED:
            self._connection.execute(statement)

    def sql(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """The answer to one SELECT; `parameters` stand for `?`, `$1` or `$name` in it.

        Raises FairsqueezeError for anything but one SELECT and for a query that DuckDB refuses; StoreError where a file
        turns out to be damaged: it is set aside, and the next query is answered without it.
        """
        with self._lock:
            try:
                return self._answer(query, parameters)
            except _REFUSALS as error:
                raise FairsqueezeError(f"DuckDB refuses the query: {error}.", f"Views: {', '.join(VIEWS)}.") from error
            except (duckdb.Error, OSError, pa.ArrowException) as error:
                self._look_for_damage()
                raise StoreError(f"The records can't be read: {error}.", "Run the same study again.") from error

    def _answer(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None) -> pa.Table:
        statements = self._connection.extract_statements(query)
        if [one.type for one in statements] != [duckdb.StatementType.SELECT]:
            raise FairsqueezeError(f"{query!r} is not one SELECT.", "Ask one question at a time; nothing is written.")
        for view in VIEWS:
            if view in query.lower():
                self._provide(view)
        return self._connection.sql(query, params=parameters).to_arrow_table()

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _provide(self, view: str) -> None:
        if view in self._there:
            return
        if view == "records":
            _records_into(self._connection, self._stores)
        else:
            rows = {"steps": _steps, "estimates": _estimates, "footprints": _footprints}[view]
            schema = {"steps": STEPS, "estimates": ESTIMATES, "footprints": FOOTPRINTS}[view]
            found = [row for store in self._stores for row in rows(store)]
            self._connection.register(view, pa.Table.from_pylist(found, schema=schema))
        self._there.add(view)
        self._tell_damage()

    def _look_for_damage(self) -> None:
        """StoreError if records are damaged: every file is read whole."""
        for store in self._stores:
            for step in store.steps():
                store.has(step)
        self._tell_damage()

    def _tell_damage(self) -> None:
        if self._said:
            told, self._there = " ".join(self._said), set()
            self._said.clear()
            raise StoreError(told, "Run the same study again, or ask again to have what is left.")


def _stores(folder: Path | str, warn: Callable[[str], None]) -> list[Store]:
    store = Store(folder, warn)
    if store.read_document("compare") is None:
        return [store]
    return [store, *(Store(f"{store.root}/{side}", warn) for side in ("base", "other"))]


def _scored(store: Store) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What every scored variant is called, and its audit; of an audit's own folder that one."""
    audit = store.read_document("audit")
    if audit is not None and "model" in audit:
        reference = audit["model"]["reference"]
        kind = "reference" if reference.startswith("reference:") else "dense"
        documents = [{"model": reference, "label": reference, "kind": kind, "audit": audit}]
    else:
        documents = finished(store)
    for one in documents:
        model = one["audit"]["model"]
        named = {key: one[key] for key in ("model", "label", "kind")}
        yield {**named, "checkpoint": model["id"], "reference": model["reference"]}, one["audit"]


def _estimates(store: Store) -> Iterator[dict[str, Any]]:
    for named, audit in _scored(store):
        steps = audit.get("provenance", {}).get("steps", {})
        for estimate in audit["estimates"]:
            yield {**estimate, **named, "step": steps.get(estimate["measure"])}


def _footprints(store: Store) -> Iterator[dict[str, Any]]:
    for named, audit in _scored(store):
        yield {**_flat(audit["footprint"]), **named}


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by `_`."""
    found: dict[str, Any] = {}
    for key, one in value.items():
        found |= _flat(one, f"{before}{key}_") if isinstance(one, Mapping) else {f"{before}{key}": one}
    return found


def _steps(store: Store) -> Iterator[dict[str, Any]]:
    from fairsqueeze.spec import canonical_json

    for step, outline in store.outlines("records").items():
        spec = outline.get("measure")
        if isinstance(spec, Mapping):
            outline |= {"measure": spec.get("name"), "settings": canonical_json(spec.get("parameters", {}))}
        yield {**outline, "step": step}


def _records_into(connection: Any, stores: Sequence[Store]) -> None:
    """The view `records`: one Arrow data set per store and type of `answer`, read as far as a query needs it."""
    parts = []
    for number, store in enumerate(stores):
        by_answer: dict[str, list[dict[str, Any]]] = {}
        for row in _steps(store):
            by_answer.setdefault(row["answer"], []).append(row)
        for kind, rows in enumerate(by_answer.values()):
            name = f"part_{number}_{kind}"
            connection.register(name, _dataset(store, rows))
            parts.append(f"SELECT {_columns('to_json(answer)::VARCHAR')} FROM {name}")
    empty = f"SELECT {_columns('NULL::VARCHAR')} FROM (SELECT {_nothing()}) WHERE false"
    connection.execute(f"CREATE OR REPLACE VIEW records AS {' UNION ALL '.join(parts) or empty}")


def _columns(answer: str) -> str:
    plain = ", ".join(f'"{name}"' for name in (*COLUMNS, "preference", "control", "status"))
    return f"{plain}, {answer} AS answer, n_tokens"


def _nothing() -> str:
    texts = [f'NULL::VARCHAR AS "{name}"' for name in (*COLUMNS, "status")]
    numbers = ["NULL::DOUBLE AS preference", "NULL::DOUBLE AS control", "NULL::BIGINT AS n_tokens"]
    return ", ".join([*texts, *numbers])


def _dataset(store: Store, rows: Sequence[Mapping[str, Any]]) -> ds.Dataset:
    """The records of these steps, which are alike in their columns; a page that fails its checksum is an error.

    What is known of each file lets a query on step, checkpoint or measure leave the others closed.
    """
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    filesystem, prefix = _arrow_filesystem(store.folder)
    paths = [f"{prefix}/records/{row['step']}.parquet" for row in rows]
    known = [_known(row) for row in rows]
    schema = form.inspect(paths[0], filesystem)
    return ds.FileSystemDataset.from_paths(paths, schema=schema, format=form, filesystem=filesystem, partitions=known)


def _known(row: Mapping[str, Any]) -> ds.Expression:
    found = ds.field("step") == row["step"]
    return found if row.get("measure") is None else found & (ds.field("measure") == row["measure"])


def _arrow_filesystem(folder: Any) -> tuple[Any, str]:
    from pyarrow.fs import FSSpecHandler, LocalFileSystem, PyFileSystem

    if isinstance(folder, RemoteFolder):
        return PyFileSystem(FSSpecHandler(folder.filesystem)), folder.path("")
    assert isinstance(folder, LocalFolder)
    return LocalFileSystem(), folder.root.absolute().as_posix()
