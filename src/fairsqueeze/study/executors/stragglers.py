"""Stragglers: tasks that take far longer than the others while machines are idle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from fairsqueeze.study.variant import Job

FACTOR = 3.0
"""How many times the median a task must have taken …"""
AT_LEAST = 60.0
"""… and how many seconds, before it is begun a second time."""
ENOUGH = 3
"""Tasks that must be finished before a median says anything."""


@dataclass
class Call:
    """One task handed to a cluster: making a variant for others, a range of one of its measures (`arguments`: name,
    first, end), or the variant itself. `checkpoint`: where what it made will lie in the cluster."""

    job: Job
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    attempt: int = 1
    begun: float = 0.0
    has_twin: bool = False
    checkpoint: Any = None

    def is_as(self, other: Call) -> bool:
        """Whether both do the same."""
        return self._what == other._what

    @property
    def _what(self) -> tuple[Any, ...]:
        return (self.job.key, self.function, self.arguments)

    def again(self) -> Call:
        return replace(self, attempt=self.attempt + 1, has_twin=False)

    def twin(self) -> Call:
        """The same once more, beside this one."""
        self.has_twin = True
        return replace(self)


def straggler(
    running: Mapping[Any, Call], later: Sequence[Any], seconds: Sequence[float], slots: int, now: float
) -> Call | None:
    """The task that should be begun a second time, if any: some machine is idle, nothing waits, and it is very slow.

    Args:
        running: tasks handed out; as many as `slots` can be worked on at once.
        later: tasks that wait for a pause to end.
        seconds: what finished tasks took.
    """
    if later or len(running) >= slots or len(seconds) < ENOUGH:
        return None
    most = max(AT_LEAST, FACTOR * median(seconds))
    slow = [call for call in running.values() if not call.has_twin and now - call.begun > most]
    return max(slow, key=lambda call: now - call.begun) if slow else None
