"""ray: the variants of a study as tasks of a Ray cluster, the ranges of large measures as tasks of their own."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fairsqueeze.errors import BadSetting, FairsqueezeError
from fairsqueeze.models.handover import Packed
from fairsqueeze.study.evaluation import Evaluation
from fairsqueeze.study.executors.brief import Brief
from fairsqueeze.study.executors.queue import Queue
from fairsqueeze.study.executors.stragglers import Call, straggler
from fairsqueeze.study.progress import StudyProgress
from fairsqueeze.study.scoring import ranges
from fairsqueeze.study.store import Store
from fairsqueeze.study.variant import Bench, Done, Failure, Job, Ranged, joined

ATTEMPTS = 4
"""How often a task is begun whose worker or node was lost, before that is the failure of its variant."""
BACK_OFF = 1.0
"""Seconds before a lost task is begun again; twice as many each further time."""
_TOLD = ("FAIRSQUEEZE_", "HF_", "TRANSFORMERS_", "OMP_", "TOKENIZERS_")
"""Beginnings of the environment variables that workers get from here."""

_benches: dict[str, Bench] = {}


def require_ray() -> None:
    """BadSetting where Ray is not installed."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise BadSetting(
            "The executor ray needs Ray, which is not installed.", "pip install 'fairsqueeze[ray]'"
        ) from None


def in_cluster(
    queue: Queue,
    brief: Brief,
    address: str | None,
    prepared: Mapping[str, list[Evaluation]],
    expected: Callable[[str], int | None],
    progress: StudyProgress,
) -> Generator[Done, None, None]:
    """The jobs of `queue` on the cluster at `address` (None: as Ray finds it, else a new one on this machine).

    A worker loads a model once and makes its variants from it by their recipes. Only a variant with large measures,
    whose ranges are shared, is made once for all: its checkpoint lies in the cluster's object store, whence each worker
    takes it over once. A task whose worker or node is lost is begun again after a pause; when nothing waits any more,
    one that takes far longer than the others is begun a second time, and the first result counts.
    """
    import ray

    ours = not ray.is_initialized()
    if ours:
        _connect(address)
    try:
        yield from _Driver(queue, brief, prepared, expected, progress).work()
    finally:
        if ours:
            ray.shutdown()


def _connect(address: str | None) -> None:
    import ray

    told = {name: value for name, value in os.environ.items() if name.startswith(_TOLD)}
    try:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False, runtime_env={"env_vars": told})
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise FairsqueezeError(
            f"There is no Ray cluster at {address or 'RAY_ADDRESS'}: {str(error).splitlines()[0]}",
            "Start one with `ray start --head`, and give what it prints as --address.",
        ) from error


