"""Queue: the jobs of a study in order, a dense model before its variants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from fairsqueeze.study.variant import Done, Job


class Queue:
    """What waits, what is worked on, and what can't be begun since its dense model failed.

    Args:
        jobs: in the order in which they are handed out.
        there: keys of documents that are finished already.
    """

    def __init__(self, jobs: Sequence[Job], there: Collection[str] = ()) -> None:
        self._waiting = list(jobs)
        self._there = set(there)
        self.running: list[Job] = []
        self.skipped: list[Job] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self.running)

    def take(self, fits: Callable[[Job], bool] = lambda job: True, model: str | None = None) -> Job | None:
        """The next job that can be begun and `fits`, one of `model` before others; None where there is none now."""
        ready = [job for job in self._waiting if job.key == job.dense or job.dense in self._there]
        ready.sort(key=lambda job: job.variant.model != model)
        job = next((job for job in ready if fits(job)), None)
        if job is not None:
            self._waiting.remove(job)
            self.running.append(job)
        return job

    def give_back(self, job: Job) -> None:
        """`job` was not finished: it is the next again."""
        self.running.remove(job)
        self._waiting.insert(0, job)

    def finish(self, done: Done) -> None:
        """`done.job` is finished, one way or the other."""
        self.running.remove(done.job)
        if done.failure is None:
            self._there.add(done.job.key)
        elif done.job.key == done.job.dense:
            self.skipped += [job for job in self._waiting if job.dense == done.job.key]
            self._waiting = [job for job in self._waiting if job.dense != done.job.key]
