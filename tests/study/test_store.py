from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairsqueeze.errors import StoreError
from fairsqueeze.items import Row
from fairsqueeze.records import table_of
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
