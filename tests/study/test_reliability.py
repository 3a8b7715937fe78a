"""What goes wrong with a store, and what happens then: docs/reliability.md, line by line. Executors have their own."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import fairsqueeze
from fairsqueeze.errors import StoreError
from fairsqueeze.items import Row
from fairsqueeze.records import table_of
from fairsqueeze.report.load import load_results
from fairsqueeze.study.filesystem import LocalFolder
from fairsqueeze.study.finished import finished
from fairsqueeze.study.outlook import outlook
from fairsqueeze.study.plan import plan
from fairsqueeze.study.run import run
from fairsqueeze.study.status import status
from fairsqueeze.study.store import Store
from fairsqueeze.study.study import Study


def small_study(model: Path) -> Study:
    """Four variants, one measure: 420 kB."""
    pruned = [[{"magnitude.linear": {"sparsity": [0.3, 0.6]}}]]
    return Study(name="small", models=[str(model)], references=["random"], measures=["weat"], pipelines=pruned)


def records_of(root: Path) -> dict[str, list[dict]]:
    """The rows of every step; of what its metadata holds, nothing (seconds, machine)."""
    store = Store(root, warn=pytest.fail)
    return {step: store.read(step).to_pylist() for step in store.steps()}


def estimates_of(root: Path) -> list[tuple]:
    return [(d["label"], d["audit"]["estimates"]) for d in finished(Store(root, warn=pytest.fail))]


def assert_whole(root: Path) -> None:
    """Every file is what was promised, and nothing half is left behind."""
    assert Store(root, warn=pytest.fail).verify() == []
    assert not list(root.rglob("*.part"))


def table(step: str, value: float = 1.0):
    rows = [Row("i", "x", "g", "c", value, 1.0, "ok", {"v": value}, 2)]
    return table_of(rows, step=step, checkpoint="c", measure="m", metadata={"step": step})


@pytest.fixture(scope="module")
def undisturbed(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, run once from beginning to end. Not to be changed: copy it."""
    root = tmp_path_factory.mktemp("undisturbed") / "small"
    assert len(run(plan(small_study(tiny_folder)), root).computed) == 4
    assert_whole(root)
    return root


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=300k", "none", str(folder))
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


# The disk is full


