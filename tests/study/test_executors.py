"""Studies in several processes, killed, and on a cluster: the same records whoever computes them, and nothing twice."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairsqueeze.cli import main
from fairsqueeze.errors import BadSetting, StoreError, UnknownName
from fairsqueeze.records import METADATA_KEY
from fairsqueeze.registry import measures, methods, tasks
from fairsqueeze.study.executors import ray as ray_executor
from fairsqueeze.study.executors.admission import Admission
from fairsqueeze.study.executors.brief import Brief
from fairsqueeze.study.executors.queue import Queue
from fairsqueeze.study.executors.stragglers import Call, straggler
from fairsqueeze.study.plan import PlannedVariant, plan
from fairsqueeze.study.progress import Lines, Pace, Silent
from fairsqueeze.study.run import run, status
from fairsqueeze.study.store import Store
from fairsqueeze.study.study import Study
from fairsqueeze.study.variant import Done, Failure, Job

OF_THE_RUN = {"wall_s", "cpu_s", "peak_rss_bytes", "command"}
"""What metadata tell of the run and not of what was measured."""
SPARSITIES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
ASKED = {"tasks": ["probe.fluency"], "measures": ["probe.pairs", "probe.same", "probe.many"]}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The probe measures as an installed plugin, here and in every worker."""
    site = tmp_path_factory.mktemp("site")
    (site / "probe_measures.py").write_text((Path(__file__).parent / "probe_measures.py").read_text())
    info = site / "probe_measures-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe-measures\nVersion: 1.0\n")
    groups = [f"[fairsqueeze.{role}]\nprobe = probe_measures\n" for role in ("measures", "tasks", "methods")]
    (info / "entry_points.txt").write_text("".join(groups))
    measures.names(), tasks.names(), methods.names()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH")))))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr("fairsqueeze.study.scoring.LARGE", 20)
        importlib.import_module("probe_measures")
        yield site
    for registry in (measures, tasks, methods):
        for name in [n for n in registry._by_name if n.startswith("probe.")]:
            registry._by_name.pop(name)
    sys.modules.pop("probe_measures", None)


def study_of(model: Path, sparsities: list[float] = SPARSITIES) -> Study:
    pipelines = [[{"magnitude.linear": {"sparsity": sparsities}}], [{"rtn": {"bits": 8}}]]
    return Study(name="probe", models=[str(model)], pipelines=pipelines, references=["random"], **ASKED)


