from __future__ import annotations

import hashlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from fairsqueeze.errors import NonFinite, StoreError
from fairsqueeze.items import Row
from fairsqueeze.records import table_of
from fairsqueeze.study.finished import finished, finished_outlines
from fairsqueeze.study.manifest import Manifest, Promise
from fairsqueeze.study.status import status
from fairsqueeze.study.store import Store


def table(step: str = "s1", value: float = 1.0):
    rows = [Row("i", "x", "g", "c", value, 1.0, "ok", {"v": value}, 2)]
    return table_of(rows, step=step, checkpoint="c", measure="m", metadata={"step": step})


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    store.write("s1", table())
    found = store.read("s1")
    assert found is not None
    assert found.equals(table(), check_metadata=True)
    assert store.steps() == ["s1"]
    assert not store.has("s2")


@pytest.mark.parametrize("damage", [b"", b"PAR1 not really", None])
def test_a_damaged_file_is_named_set_aside_and_absent(tmp_path: Path, damage: bytes | None) -> None:
    said: list[str] = []
    store = Store(tmp_path, warn=said.append)
    store.write("s1", table())
    path = tmp_path / "records" / "s1.parquet"
    path.write_bytes(path.read_bytes()[:-20] if damage is None else damage)
    assert store.read("s1") is None
    assert not path.exists()
    assert len(list((tmp_path / "damaged").iterdir())) == 1
    assert "s1.parquet" in said[0]


def test_a_file_under_the_name_of_another_step_is_never_used(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("s1", table("other"))
    assert store.read("s1") is None


def test_records_of_a_newer_schema_are_refused(tmp_path: Path) -> None:
    rows = [Row("i", "x", "g", "c", 1.0, 1.0, "ok", {"v": 1.0}, 2)]
    newer = table_of(rows, step="s", checkpoint="c", measure="m", metadata={"step": "s", "schema": 99})
    store = Store(tmp_path)
    store.write("s", newer)
    with pytest.raises(StoreError, match="newer fairsqueeze"):
        store.read("s")


def test_a_failing_write_leaves_the_old_file_and_no_half_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.write("s1", table(value=1.0))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full"):
        store.write("s1", table(value=2.0))
    monkeypatch.undo()
    found = store.read("s1")
    assert found is not None
    assert found.column("preference").to_pylist() == [1.0]
    assert sorted(p.name for p in (tmp_path / "records").iterdir()) == ["s1.parquet"]


def test_a_folder_that_can_not_be_made_is_refused_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="can't be written"):
        Store(tmp_path / "file" / "out").prepare()


def test_nan_never_gets_into_a_document(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Store(tmp_path).write_document("d", {"x": float("nan")})
    assert Store(tmp_path).read_document("d") is None


# Damage and the manifest


def flipped(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=strategies.floats(0, 1, exclude_max=True))
def test_any_flipped_bit_is_found(tmp_path: Path, share: float) -> None:
    """Also inside a data page, where Parquet by itself would read another number."""
    store = Store(tmp_path)
    store.write("s1", table())
    path = tmp_path / "records" / "s1.parquet"
    flipped(path, int(share * 8 * path.stat().st_size))
    for reader in (store, Store(tmp_path)):
        assert reader.read("s1") is None
        assert not path.exists()
    store.write("s1", table())
    assert Store(tmp_path).read("s1") is not None


def test_a_whole_file_that_nobody_promised_is_not_used(tmp_path: Path) -> None:
    store, other, said = Store(tmp_path / "a"), Store(tmp_path / "b"), []
    store.write("s1", table(value=1.0))
    other.write("s1", table(value=2.0))
    shutil.copy(tmp_path / "b/records/s1.parquet", tmp_path / "a/records/s1.parquet")
    assert Store(tmp_path / "a", warn=said.append).read("s1") is None
    assert "manifest" in said[0]


def test_a_changed_document_of_a_variant_is_set_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = Path(store.write_document("variants/v", {"label": "dense", "value": 0.51}))
    path.write_text(path.read_text().replace("0.51", "0.57"))
    assert store.read_document("variants/v") is None
    assert list(store.outlines("variants")) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["preference", "answer.v", "answer.many"])
def test_nan_in_records_is_an_error(tmp_path: Path, bad: float, place: str) -> None:
    answer = pa.array([{"v": bad if place == "answer.v" else None, "many": [1.0, bad if "many" in place else None]}])
    good = table()
    broken = good.set_column(good.schema.get_field_index("answer"), "answer", answer)
    if place == "preference":
        broken = good.set_column(good.schema.get_field_index("preference"), "preference", pa.array([bad]))
    store = Store(tmp_path)
    with pytest.raises(NonFinite, match=place):
        store.write("s1", broken)
    assert store.steps() == []
    (tmp_path / "records").mkdir()
    pq.write_table(broken, tmp_path / "records" / "s1.parquet")  # as no version of the store has written it
    assert store.read("s1") is None


