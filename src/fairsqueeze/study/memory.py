"""Memory: the most that this process has held, and what the machine has left."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_most = 0


def start_peak() -> None:
    """Begin a new peak; where the system can't, the peak stays that of the whole process."""
    global _most
    _most = most_bytes()
    try:
        _RESET.write_text("5")
    except OSError:
        return


def peak_bytes() -> int:
    """The most resident memory since `start_peak`, in bytes; never less than the truth."""
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    except (OSError, StopIteration):
        return _peak_of_the_process()


def _peak_of_the_process() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def most_bytes() -> int:
    """The most resident memory since the process began, in bytes."""
    return max(_most, peak_bytes())


def available_bytes() -> int:
    """What the machine could give to new work without swapping, in bytes."""
    return int(psutil.virtual_memory().available)


def resident_bytes(process: int) -> int:
    """What `process` holds now, in bytes; 0 if it is gone."""
    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