@pytest.fixture(scope="module")
def undisturbed(installed: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of 12 checkpoints and 4 measures, run once in this process."""
    out = tmp_path_factory.mktemp("undisturbed")
    outcome = run(plan(study_of(tiny_folder)), out)
    assert len(outcome.computed) == 12
    assert not outcome.failed
    return out


def records(out: Path) -> dict[str, Any]:
    """All records by step, without what tells of time."""
    found = {}
    store = Store(out)
    for step in store.steps():
        table = store.read(step)
        assert table is not None
        told = json.loads(table.schema.metadata[METADATA_KEY])
        found[step] = ({k: v for k, v in told.items() if k not in OF_THE_RUN}, table.replace_schema_metadata(None))
    return found


def assert_same(out: Path, expected: Path) -> None:
    """Bit for bit the same records, and the same results made from them."""
    ours, theirs = records(out), records(expected)
    assert set(ours) == set(theirs)
    for step, (told, table) in ours.items():
        assert told == theirs[step][0]
        assert table.equals(theirs[step][1])
    for document in Store(out).documents("variants"):
        other = Store(expected).read_document(f"variants/{_key_of(expected, document)}")
        assert other is not None
        assert document["audit"]["estimates"] == other["audit"]["estimates"]
        assert document["comparison"] == other["comparison"]


def _key_of(out: Path, document: dict[str, Any]) -> str:
    paths = (out / "variants").glob("*.json")
    return next(p.stem for p in paths if json.loads(p.read_text())["label"] == document["label"])


def kept(out: Path) -> dict[str, tuple[int, int]]:
    """Every finished file, with what would differ if it were written again."""
    files = [*(out / "records").glob("*.parquet"), *(out / "variants").glob("*.json")]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def _command_line(words: list[str]) -> None:
    """The command in a forked process, but for its page: what draws the charts (V8) does not survive a fork."""
    import torch

    import fairsqueeze.report.page as page

    page.report = lambda results, *, out: Path(out)
    torch.set_num_threads(1)
    main(words)


def start(file: Path, out: Path) -> Any:
    """The command line in a process of its own, with everything imported already."""
    words = ["study", "run", str(file), "--out", str(out), "-q"]
    child = multiprocessing.get_context("fork").Process(target=_command_line, args=(words,))
    child.start()
    return child


def wait_for(reached: Callable[[], bool], alive: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not reached() and alive():
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.002)


@pytest.mark.slow
def test_a_study_killed_at_ten_random_moments_has_the_same_records_and_computes_nothing_twice(
    undisturbed: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    file, out, draw = tmp_path / "study.yaml", tmp_path / "out", random.Random(5)
    file.write_text(yaml.safe_dump(study_of(tiny_folder).model_dump(exclude_defaults=True)))
    moments = sorted(draw.sample(range(1, 58), 10))
    seen: dict[str, tuple[int, int]] = {}
    for moment in moments:
        child = start(file, out)
        wait_for(lambda moment=moment: len(kept(out)) >= moment, child.is_alive)
        time.sleep(draw.uniform(0, 0.05))
        assert child.is_alive(), "it was finished before it could be killed"
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        now = kept(out)
        assert seen.items() <= now.items(), "a finished file was written again"
        seen = now
    child = start(file, out)
    child.join(120)
    assert child.exitcode == 0
    assert seen.items() <= kept(out).items()
    assert len(kept(out)) == 12 * 4 + 12
    assert_same(out, undisturbed)


class Interrupting(Silent):
    """Ctrl-C, as the driver of a study sees it, after so many steps."""

    def __init__(self, after: int) -> None:
        self._left = after

    def step(self, name: str, seconds: float | None) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_several_processes_give_the_records_of_one(
    undisturbed: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """… also where Ctrl-C ends them at first, and where a worker is then killed in the middle of its work."""
    study, out = plan(study_of(tiny_folder)), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(study, out, workers=2, progress=Interrupting(after=3))
    assert multiprocessing.active_children() == []
    (tmp_path / "kill").touch()
    monkeypatch.setenv("PROBE_TRAP", str(tmp_path))
    outcome = run(study, out, workers=2)
    assert not (tmp_path / "kill").exists()
    assert len(outcome.computed) + len(outcome.found) == 12
    assert not outcome.failed
    assert_same(out, undisturbed)
    assert multiprocessing.active_children() == []


def test_one_failed_variant_is_recorded_with_its_cause_and_the_others_go_on(
    installed: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairsqueeze.study import variant as module

    real = module.make

    def short(variant: PlannedVariant, dense: Any) -> Any:
        if "50 %" in variant.label:
            raise MemoryError("Unable to allocate 9 GiB")
        return real(variant, dense)

    monkeypatch.setattr(module, "make", short)
    study = plan(study_of(tiny_folder, [0.5, 0.6]))
    outcome = run(study, tmp_path)
    assert outcome.computed == ["dense", "reference: random", "magnitude.linear 60 %", "rtn 8 bits"]
    assert set(outcome.failed) == {"magnitude.linear 50 %"}
    assert "Unable to allocate 9 GiB" in outcome.failed["magnitude.linear 50 %"]
    (failure,) = Store(tmp_path).documents("failed")
    assert (failure["label"], failure["cause"]) == ("magnitude.linear 50 %", "MemoryError")
    assert "in short" in failure["trace"]
    told = status(study, tmp_path, print)
    assert (told["finished"], told["total"]) == (4, 5)
    assert list(told["failed"]) == [f"{tiny_folder}: magnitude.linear 50 %"]
    monkeypatch.undo()
    again = run(study, tmp_path)
    assert (again.computed, again.failed) == (["magnitude.linear 50 %"], {})
    assert status(study, tmp_path, print)["failed"] == {}


def test_variants_of_a_model_that_fails_itself_are_named_as_not_begun(
    installed: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    from fairsqueeze.models.load import load
    from fairsqueeze.testing.tiny import save_tiny

    broken = load(tiny_folder)
    broken.network.get_input_embeddings().weight.data[0, 0] = float("nan")
    save_tiny(broken, tmp_path / "broken")
    models = [str(tiny_folder), str(tmp_path / "broken")]
    outcome = run(plan(study_of(tiny_folder, [0.5]).model_copy(update={"models": models})), tmp_path / "out")
    assert list(outcome.failed) == [f"{tmp_path / 'broken'}: dense"]
    assert len(outcome.computed) == 4
    assert [name.rpartition(": ")[2] for name in outcome.skipped] == ["random", "magnitude.linear 50 %", "rtn 8 bits"]


def test_where_nothing_can_be_kept_any_more_the_study_ends(
    installed: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Store.write

    def full(store: Store, step: str, table: Any) -> None:
        if len(store.steps()) >= 6:
            raise StoreError("records/x can't be written: No space left. The disk is full.") from OSError(28, "full")
        real(store, step, table)

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(StoreError, match="disk is full"):
        run(plan(study_of(tiny_folder)), tmp_path)
    assert len(Store(tmp_path).steps()) == 6
    assert list(Store(tmp_path).documents("failed")) == []


def test_ctrl_c_ends_a_study_and_its_workers_and_the_same_command_goes_on(
    installed: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairsqueeze.study.executors import local

    real, begun = local.Bench.attempt, []

    def interrupted(bench: Any, job: Job) -> Done:
        begun.append(job)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return real(bench, job)

    monkeypatch.setattr(local.Bench, "attempt", interrupted)
    study = plan(study_of(tiny_folder, [0.5]))
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path)
    monkeypatch.undo()
    again = run(study, tmp_path)
    assert again.found == ["dense", "reference: random"]
    assert again.computed == ["magnitude.linear 50 %", "rtn 8 bits"]


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"executor": "rya"}, UnknownName, "'ray'"),
        ({"workers": 0}, BadSetting, "at least 1"),
        ({"address": "auto"}, BadSetting, "executor ray"),
    ],
)
def test_who_works_is_checked_before_anything_is_spent(
    installed: Path, tiny_folder: Path, tmp_path: Path, wrong: dict, error: type, says: str
) -> None:
    with pytest.raises(error, match=says):
        run(plan(study_of(tiny_folder)), tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def job(name: str, dense: str, model: str = "m") -> Job:
    return Job(PlannedVariant(model), name, dense, name, 1, 1, {})


def test_a_dense_model_comes_before_its_variants_and_takes_them_with_it_when_it_fails() -> None:
    queue = Queue([job("a", "a"), job("a1", "a"), job("b", "b", "n"), job("b1", "b", "n")])
    first, second = queue.take(), queue.take()
    assert (first, second, queue.take()) == (job("a", "a"), job("b", "b", "n"), None)
    queue.finish(Done(second))
    assert queue.take() == job("b1", "b", "n")
    queue.finish(Done(first, Failure("broken")))
    assert [skipped.key for skipped in queue.skipped] == ["a1"]
    assert (queue.take(), len(queue)) == (None, 1)


def test_a_job_begins_only_where_the_memory_reaches_for_it_and_for_what_runs() -> None:
    needs = {"small": 100, "large": 700, "unknown": None}
    admission = Admission(needs.get, available=lambda: 1000, resident=lambda process: 300)
    jobs = {model: job(model, model, model) for model in needs}
    assert all(admission.fits(one, {}) for one in jobs.values()), "one always may"
    assert admission.fits(jobs["small"], {1: jobs["large"]})  # 100 of 950 - (700 - 300)
    assert not admission.fits(jobs["large"], {1: jobs["large"]})  # 700 of 550
    assert admission.fits(jobs["large"], {1: jobs["large"]}, process=2)  # of which its process holds 300
    assert not admission.fits(jobs["unknown"], {1: jobs["small"]})
    assert not admission.fits(jobs["small"], {1: jobs["unknown"]})


def test_a_straggler_is_begun_again_only_at_the_end_and_once() -> None:
    slow, quick = Call(job("s", "s"), print, begun=0.0), Call(job("q", "q"), print, begun=900.0)
    running = {1: slow, 2: quick}
    assert straggler(running, [], [100.0, 110.0, 120.0], 3, now=1000.0) is slow
    assert straggler(running, [], [400.0, 400.0, 400.0], 3, now=1000.0) is None
    assert straggler(running, [], [100.0, 110.0], 3, now=1000.0) is None
    assert straggler(running, [], [100.0, 110.0, 120.0], 2, now=1000.0) is None
    assert straggler(running, ["waits"], [100.0, 110.0, 120.0], 3, now=1000.0) is None
    assert slow.twin().is_as(slow)
    assert straggler(running, [], [100.0, 110.0, 120.0], 3, now=1000.0) is None


def test_progress_tells_pace_time_left_and_one_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    pace = Pace(total=10, clock=lambda: now[0])
    assert str(pace) == "step 0 of 10"
    pace.done, now[0] = 4, 120.0
    assert str(pace) == "step 4 of 10, 2.0 a minute, about 3 min left"
    lines = Lines()
    lines.step("weat", 3.2)
    lines.plan(2)
    lines.step("dense: weat", None)
    assert capsys.readouterr().err.splitlines()[0] == "  weat: 3 s"
    lines.step("dense: seat.mean", 100)
    told = capsys.readouterr().err
    assert told.startswith("  dense: seat.mean: 2 min (step 2 of 2, ")
    assert told.endswith("done)\n")


NODES = [{"CPU": 16.0, "GPU": 1.0, "memory": 64e9}, {"CPU": 8.0, "memory": 16e9}]


@pytest.mark.parametrize(
    ("device", "memory", "options", "slots"),
    [
        ("cpu", None, {"num_cpus": 4}, 6),
        ("cuda", None, {"num_cpus": 4, "num_gpus": 1}, 1),
        ("cpu", 10**10, {"num_cpus": 4, "memory": 10**10}, 5),
        ("cpu", 10**12, {"num_cpus": 4, "memory": 64 * 10**9}, 1),
    ],
)
def test_a_task_asks_its_node_for_processors_memory_and_a_gpu_and_no_more_are_begun_than_fit(
    monkeypatch: pytest.MonkeyPatch, device: str, memory: int | None, options: dict[str, int], slots: int
) -> None:
    monkeypatch.setattr(ray_executor, "_nodes", lambda: NODES)
    study = Study(name="probe", models=["m"], device=device, tasks=["perplexity"])
    asked = ray_executor._Resources(Brief(study, "out", (), ".", threads=4))
    assert asked.of(memory) == options
    assert asked.slots(memory or 0) == slots


@pytest.fixture(scope="module")
def cluster(installed: Path) -> Iterator[Any]:
    """Two nodes of a Ray cluster on this machine, each with one processor; tests may remove and add nodes."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'fairsqueeze[ray]'")
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBE_TRAP", str(installed))
        made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        made.add_node(**node)
        yield made
        ray.shutdown()
        made.shutdown()