@dataclass
class _Driver:
    """What was handed to the cluster, and what came back."""

    queue: Queue
    brief: Brief
    prepared: Mapping[str, list[Evaluation]]
    expected: Callable[[str], int | None]
    progress: StudyProgress
    calls: dict[Any, Call] = field(default_factory=dict)
    later: list[tuple[float, Call]] = field(default_factory=list)
    waiting: list[Call] = field(default_factory=list)
    parts: dict[str, dict[tuple[str, int], Ranged | None]] = field(default_factory=dict)
    joined: dict[str, list[str]] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    checkpoints: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def work(self) -> Generator[Done, None, None]:
        import ray

        self._resources = _Resources(self.brief)
        self._given = ray.put((uuid.uuid4().hex, self.brief))
        try:
            while len(self.queue):
                self._begin_what_can_be()
                self.progress.running(sorted({call.job.name for call in self.calls.values()}))
                for ref in self._ready():
                    done = self._received(ref) if ref in self.calls else None  # else its twin was faster
                    if done is not None:
                        done = self._with_what_others_did(done)
                        for name in done.steps:
                            self.progress.step(name, None)
                        self.queue.finish(done)
                        yield done
        finally:
            self._cancel(self.calls)

    def _ready(self) -> list[Any]:
        """The tasks that have ended; waits a little for one."""
        import ray

        if not self.calls:
            time.sleep(0.1)
            return []
        return ray.wait(list(self.calls), timeout=1.0)[0]

    def _begin_what_can_be(self) -> None:
        now = time.monotonic()
        for due, call in [one for one in self.later if one[0] <= now]:
            self.later.remove((due, call))
            self._submit(call)
        needed = [self.expected(call.job.variant.model) or 0 for call in self.calls.values()]
        slots = self._resources.slots(max(needed, default=0))
        while len(self.calls) + len(self.later) < slots:  # what waits inside Ray would look like a straggler
            if not self.waiting:
                job = self.queue.take()
                if job is None:
                    break
                self.waiting = self._first_calls(job)
            self._submit(self.waiting.pop(0))
        slow = straggler(self.calls, self.later, self.seconds, slots, now)
        if slow is not None:
            self.progress.say(f"  {slow.job.name} takes far longer than others: it is also begun elsewhere")
            self._submit(slow.twin())

    def _first_calls(self, job: Job) -> list[Call]:
        """Where measures are large, the checkpoint, then their ranges, then the variant; else the variant at once."""
        if self._ranges(job) and job.variant.steps:
            return [Call(job, _make)]
        return self._range_calls(job)

    def _range_calls(self, job: Job) -> list[Call]:
        self.parts[job.key] = {}
        return [Call(job, _range, part) for part in self._ranges(job)] or [Call(job, _variant)]

    def _ranges(self, job: Job) -> list[tuple[str, int, int]]:
        shared = [(e.declared.name, ranges(len(e.items))) for e in self.prepared[job.variant.model]]
        return [(name, *part) for name, parts in shared if len(parts) > 1 for part in parts]

    def _submit(self, call: Call) -> None:
        import ray

        options = self._resources.of(self.expected(call.job.variant.model))
        if call.function is _make:  # Ray makes it again by itself should the node be lost on which it lies
            options |= {"num_returns": 2, "max_retries": ATTEMPTS - 1}
        task = ray.remote(call.function).options(name=call.job.name, **{"max_retries": 0, **options})
        call.begun = time.monotonic()
        given = (self._given, call.job, self.checkpoints.get(call.job.key), *call.arguments)
        if call.function is _make:
            ref, call.checkpoint = task.remote(*given)
        else:
            ref = task.remote(*given)
        self.calls[ref] = call

    def _received(self, ref: Any) -> Done | None:
        """What a task returned, or what is to be done about its loss."""
        import ray

        call = self.calls.pop(ref)
        try:
            result = ray.get(ref)
        except ray.exceptions.RayTaskError as error:  # the worker could not even begin: another installation, say
            return self._failed(call.job, Failure.of(error.cause if error.cause is not None else error))
        except ray.exceptions.RayError as error:
            return self._lost(call, error)
        self.seconds.append(time.monotonic() - call.begun)
        self._cancel([other for other, twin in self.calls.items() if twin.is_as(call)])
        if isinstance(result, Failure):
            return self._failed(call.job, result)
        if isinstance(result, Made):
            self._checkpoint_is_there(call, result)
            return None
        if isinstance(result, Done):
            return result
        return self._range_is_there(call, result)

    def _checkpoint_is_there(self, call: Call, made: Made) -> None:
        self.made[call.job.key] = made
        if made.stored:
            self.checkpoints[call.job.key] = call.checkpoint
        self.waiting = [*self._range_calls(call.job), *self.waiting]

    def _with_what_others_did(self, done: Done) -> Done:
        """`done` with what other tasks did of its job; their checkpoint is let go of."""
        self.checkpoints.pop(done.job.key, None)
        made = self.made.pop(done.job.key, None)
        done = replace(done, steps=(*self.joined.pop(done.job.key, ()), *done.steps))
        return done if made is None else replace(done, made_s=made.seconds, parameters=made.parameters)

    def _range_is_there(self, call: Call, result: Ranged | None) -> Done | None:
        """Once the last range is there, the measures are put together and the variant is begun."""
        name, start, _ = call.arguments
        parts = self.parts[call.job.key]
        parts[name, start] = result
        begun = [*self.calls.values(), *(later for _, later in self.later), *self.waiting]
        if any(other.job.key == call.job.key for other in begun):
            return None
        by_name = {e.declared.name: e for e in self.prepared[call.job.variant.model]}
        store = Store(self.brief.out, warn=self.progress.say)
        try:
            for large in dict.fromkeys(measure for measure, _ in parts):
                found = [parts[key] for key in sorted(parts) if key[0] == large]
                whole = [part for part in found if part is not None]
                if len(whole) == len(found):  # else the store has had it
                    store.write(*joined(by_name[large], whole))
                    self.joined.setdefault(call.job.key, []).append(f"{call.job.name}: {large}")
        except FairsqueezeError as error:
            return self._failed(call.job, Failure.of(error))
        self.waiting.insert(0, Call(call.job, _variant))
        return None

    def _lost(self, call: Call, error: Exception) -> Done | None:
        if any(twin.is_as(call) for twin in self.calls.values()):
            return None
        why = type(error).__name__
        if call.attempt >= ATTEMPTS:
            message = f"The worker of {call.job.name} was lost {ATTEMPTS} times, at last by {why}."
            return self._failed(call.job, Failure(message, "Look at its node's log: memory may be short.", why))
        pause = BACK_OFF * 2 ** (call.attempt - 1)
        self.progress.say(f"  {call.job.name}: its worker was lost ({why}); it is begun again in {pause:g} s")
        self.later.append((time.monotonic() + pause, call.again()))
        return None

    def _failed(self, job: Job, failure: Failure) -> Done:
        self._cancel([ref for ref, call in self.calls.items() if call.job.key == job.key])
        self.later = [(due, call) for due, call in self.later if call.job.key != job.key]
        self.waiting = [call for call in self.waiting if call.job.key != job.key]
        return Done(job, failure)

    def _cancel(self, refs: Any) -> None:
        import ray

        for ref in list(refs):
            del self.calls[ref]
            ray.cancel(ref, force=True)


