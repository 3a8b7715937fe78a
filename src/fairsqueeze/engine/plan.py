"""Plan: the pieces of work that answer one request, and how their results become its answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from fairsqueeze.engine.requests import Answer


@dataclass(frozen=True, eq=False)
class Plan:
    """Pieces (equal ones of several requests are done once) and what makes an answer of their results, in order.

    `tokens` is what the request would cost by itself.
    """

    pieces: tuple[Hashable, ...]
    answer: Callable[[Sequence[Any]], Answer]
    tokens: int
