"""Queue: the jobs of a study in order, a dense model before its variants."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from fairsqueeze.study.variant import Done, Job


class Queue:
    """What waits, what is worked on, and what can't be begun since its dense model failed.

    Args:
        jobs: in the order in which they are handed out.
        there: keys of documents that are finished already.
    """

    def __init__(self, jobs: Sequence[Job], there: Collection[str] = ()) -> None:
        self._waiting: dict[str, deque[Job]] = {}  # by dense model, this one first
        for job in jobs:
            self._waiting.setdefault(job.dense, deque()).append(job)
        self._there = set(there)
        self.running: list[Job] = []
        self.skipped: list[Job] = []

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values())) + len(self.running)

    def take(self, fits: Callable[[Job], bool] = lambda job: True, model: str | None = None) -> Job | None:
        """The next job that can be begun and `fits`, one of `model` before others; None where there is none now.

        Only the first of each model is asked whether it fits: its variants need alike.
        """
        groups = sorted(filter(None, self._waiting.values()), key=lambda jobs: jobs[0].variant.model != model)
        for jobs in groups:
            job = jobs[0]
            if (job.key == job.dense or job.dense in self._there) and fits(job):
                self.running.append(jobs.popleft())
                return job
        return None

    def give_back(self, job: Job) -> None:
        """`job` was not finished: it is the next of its model again."""
        self.running.remove(job)
        self._waiting[job.dense].appendleft(job)

    def finish(self, done: Done) -> None:
        """`done.job` is finished, one way or the other."""
        self.running.remove(done.job)
        if done.failure is None:
            self._there.add(done.job.key)
        elif done.job.key == done.job.dense:
            self.skipped += self._waiting.pop(done.job.key)