@dataclass
class _Resources:
    """What a task asks of its node: the processors and the memory it is expected to need, a GPU where the study does.

    Never more than the largest node has, since such a task would wait for ever.
    """

    brief: Brief

    def of(self, memory: int | None) -> dict[str, Any]:
        wanted: dict[str, Any] = {"num_cpus": self._processors()}
        if self._on_gpu:
            wanted["num_gpus"] = 1
        largest = self._largest("memory")
        if memory and largest:
            wanted["memory"] = min(memory, int(largest))
        return wanted

    def slots(self, memory: int = 0) -> int:
        """How many tasks that need so much memory (bytes) the cluster can work on at once, at least one."""
        wanted = {"CPU": self._processors(), **({"GPU": 1} if self._on_gpu else {})}
        if memory:
            wanted["memory"] = min(memory, int(self._largest("memory")) or memory)
        return max(1, sum(min(int(node.get(r, 0) // n) for r, n in wanted.items()) for node in _nodes()))

    @property
    def _on_gpu(self) -> bool:
        return self.brief.study.device.startswith("cuda")

    def _processors(self) -> int:
        return max(1, min(self.brief.threads, int(self._largest("CPU"))))

    def _largest(self, resource: str) -> float:
        return max((node.get(resource, 0.0) for node in _nodes()), default=0.0)


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _bench(given: tuple[str, Brief]) -> Bench:
    """The bench of this worker process for the run at hand."""
    run, brief = given
    if run not in _benches:
        _benches.clear()
        _benches[run] = brief.settle()
    return _benches[run]


@dataclass(frozen=True)
class Made:
    """That a checkpoint was made: the seconds it took, its parameters, and whether it lies in the object store."""

    seconds: float
    parameters: int
    stored: bool


def _make(given: tuple[str, Brief], job: Job, _: None) -> tuple[Made | Failure, Packed | None]:
    bench = _bench(given)
    try:
        (seconds, parameters), packed = bench.make_packed(job)
    except Exception as error:  # as in `Bench.attempt`: told as a value, whatever it is
        bench.forget()
        return Failure.of(error), None
    return Made(seconds, parameters, packed is not None), packed


def _variant(given: tuple[str, Brief], job: Job, packed: Packed | None) -> Done:
    bench = _bench(given)
    return bench.attempt(job, packed)


def _range(
    given: tuple[str, Brief], job: Job, packed: Packed | None, measure: str, start: int, stop: int
) -> Ranged | Failure | None:
    bench = _bench(given)
    try:
        if packed is not None:
            bench.take_over(job, packed)
        return bench.score_range(job, measure, start, stop)
    except Exception as error:
        bench.forget()
        return Failure.of(error)
