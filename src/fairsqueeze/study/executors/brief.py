"""Brief: what a worker process must know before its first job."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fairsqueeze.study.progress import Progress
from fairsqueeze.study.study import Study
from fairsqueeze.study.variant import Bench


@dataclass(frozen=True)
class Brief:
    """The study, its store, the command line that records tell, where it was given, and the threads of one worker."""

    study: Study
    out: str
    argv: Sequence[str]
    folder: str
    threads: int

    @classmethod
    def of(cls, study: Study, out: str, threads: int) -> Brief:
        return cls(study, out, tuple(sys.argv), os.getcwd(), threads)

    def settle(self, progress: Progress | None = None) -> Bench:
        """Make this process a worker: stdout is for the study's result, which is not made here."""
        import torch

        sys.argv, sys.stdout = list(self.argv), sys.stderr
        if os.path.isdir(self.folder):  # relative paths mean what they mean to the command
            os.chdir(self.folder)
        torch.set_num_threads(self.threads)
        return Bench(self.study, self.out, progress)


def threads_each(workers: int = 1) -> int:
    """Threads of each of so many workers of this machine: what OMP_NUM_THREADS says, else its share of the cores."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() and int(told) else max(1, (os.cpu_count() or 1) // workers)