def in_background(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


@pytest.mark.slow
def test_a_cluster_gives_the_records_of_one_process_though_it_loses_a_worker_and_a_node(
    cluster: Any, installed: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """Ranges of probe.many are tasks of their own; a worker kills itself, then a node goes and another comes."""
    study, out = plan(study_of(tiny_folder, [0.5])), tmp_path / "out"
    run(study, tmp_path / "expected")
    (installed / "kill").touch()
    node = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)

    def disturb() -> None:
        while len(kept(out)) < 6:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    thread, _ = in_background(disturb)
    outcome = run(study, out, executor="ray", address=cluster.address)
    thread.join()
    assert not (installed / "kill").exists()
    assert (len(outcome.computed), outcome.failed) == (4, {})
    assert_same(out, tmp_path / "expected")


@pytest.mark.slow
def test_a_checkpoint_whose_measures_are_shared_is_made_once_for_all_workers(
    cluster: Any, installed: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """By one process and not by every one that is asked a range; what it weighs is told as if it had been made here."""
    steps = [{"probe.counted": {}}, {"rtn": {"bits": 4}}]
    study = plan(Study(name="probe", models=[str(tiny_folder)], pipelines=[steps], **ASKED))
    lines = installed / "layers"
    lines.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBE_TRAP", str(installed))
        run(study, tmp_path / "expected")
    layers = len(lines.read_text().splitlines())
    lines.unlink()
    outcome = run(study, tmp_path / "out", executor="ray", address=cluster.address)
    assert outcome.failed == {}
    assert len(lines.read_text().splitlines()) == layers
    assert_same(tmp_path / "out", tmp_path / "expected")
    weighed = [
        [d["audit"]["footprint"] | {"latency": None} for d in Store(tmp_path / out).documents("variants")]
        for out in ("out", "expected")
    ]
    assert sorted(map(str, weighed[0])) == sorted(map(str, weighed[1]))


@pytest.mark.slow
def test_a_straggler_is_overtaken_by_its_twin(
    cluster: Any, installed: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One task sleeps for five minutes; with nothing else to do, the other node begins it again and is first."""
    study, out = plan(study_of(tiny_folder, [0.3, 0.5, 0.7])), tmp_path / "out"
    run(study, tmp_path / "expected")
    monkeypatch.setattr("fairsqueeze.study.executors.stragglers.AT_LEAST", 3.0)
    armed: list[float] = []

    def arm() -> None:  # once others are finished, so that there is a median
        while len(kept(out)) < 12:
            time.sleep(0.05)
        (installed / "slow").touch()
        armed.append(time.monotonic())

    thread, _ = in_background(arm)
    outcome = run(study, out, executor="ray", address=cluster.address)
    thread.join()
    assert (installed / "slow.sprung").exists()
    assert time.monotonic() - armed[0] < 250
    assert outcome.failed == {}
    assert_same(out, tmp_path / "expected")


DRIVER = """
import json, sys
from fairsqueeze.study.plan import plan
from fairsqueeze.study.run import run
from fairsqueeze.study.study import Study
run(plan(Study.model_validate(json.loads(sys.argv[1]))), sys.argv[2], executor="ray", address=sys.argv[3])
"""


@pytest.mark.slow
def test_a_cluster_whose_driver_is_killed_goes_on_with_the_next_one(
    cluster: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    study, out = study_of(tiny_folder, [0.5]), tmp_path / "out"
    run(plan(study), tmp_path / "expected")
    words = [sys.executable, "-c", DRIVER, study.model_dump_json(), str(out), cluster.address]
    with subprocess.Popen(words) as child:
        wait_for(lambda: len(kept(out)) >= 7, lambda: child.poll() is None)
        child.kill()
    time.sleep(2)  # the cluster notices, and ends its tasks
    seen = kept(out)
    assert 7 <= len(seen) < 20
    outcome = run(plan(study), out, executor="ray", address=cluster.address)
    assert outcome.failed == {}
    assert seen.items() <= kept(out).items()
    assert_same(out, tmp_path / "expected")


HEAD = """
import sys
from ray.cluster_utils import Cluster
made = Cluster(
    initialize_head=True,
    head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False},
)
print(made.address, flush=True)
sys.stdin.readline()
made.head_node.kill_gcs_server()
print("killed", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_study_that_loses_the_head_of_its_cluster_ends_and_goes_on_elsewhere(
    installed: Path, undisturbed: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'fairsqueeze[ray]'")
    study, out = study_of(tiny_folder), tmp_path / "out"
    environment = os.environ | {"RAY_gcs_rpc_server_reconnect_timeout_s": "5", "PROBE_TRAP": str(installed)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, "-c", HEAD], **pipes) as head:
        assert head.stdin
        assert head.stdout
        address = next(line.strip() for line in head.stdout if line.startswith(("127.", "1", "2")))
        words = [sys.executable, "-c", DRIVER, study.model_dump_json(), str(out), address]
        with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as child:
            wait_for(lambda: len(kept(out)) >= 7, lambda: child.poll() is None)
            head.stdin.write("now\n")
            head.stdin.flush()
            _, told = child.communicate(timeout=120)
        head.stdin.close()
    assert child.returncode not in (0, None), told
    seen = kept(out)
    assert 7 <= len(seen) < 60
    outcome = run(plan(study), out)
    assert outcome.failed == {}
    assert seen.items() <= kept(out).items()
    assert_same(out, undisturbed)


def test_without_ray_one_is_told_how_to_get_it(
    installed: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadSetting, match=r"pip install 'fairsqueeze\[ray\]'"):
        run(plan(study_of(tiny_folder)), tmp_path / "out", executor="ray")
    assert not (tmp_path / "out").exists()
