"""Progress on stderr: a bar with the time left on a terminal, one line a step elsewhere, nothing where not wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Progress(Protocol):
    """What long work reports to."""

    def say(self, message: str) -> None:
        """One line that stays."""

    def advance(self, task: str, done: float, total: float) -> None:
        """`done` of `total` units of `task`."""


class Silent:
    """No progress."""

    def say(self, message: str) -> None:
        pass

    def advance(self, task: str, done: float, total: float) -> None:
        pass


class Lines:
    """One line when something starts, and when a tenth more is done but at most every ten seconds."""

    def __init__(self) -> None:
        self._task = ""
        self._done = self._start = self._last = 0.0

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    def advance(self, task: str, done: float, total: float) -> None:
        now = time.monotonic()
        if task != self._task or done < self._done:
            self._task, self._start, self._last = task, now, now
        self._done = done
        finished = done >= total
        if now - self._last >= 10 and not finished:
            self._last = now
            left = (now - self._start) / max(done, 1e-9) * (total - done)
            print(f"  {task}: {100 * done / total:.0f} %, about {_duration(left)} left", file=sys.stderr, flush=True)


class Bar:
    """A live bar on a terminal."""

    def __init__(self, bar: Any, console: Any) -> None:
        self._bar = bar
        self._console = console
        self._tasks: dict[str, int] = {}

    def say(self, message: str) -> None:
        self._console.print(message, highlight=False, markup=False)

    def advance(self, task: str, done: float, total: float) -> None:
        if task not in self._tasks:
            for other in self._tasks.values():
                self._bar.update(other, visible=False)
            self._tasks[task] = self._bar.add_task(task, total=total)
        self._bar.update(self._tasks[task], completed=done, total=total, visible=done < total)


@contextmanager
def progress_on_stderr(quiet: bool = False) -> Iterator[Progress]:
    """The progress that suits where stderr goes."""
    if quiet:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=console, transient=True) as bar:
        yield Bar(bar, console)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
