"""Processes that share one training, as `torchrun` starts them; each takes its parts of every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is; by itself 0 of 1.

    The batch of a step stays what the settings say, whatever the number of processes: they share it.
    """

    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes the files."""
        return self.number == 0

    def share(self, parts: Sequence[T]) -> Sequence[T]:
        """The parts of a batch that this process computes."""
        return parts[self.number :: self.count]

    def part_size(self, batch: int) -> int:
        """The largest number of examples in a part so that every process gets one."""
        return max(1, -(-batch // self.count))

    def add_up_(self, parameters: Sequence[nn.Parameter]) -> None:
        """Every gradient becomes the sum over all processes, in place; one that nobody has is 0."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        summed = reduce(torch.cat([g.reshape(-1) for g in gradients]), "sum")
        pieces = summed.split([p.numel() for p in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = piece.reshape(parameter.shape).clone()

    def sum_of(self, value: float, device: torch.device) -> float:
        """The sum of a number over all processes."""
        if self.count == 1:
            return value
        from accelerate.utils import reduce

        total: Tensor = reduce(torch.tensor(value, dtype=torch.float64, device=device), "sum")
        return float(total)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()


def processes_on(device: torch.device) -> Processes:
    """The processes that share trainings on this kind of device: one, unless `torchrun` or
    `accelerate launch` started several."""
    from accelerate import PartialState

    state = PartialState(cpu=device.type == "cpu")
    return Processes(state.process_index, state.num_processes)