def test_two_writers_of_one_step_leave_a_whole_file(tmp_path: Path) -> None:
    """Their bytes differ (seconds, machine), and either may come last; the promise of neither is broken."""
    stores = Store(tmp_path), Store(tmp_path)
    for order in ((0, 1), (1, 0)):
        for k in order:
            stores[k].write("s1", table(value=float(k)))
        found = Store(tmp_path).read("s1")
        assert found is not None
        assert found.column("preference").to_pylist() == [float(order[1])]
    assert len(list((tmp_path / "manifest/loose").iterdir())) == 2
    assert not (tmp_path / "damaged").exists()
    outline = Store(tmp_path).outlines("records")["s1"]
    assert outline["sha256"] == hashlib.sha256((tmp_path / "records/s1.parquet").read_bytes()).hexdigest()


def test_a_crash_between_promise_and_file_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    place = store.folder.place

    def crash(name: str, content: bytes) -> None:
        if name.startswith("records/"):
            raise KeyboardInterrupt
        place(name, content)

    monkeypatch.setattr(store.folder, "place", crash)
    with pytest.raises(KeyboardInterrupt):
        store.write("s1", table())
    again = Store(tmp_path)
    assert (again.steps(), again.outlines("records"), again.read("s1")) == ([], {}, None)
    again.write("s1", table(value=2.0))
    assert Store(tmp_path).read("s1") is not None


def test_gathering_loses_no_promise_to_a_reader_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Store(tmp_path)
    for k in range(5):
        writer.write(f"s{k}", table(f"s{k}"))
    reader = Store(tmp_path)
    read = reader.folder.read_many

    def gathered_meanwhile(names: list[str]) -> dict[str, bytes]:
        if names and "loose" in names[0]:
            Manifest(writer.folder, print).gather()
        return read(names)

    monkeypatch.setattr(reader.folder, "read_many", gathered_meanwhile)
    assert list(reader.outlines("records")) == [f"s{k}" for k in range(5)]
    assert list((tmp_path / "manifest/loose").iterdir()) == []
    assert len(list((tmp_path / "manifest/parts").iterdir())) == 1


def test_promises_are_gathered_as_they_become_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairsqueeze.study.manifest.GATHER_EVERY", 4)
    store = Store(tmp_path)
    for k in range(60):
        store.write(f"s{k}", table(f"s{k}"))
    assert len(list((tmp_path / "manifest/loose").iterdir())) < 60
    assert len(Store(tmp_path).outlines("records")) == 60
    flipped(tmp_path / "records/s3.parquet", 3000)
    assert Store(tmp_path).read("s3") is None


def test_a_damaged_manifest_file_is_set_aside_and_its_files_are_checked_anew(tmp_path: Path) -> None:
    said: list[str] = []
    Store(tmp_path).write("s1", table())
    (loose,) = (tmp_path / "manifest/loose").iterdir()
    flipped(loose, 100)
    store = Store(tmp_path, warn=said.append)
    assert store.read("s1") is not None
    assert loose.name in said[0]
    store.prepare()
    flipped(tmp_path / "records/s1.parquet", 3000)
    assert Store(tmp_path).read("s1") is None


def test_outlines_open_no_file_that_has_kept_its_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(3):
        Store(tmp_path).write(f"s{k}", table(f"s{k}"))
    (tmp_path / "records/s1.parquet").write_bytes(b"cut")
    store, opened = Store(tmp_path), []
    read = store.folder.read
    monkeypatch.setattr(store.folder, "read", lambda name: (opened.append(name), read(name))[1])
    found = store.outlines("records")
    assert list(found) == ["s0", "s2"]
    assert {name for name in opened if not name.startswith("manifest/")} == {"store.json", "records/s1.parquet"}
    assert found["s0"]["rows"] == 1
    assert found["s0"]["answer"] == "struct<v: double>"


