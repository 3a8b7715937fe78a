"""local: variants one after the other in this process, or several at once in processes of this machine."""

from __future__ import annotations

from collections.abc import Generator

from fairsqueeze.study.executors.queue import Queue
from fairsqueeze.study.progress import StudyProgress
from fairsqueeze.study.variant import Bench, Done


def in_process(queue: Queue, bench: Bench, progress: StudyProgress) -> Generator[Done, None, None]:
    """Every job of `queue` in turn, here."""
    model = None
    while (job := queue.take(model=model)) is not None:
        model = job.variant.model
        progress.running([job.name])
        done = bench.attempt(job)
        queue.finish(done)
        yield done
