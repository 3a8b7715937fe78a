"""Budget: how many tokens go through the network at once. Running out of memory halves it and the work goes on."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fairsqueeze.engine.usage import Usage
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.model import Model

CPU_TOKENS = 2048
ACCELERATOR_TOKENS = 16384
FILLED = 0.25
"""A batch that has this share of its tokens takes no piece that would be mostly padding …"""
ALIKE = 0.75
"""… by being shorter than this share of the longest."""
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "defaultcpuallocator", "alloc_failed")

T = TypeVar("T")
R = TypeVar("R")


def _whole(piece: T) -> list[T]:
    return [piece]


def _sociable(piece: object) -> bool:
    return False


@dataclass(frozen=True)
class Work(Generic[T, R]):
    """What to do with pieces of one sort.

    Args:
        size: tokens of a piece.
        run: answers of a batch of pieces, one per piece in order.
        split: a piece as two smaller ones, or as itself where it can't be any smaller.
        lone: whether a piece must be run by itself.
        most: tokens that a batch may have whatever the budget; None for no such limit.
    """

    size: Callable[[T], int]
    run: Callable[[Sequence[T]], Sequence[R]]
    split: Callable[[T], list[T]] = _whole
    lone: Callable[[T], bool] = _sociable
    most: int | None = None


class Budget:
    """The token budget of one engine; it shrinks for good when memory runs out.

    Its default depends on the device alone, not on what else the machine does, so that batches stay the same.
    """

    def __init__(self, model: Model, usage: Usage, tokens: int | None = None) -> None:
        if tokens is not None and tokens < 1:
            raise BadSetting(f"A token budget of {tokens} is not positive.", "Give 1 or more, or None for the default.")
        self.tokens = tokens or (CPU_TOKENS if model.device.type == "cpu" else ACCELERATOR_TOKENS)
        self._reference = model.reference
        self._usage = usage
        usage.token_budget = self.tokens

    def batches(self, pieces: Iterable[T], work: Work[T, R]) -> Iterator[tuple[T, R]]:
        """Every piece with its answer, in the order given; pieces of like size should stand together.

        Raises ModelError where a single piece is too much for the memory.
        """
        waiting = deque(pieces)
        while waiting:
            batch = self._next(waiting, work)
            answers = self._attempt(batch, work)
            if answers is not None:
                yield from zip(batch, answers, strict=True)
                continue
            self._halve(batch, work)
            parts = work.split(batch[0]) if len(batch) == 1 else batch
            waiting.extendleft(reversed(parts))

    def _next(self, waiting: deque[T], work: Work[T, R]) -> list[T]:
        budget = self.tokens if work.most is None else min(self.tokens, work.most)
        batch = [waiting.popleft()]
        longest = work.size(batch[0])
        while waiting and not (work.lone(batch[0]) or work.lone(waiting[0])):
            longest = max(longest, work.size(waiting[0]))
            padded = longest * len(batch)
            wasteful = padded >= FILLED * budget and work.size(waiting[0]) < ALIKE * longest
            if padded + longest > budget or wasteful:
                break
            batch.append(waiting.popleft())
        return batch

    def _attempt(self, batch: list[T], work: Work[T, R]) -> Sequence[R] | None:
        """None when the memory did not reach; what the attempt held is free again by then."""
        try:
            return work.run(batch)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
        _release()
        return None

    def _halve(self, batch: list[T], work: Work[T, R]) -> None:
        if len(batch) == 1 and len(work.split(batch[0])) == 1:
            raise ModelError(
                f"Memory ran out on one sequence of {work.size(batch[0])} tokens in {self._reference}.",
                "Free some memory, take a smaller model or a shorter context, or --dtype bfloat16.",
            )
        failed = max(work.size(piece) for piece in batch) * len(batch)
        self.tokens = max(1, min(self.tokens, failed) // 2)
        self._usage.budget_halvings += 1
        self._usage.token_budget = self.tokens


def _out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return any(sign in message for sign in _SIGNS)


def _release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