def test_a_study_on_a_full_disk_stops_and_goes_on_when_there_is_room(
    disk: Path, tiny_folder: Path, undisturbed: Path
) -> None:
    with pytest.raises(StoreError, match="disk is full"):
        run(plan(small_study(tiny_folder)), disk)
    assert_whole(disk)
    kept = len(Store(disk).outlines("variants"))
    assert 1 <= kept <= 3
    mount("-o", "remount,size=4m", str(disk))
    outcome = run(plan(small_study(tiny_folder)), disk)
    assert (len(outcome.found), len(outcome.computed)) == (kept, 4 - kept)
    assert records_of(disk) == records_of(undisturbed)
    assert estimates_of(disk) == estimates_of(undisturbed)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_wherever_writing_fails_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """Two steps and a document take six files, a promise before each: every one of them fails once."""
    place, calls = LocalFolder.place, []

    def failing(self: LocalFolder, name: str, content: bytes) -> None:
        calls.append(name)
        if len(calls) > number:
            raise OSError(code, "no")
        place(self, name, content)

    def work(store: Store) -> None:
        for step in ("s1", "s2"):
            if not store.has(step):
                store.write(step, table(step))
        store.write_document("variants/v", {"label": "dense"})

    monkeypatch.setattr(LocalFolder, "place", failing)
    with pytest.raises(StoreError, match=r"can't be written.*again: finished work is kept"):
        work(Store(tmp_path))
    monkeypatch.undo()
    assert Store(tmp_path).steps() == ["s1", "s2"][: number // 2]
    assert_whole(tmp_path)
    work(Store(tmp_path, warn=pytest.fail))
    assert Store(tmp_path, warn=pytest.fail).steps() == ["s1", "s2"]
    assert_whole(tmp_path)


# The store can't be written


def test_a_read_only_store_can_be_read_but_not_added_to(
    disk: Path, tiny_folder: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount("-o", "remount,size=4m", str(disk))
    subprocess.run(["cp", "-r", str(undisturbed), str(disk)], check=True)
    first, second = sorted((disk / "small/records").iterdir())[:2]
    damaged = first.read_bytes()[:-20]
    first.write_bytes(damaged)
    mount("-o", "remount,ro", str(disk))
    study = plan(small_study(tiny_folder))
    noted: list[str] = []
    assert status(Store(disk / "small", warn=noted.append))["finished"] == 3
    assert len(noted) == 1
    assert first.name in noted[0]
    assert len(load_results(disk / "small").variants) == 4
    said: list[str] = []
    store = Store(disk / "small", warn=said.append)
    assert store.read(first.stem) is None
    assert "stays" in said[0]
    assert store.has(second.stem)
    assert first.read_bytes() == damaged
    with fairsqueeze.open(disk / "small") as results:
        assert results.sql("SELECT DISTINCT label FROM estimates").num_rows == 4
    monkeypatch.setattr("fairsqueeze.models.load.load", lambda *a, **k: pytest.fail("the model was loaded"))
    with pytest.raises(StoreError, match="can't be written") as refused:
        run(study, disk / "small")
    assert refused.value.exit_code == 2


# A file is damaged


def test_damaged_files_are_named_set_aside_and_computed_again(
    tmp_path: Path, tiny_folder: Path, undisturbed: Path
) -> None:
    root, said = tmp_path / "small", []
    subprocess.run(["cp", "-r", str(undisturbed), str(root)], check=True)
    cut, flipped, other, _ = sorted((root / "records").iterdir())
    cut.write_bytes(cut.read_bytes()[:-100])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(bytes(content))
    other.write_bytes(cut.read_bytes() + b"PAR1")
    document = sorted((root / "variants").iterdir())[0]
    document.write_text(document.read_text()[:5000])
    expected = {f"records/{path.name}" for path in (cut, flipped, other)} | {f"variants/{document.name}"}
    assert set(Store(root, warn=said.append).verify()) == expected
    assert all(any(name in line for line in said) for name in expected)
    assert len(list((root / "damaged").iterdir())) == 4
    outcome = run(plan(small_study(tiny_folder)), root)
    assert len(outcome.computed) >= 3
    assert records_of(root) == records_of(undisturbed)
    assert estimates_of(root) == estimates_of(undisturbed)
    assert_whole(root)
    assert run(plan(small_study(tiny_folder)), root).computed == []


def test_a_variant_without_its_records_is_not_finished(tmp_path: Path, tiny_folder: Path, undisturbed: Path) -> None:
    root, said = tmp_path / "small", []
    subprocess.run(["cp", "-r", str(undisturbed), str(root)], check=True)
    (document,) = [one for one in finished(Store(root)) if one["label"] == "magnitude.linear 30 %"]
    (step,) = document["audit"]["provenance"]["steps"].values()
    path = root / f"records/{step}.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    told = status(Store(root, warn=said.append))
    assert [row["variant"] for row in told["variants"] if not row["finished"]] == ["magnitude.linear 30 %"]
    assert path.name in said[0]
    expected = outlook(plan(small_study(tiny_folder)), root)
    assert [one["variant"] for one in expected["variants"] if not one["finished"]] == ["magnitude.linear 30 %"]
    assert run(plan(small_study(tiny_folder)), root).computed == ["magnitude.linear 30 %"]


def test_a_file_that_the_disk_can_not_read_is_set_aside_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    store = Store(tmp_path, warn=said.append)
    store.write("s1", table("s1"))
    read = LocalFolder.read

    def failing(self: LocalFolder, name: str) -> bytes:
        if name.startswith("records/"):
            raise OSError(errno.EIO, "Input/output error")
        return read(self, name)

    monkeypatch.setattr(LocalFolder, "read", failing)
    assert store.read("s1") is None
    assert "Input/output error" in said[0]
    assert store.steps() == []


# Ctrl-C


def test_ctrl_c_while_measures_are_asked_ends_all_processes_and_the_same_command_goes_on(
    tmp_path: Path, tiny_folder: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To all processes at once, as a terminal sends it: only the command answers, with one line and exit code 130."""
    file, out = tmp_path / "small.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(small_study(tiny_folder).model_dump(mode="json", exclude_none=True)))
    words = ["study", "run", str(file), "--out", str(out), "--workers", "2"]
    # A shell starts what it runs in the background with Ctrl-C ignored, which all children inherit: here it is heard.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heard}; from fairsqueeze.cli import main; main()", *words]
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))  # as the undisturbed run
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    run_ = subprocess.Popen(command, **pipes, start_new_session=True)
    while run_.poll() is None and not list(out.glob("records/*.parquet")):
        time.sleep(0.01)
    os.killpg(run_.pid, signal.SIGINT)
    _, told = run_.communicate(timeout=300)
    assert run_.returncode == 130, told
    assert "Traceback" not in told
    deadline = time.monotonic() + 60  # multiprocessing's own process, which only tidies up, ends a moment later
    while _lives(run_.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _lives(run_.pid)
    kept = Store(out).steps()
    assert 1 <= len(kept) < 4
    before = {step: (out / f"records/{step}.parquet").stat().st_mtime_ns for step in kept}
    subprocess.run(command, check=True, capture_output=True)
    assert {step: (out / f"records/{step}.parquet").stat().st_mtime_ns for step in kept} == before
    assert records_of(out) == records_of(undisturbed)
    assert_whole(out)


def _lives(group: int) -> bool:
    """Whether any process of a process group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# Two runs on one store at the same time

RUN = """
import sys
from fairsqueeze.study.plan import plan
from fairsqueeze.study.run import run
from fairsqueeze.study.study import Study
from fairsqueeze.models import load
import fairsqueeze.compress.footprint, json
study = plan(Study.model_validate_json(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(vars(run(study, sys.argv[2]))))
"""


def test_two_runs_at_the_same_time_leave_the_records_of_one(
    tmp_path: Path, tiny_folder: Path, undisturbed: Path
) -> None:
    study = small_study(tiny_folder).model_dump_json()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen([sys.executable, "-c", RUN, study, str(tmp_path / "out")], **pipes) for _ in range(2)]
    for one in runs:
        assert one.stdout.readline() == "ready\n"
    for one in runs:
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=300) for one in runs]
    assert [one.returncode for one in runs] == [0, 0], told
    for out, _ in told:
        outcome = json.loads(out)
        assert (outcome["failed"], len(outcome["computed"]) + len(outcome["found"])) == ({}, 4)
    assert_whole(tmp_path / "out")
    assert not (tmp_path / "out" / "damaged").exists()
    assert records_of(tmp_path / "out") == records_of(undisturbed)
    assert estimates_of(tmp_path / "out") == estimates_of(undisturbed)


def test_many_writers_and_a_reader_never_meet_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four writers place the same 20 steps, each with bytes of its own, and gather promises all the time."""
    monkeypatch.setattr("fairsqueeze.study.manifest.GATHER_EVERY", 3)
    said: list[str] = []
    steps = [f"s{k:02}" for k in range(20)]
    errors: list[BaseException] = []

    def write(value: float) -> None:
        try:
            store = Store(tmp_path, warn=said.append)
            store.prepare()
            for step in steps:
                store.write(step, table(step, value))
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(float(k),)) for k in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        reader = Store(tmp_path, warn=said.append)
        there = reader.steps()
        assert all(reader.has(step) for step in there)
        assert set(there) <= set(reader.outlines("records"))
    for writer in writers:
        writer.join()
    assert (errors, said) == ([], [])
    assert sorted(records_of(tmp_path)) == steps
    assert_whole(tmp_path)