@pytest.fixture
def many_files() -> Iterator[Path]:
    """A folder in memory where there is one: a disk takes minutes to remove 100,000 files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.mark.slow
def test_the_status_of_100_000_steps_takes_seconds(many_files: Path) -> None:
    """20,000 variants of 5 measures, one of them without its last record. The whole command, in processor time, as
    machines are shared. Files are small and not Parquet: their size is all that is looked at."""
    store, promises, keys = Store(many_files), [], [f"{k:024x}" for k in range(20_000)]
    for folder in ("variants", "records"):
        (many_files / folder).mkdir()
    model, asked = "builtin:smollm2-135m", [f"measure{k}" for k in range(5)]
    for order, key in enumerate(keys):
        steps = [f"{k}{key[1:]}" for k in range(5)]
        facts = {"model": model, "label": f"v{order}", "kind": "compressed", "order": order, "steps": steps}
        promises.append(Promise.of(f"variants/{key}.json", b"{}", facts))
        facts = {"checkpoint": "c" * 64, "reference": f"{model} > v{order}", "schema": 1, "wall_s": 1.5, "rows": 1000}
        promises += [
            Promise.of(f"records/{step}.parquet", b"{}", {**facts, "measure": {"name": name, "parameters": {}}})
            for step, name in zip(steps, asked, strict=True)
        ]
    for promise in promises:
        (many_files / promise.name).write_bytes(b"{}")
    for first in range(0, len(promises), 256):
        Manifest(store.folder, print).add(promises[first : first + 256])
    (many_files / promises[-1].name).unlink()
    labels = [[model, f"v{order}"] for order in range(len(keys))]
    store.write_document("study", {"study": {"name": "many"}, "variants": keys, "labels": labels})
    command = [
        sys.executable,
        "-c",
        "from fairsqueeze.cli import main; main()",
        "study",
        "status",
        str(many_files),
        "--json",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime < 5.0
    assert (told["finished"], told["total"]) == (19_999, 20_000)
    assert [one["variant"] for one in told["variants"] if not one["finished"]] == ["v19999"]


# Old and new layouts

OLD = Path(__file__).parent / "old_stores" / "layout-1"
"""Written by fairsqueeze at b7b0472, before there was a manifest: conftest's small measures on a tiny Llama."""


@pytest.mark.usefixtures("small_registry")
def test_a_store_of_layout_1_is_read_as_it_is(tmp_path: Path) -> None:
    shutil.copytree(OLD / "study", tmp_path / "old")
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    store = Store(tmp_path / "old", warn=pytest.fail)
    store.check()
    assert len(store.steps()) == 6
    assert all(store.has(step) for step in store.steps())
    assert [d["label"] for d in finished(store)] == ["dense", "reference: random", "magnitude.linear 50 %"]
    assert [d["label"] for d in finished_outlines(store)] == [d["label"] for d in finished(store)]
    told = status(store)
    assert [one["variant"] for one in told["variants"]] == [d["label"] for d in finished(store)]
    assert (told["finished"], told["total"]) == (3, 3)
    assert {one["measure"]["name"] for one in store.outlines("records").values()} == {"fluency", "pairs.sum"}
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


def test_a_store_of_layout_1_is_taken_into_a_manifest_when_it_goes_on(tmp_path: Path) -> None:
    shutil.copytree(OLD / "study", tmp_path / "old")
    Store(tmp_path / "old", warn=pytest.fail).prepare()
    store = Store(tmp_path / "old")
    assert json.loads((tmp_path / "old/store.json").read_text()) == {"schema": "fairsqueeze.store/2"}
    step = store.steps()[0]
    flipped(tmp_path / f"old/records/{step}.parquet", 8 * 700)
    assert store.read(step) is None
    assert len(store.steps()) == 5


def test_a_store_of_a_newer_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"schema": "fairsqueeze.store/3"}')
    for use in (Store.check, Store.prepare, lambda store: store.read("s"), lambda store: store.read_document("study")):
        with pytest.raises(StoreError, match="newer fairsqueeze"):
            use(Store(tmp_path))


# Where a store may be


@pytest.mark.parametrize("root", ["memory://store/a", Path("memory://store/a")])
def test_a_store_in_memory_is_a_store(root: str | Path) -> None:
    said: list[str] = []
    store = Store(root, warn=said.append)
    store.check()
    store.prepare()
    store.write("s1", table())
    store.write_document("variants/v", {"label": "dense"})
    assert str(store.root) == "memory://store/a"
    again = Store(root, warn=said.append)
    assert again.steps() == ["s1"]
    found = again.read("s1")
    assert found is not None
    assert found.equals(table(), check_metadata=True)
    assert list(again.documents("variants")) == [{"label": "dense"}]
    again.folder.place("records/s1.parquet", b"PAR1")
    assert again.read("s1") is None
    assert "memory://store/a/damaged/s1.parquet" in said[0]
    assert again.steps() == []


@pytest.mark.parametrize(("url", "says"), [("nowhere://bucket/a", "nowhere"), ("gdrive://a/b", "package")])
def test_a_place_that_can_not_be_opened_is_refused(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        Store(url)


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/a")
    store.write("s1", table())
    assert (tmp_path / "a/records/s1.parquet").is_file()


def test_where_a_put_is_not_atomic_a_file_is_whole_before_it_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairsqueeze.study.filesystem.PUT_IS_ATOMIC", frozenset())
    store = Store("memory://store/b")
    written: list[str] = []
    pipe = store.folder.filesystem.pipe_file
    monkeypatch.setattr(store.folder.filesystem, "pipe_file", lambda p, c: (written.append(p), pipe(p, c)))
    store.write("s1", table())
    assert all(path.rpartition("/")[2].startswith(".") for path in written)
    assert (store.steps(), store.has("s1")) == (["s1"], True)
