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

    Tasks carry recipes, never weights: a worker loads a model once and makes its variants from it. A task whose worker
    or node is lost is begun again after a pause; when nothing waits any more, one that takes far longer than the others
    is begun a second time, and the first result counts.
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
    parts: dict[str, dict[tuple[str, int], Ranged | None]] = field(default_factory=dict)
    joined: dict[str, list[str]] = field(default_factory=dict)
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
                        done = replace(done, steps=(*self.joined.pop(done.job.key, ()), *done.steps))
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
        slots = self._resources.slots()
        while len(self.calls) + len(self.later) < slots and (job := self.queue.take()) is not None:
            for call in self._first_calls(job):
                self._submit(call)
        slow = straggler(self.calls, self.later, self.seconds, slots, now)
        if slow is not None:
            self.progress.say(f"  {slow.job.name} takes far longer than others: it is also begun elsewhere")
            self._submit(slow.twin())

    def _first_calls(self, job: Job) -> list[Call]:
        """The ranges of its large measures first; the variant itself where there are none, or when they are there."""
        self.parts[job.key] = {}
        shared = [(e, ranges(len(e.items))) for e in self.prepared[job.variant.model]]
        each = [(e.declared.name, *part) for e, parts in shared if len(parts) > 1 for part in parts]
        return [Call(job, _range, one) for one in each] or [Call(job, _variant)]

    def _submit(self, call: Call) -> None:
        import ray

        options = self._resources.of(self.expected(call.job.variant.model))
        task = ray.remote(call.function).options(name=call.job.name, max_retries=0, **options)
        call.begun = time.monotonic()
        self.calls[task.remote(self._given, call.job, *call.arguments)] = call

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
        return result if isinstance(result, Done) else self._range_is_there(call, result)

    def _range_is_there(self, call: Call, result: Ranged | None) -> Done | None:
        """Once the last range is there, the measures are put together and the variant is begun."""
        name, start, _ = call.arguments
        parts = self.parts[call.job.key]
        parts[name, start] = result
        if any(other.job.key == call.job.key for other in [*self.calls.values(), *(c for _, c in self.later)]):
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
        self._submit(Call(call.job, _variant))
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
        if self.brief.study.device.startswith("cuda"):
            wanted["num_gpus"] = 1
        largest = self._largest("memory")
        if memory and largest:
            wanted["memory"] = min(memory, int(largest))
        return wanted

    def slots(self) -> int:
        """How many tasks the cluster can work on at once, at least one."""
        return max(1, sum(int(node.get("CPU", 0) // self._processors()) for node in _nodes()))

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


def _variant(given: tuple[str, Brief], job: Job) -> Done:
    return _bench(given).attempt(job)


def _range(given: tuple[str, Brief], job: Job, measure: str, start: int, stop: int) -> Ranged | Failure | None:
    bench = _bench(given)
    try:
        return bench.score_range(job, measure, start, stop)
    except Exception as error:  # as in `Bench.attempt`: told as a value, whatever it is
        bench.forget()
        return Failure.of(error)
