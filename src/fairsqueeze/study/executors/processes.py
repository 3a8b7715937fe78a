"""Processes: several variants at once on this machine, as many as its memory holds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from fairsqueeze.study.executors.admission import Admission
from fairsqueeze.study.executors.brief import Brief
from fairsqueeze.study.executors.queue import Queue
from fairsqueeze.study.progress import StudyProgress
from fairsqueeze.study.variant import Done, Failure, Job

ATTEMPTS = 2
"""How often a job is begun whose worker died: once more, and then it is a failure."""


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    job: Job | None = None
    model: str | None = None


@dataclass
class _Crew:
    brief: Brief
    members: list[_Worker] = field(default_factory=list)

    def hire(self) -> _Worker:
        """A new worker process; spawned, since a fork would copy the locks of torch's threads."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self.brief))
        with _no_ctrl_c():
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self.members.append(worker)
        return worker

    def dismiss(self, worker: _Worker) -> None:
        self.members.remove(worker)
        worker.connection.close()
        worker.process.kill()
        worker.process.join()

    def dismiss_all(self) -> None:
        for worker in self.members:
            worker.process.terminate()
        deadline = time.monotonic() + 5
        for worker in self.members:
            worker.process.join(max(0.0, deadline - time.monotonic()))
        for worker in list(self.members):
            self.dismiss(worker)


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Ctrl-C is not for a process that is started here, not even while it starts: it inherits that the signal is held
    back. One for this process that comes meanwhile is delivered afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # by starting it, multiprocessing would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_processes(
    queue: Queue, brief: Brief, workers: int, admission: Admission, progress: StudyProgress
) -> Generator[Done, None, None]:
    """The jobs of `queue`, at most `workers` at once, each begun only if its expected memory is there.

    One always runs, whatever it may need. A job whose worker died (killed for memory, say) is begun once more. All
    workers are gone when this ends, however it ends, and end by themselves when this process is killed.
    """
    crew, attempts = _Crew(brief), dict[str, int]()
    try:
        while len(queue):
            _begin_what_fits(queue, crew, workers, admission)
            progress.running([job.name for job in queue.running])
            for worker in _with_news(crew):
                done = _news_of(worker, crew, queue, attempts, progress)
                if done is not None:
                    worker.job = None
                    queue.finish(done)
                    yield done
    finally:
        crew.dismiss_all()


def _begin_what_fits(queue: Queue, crew: _Crew, workers: int, admission: Admission) -> None:
    """Give work to who has none, and hire while there is work, room and memory."""
    while True:
        idle = next((w for w in crew.members if w.job is None), None)
        if idle is None and len(crew.members) >= workers:
            return
        held = {w.process.pid or 0: w.job for w in crew.members if w.job is not None}
        own = 0 if idle is None else idle.process.pid or 0
        fits = partial(admission.fits, running=held, process=own)
        job = queue.take(fits, None if idle is None else idle.model)
        if job is None:
            return
        worker = idle or crew.hire()
        worker.job, worker.model = job, job.variant.model
        try:
            worker.connection.send(job)
        except OSError:  # it died between two jobs
            queue.give_back(job)
            crew.dismiss(worker)


def _with_news(crew: _Crew) -> list[_Worker]:
    """The workers that said something or died; waits a little for them."""
    ready = set(wait([w.connection for w in crew.members], timeout=1.0))
    return [w for w in crew.members if w.connection in ready]


def _news_of(
    worker: _Worker, crew: _Crew, queue: Queue, attempts: dict[str, int], progress: StudyProgress
) -> Done | None:
    """What a worker's message says: passed on to `progress`, or its result."""
    try:
        kind, *said = worker.connection.recv()
    except (EOFError, OSError):
        return _after_a_death(worker, crew, queue, attempts, progress)
    if kind == "done":
        (done,) = said
        return done
    getattr(progress, kind)(*said)
    return None


def _after_a_death(
    worker: _Worker, crew: _Crew, queue: Queue, attempts: dict[str, int], progress: StudyProgress
) -> Done | None:
    job = worker.job
    crew.dismiss(worker)
    if job is None:
        return None
    code = worker.process.exitcode
    how = f"killed by signal {-code}" if code is not None and code < 0 else f"gone with exit code {code}"
    attempts[job.key] = attempts.get(job.key, 0) + 1
    if attempts[job.key] < ATTEMPTS:
        progress.say(f"  {job.name}: its worker was {how}; it is begun again")
        queue.give_back(job)
        return None
    message = f"The worker of {job.name} was {how}, {ATTEMPTS} times."
    return Done(job, Failure(message, "Memory may be short: run fewer --workers.", "WorkerDied"))


def _work(connection: Connection, brief: Brief) -> None:
    """A worker's life: jobs come, results go; Ctrl-C is for the parent, whose end is also its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    bench = brief.settle(_Told(connection.send))
    while True:
        try:
            job = connection.recv()
            connection.send(("done", bench.attempt(job)))
        except (EOFError, OSError):  # the parent has closed its end
            return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class _Told:
    """Progress that is told to the parent; not how far each step is, since several are in hand."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send

    def say(self, message: str) -> None:
        self._send(("say", message))

    def advance(self, task: str, done: float, total: float) -> None:
        pass

    def step(self, name: str, seconds: float | None) -> None:
        self._send(("step", name, seconds))
