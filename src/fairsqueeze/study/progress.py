"""Progress on stderr: a bar with the time left on a terminal, one line a step elsewhere, nothing where not wanted."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol


class Progress(Protocol):
    """What long work reports to."""

    def say(self, message: str) -> None:
        """One line that stays."""

    def advance(self, task: str, done: float, total: float) -> None:
        """`done` of `total` units of `task`."""

    def step(self, name: str, seconds: float | None) -> None:
        """A step is done and kept: a measure asked, a checkpoint made."""


class StudyProgress(Progress, Protocol):
    """What a study reports to: besides the work in hand, how far all of it is."""

    def plan(self, total: int) -> None:
        """The study has `total` steps to do, those done among them."""

    def running(self, names: Sequence[str]) -> None:
        """What is being worked on now."""


class Silent:
    """No progress."""

    def say(self, message: str) -> None:
        pass

    def advance(self, task: str, done: float, total: float) -> None:
        pass

    def step(self, name: str, seconds: float | None) -> None:
        pass

    def plan(self, total: int) -> None:
        pass

    def running(self, names: Sequence[str]) -> None:
        pass


@dataclass
class Pace:
    """How far a study is, and how fast: steps done of `total` since it was made."""

    total: int = 0
    done: int = 0
    clock: Callable[[], float] = time.monotonic
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.clock()

    @property
    def per_minute(self) -> float | None:
        """Steps a minute; None before the first is done."""
        spent = self.clock() - self.start
        return 60 * self.done / spent if self.done and spent > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take at this pace; None before the first step is done."""
        pace = self.per_minute
        return None if pace is None else 60 * max(0, self.total - self.done) / pace

    def __str__(self) -> str:
        told = f"step {self.done} of {self.total}"
        pace, left = self.per_minute, self.left
        if pace is None or left is None:
            return told
        return f"{told}, {pace:.1f} a minute, {f'about {_duration(left)} left' if left else 'done'}"


class Lines:
    """One line when something starts, when a step is done, and every ten seconds of long work.

    What runs on other machines, which nobody says when it starts, is told once it has run for ten seconds.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}  # what runs, and since when; for ever later once it was told
        self._task = ""
        self._done = self._start = self._last = 0.0
        self._pace: Pace | None = None

    def say(self, message: str) -> None:
        name = message.partition("] ")[2]  # as in "[3/12] magnitude.linear 50 %"
        if message.startswith("[") and name in self._since:
            self._since[name] = math.inf
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
            self.say(f"  {task}: {100 * done / total:.0f} %, about {_duration(left)} left")

    def step(self, name: str, seconds: float | None) -> None:
        took = "" if seconds is None else f": {_duration(seconds)}"
        if self._pace is None:
            self.say(f"  {name}{took}")
            return
        self._pace.done += 1
        self.say(f"  {name}{took} ({self._pace})")

    def plan(self, total: int) -> None:
        self._pace = self._pace or Pace()
        self._pace.total = total

    def running(self, names: Sequence[str]) -> None:
        now = time.monotonic()
        self._since = {name: self._since.get(name, now) for name in names}
        late = [name for name, since in self._since.items() if now - since >= 10]
        if late:
            self.say(f"  now: {', '.join(late)}")
            self._since |= dict.fromkeys(late, math.inf)


class Bar:
    """Live bars on a terminal: one for the work in hand, one for the whole study."""

    def __init__(self, bar: Any, console: Any) -> None:
        self._bar = bar
        self._console = console
        self._tasks: dict[str, int] = {}
        self._pace: Pace | None = None
        self._overall: int | None = None
        self._running: Sequence[str] = ()

    def say(self, message: str) -> None:
        self._console.print(message, highlight=False, markup=False)

    def advance(self, task: str, done: float, total: float) -> None:
        if task not in self._tasks:
            for other in self._tasks.values():
                self._bar.update(other, visible=False)
            self._tasks[task] = self._bar.add_task(task, total=total)
        self._bar.update(self._tasks[task], completed=done, total=total, visible=done < total)

    def step(self, name: str, seconds: float | None) -> None:
        if self._pace is not None:
            self._pace.done += 1
            self._show()

    def plan(self, total: int) -> None:
        if self._pace is None or self._overall is None:
            self._pace = Pace()
            self._overall = self._bar.add_task("study", total=total)
        self._pace.total = total
        self._show()

    def running(self, names: Sequence[str]) -> None:
        self._running = list(names)
        self._show()

    def _show(self) -> None:
        if self._pace is None:
            return
        now = f" · now: {', '.join(self._running)}" if self._running else ""
        text = f"{self._pace}{now}".replace("[", "\\[")
        self._bar.update(self._overall, completed=self._pace.done, total=self._pace.total, description=text)


@contextmanager
def progress_on_stderr(quiet: bool = False) -> Iterator[StudyProgress]:
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
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
