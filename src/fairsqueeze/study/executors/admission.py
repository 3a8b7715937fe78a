"""Admission: whether the memory that a job is expected to need is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fairsqueeze.study.memory import available_bytes, resident_bytes
from fairsqueeze.study.variant import Job

RESERVE = 0.05
"""Share of the available memory that is left alone."""


class Admission:
    """Lets a job begin where the memory reaches for it and for what is running already.

    Args:
        expected: the peak of a variant of this model, in bytes; None where nothing is known, so that it runs by itself.
        available, resident: what the machine has left, what a process holds, in bytes; replaced in tests.
    """

    def __init__(
        self,
        expected: Callable[[str], int | None],
        available: Callable[[], int] = available_bytes,
        resident: Callable[[int], int] = resident_bytes,
    ) -> None:
        self._expected = expected
        self._available, self._resident = available, resident

    def fits(self, job: Job, running: Mapping[int, Job], process: int = 0) -> bool:
        """Whether `job` may begin beside what is `running` (by process id), in `process` where that exists already.

        What the running ones are still expected to take is kept for them. The only one always may.
        """
        if not running:
            return True
        needs = [self._expected(other.variant.model) for other in running.values()]
        own = self._expected(job.variant.model)
        if own is None or None in needs:
            return False
        held = [self._resident(pid) for pid in running]
        promised = sum(max(0, (need or 0) - now) for need, now in zip(needs, held, strict=True))
        more = max(0, own - (self._resident(process) if process else 0))
        return more <= (1 - RESERVE) * self._available() - promised
