"""A change of a weight matrix in 4 bits: per row and group of columns one scale, two codes a byte; exact to unpack."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

GROUP = 128
"""Columns that share a scale."""
ZERO = 8
"""The code of no change; codes are 1 to 15, changes scale × (code − 8)."""


def packed(change: Tensor) -> tuple[Tensor, Tensor]:
    """(codes, scales) nearest to `change`, of shape (rows, columns), columns a multiple of 128.

    Of each group's scales between 0.6 and 1 of the one that reaches its largest entry, the one with the least squared
    error counts. Codes: uint8, (rows, columns / 2); scales: float16, (rows, columns / 128).
    """
    import torch

    rows, columns = change.shape
    if columns % GROUP:
        raise ValueError(f"{columns} columns are no multiple of {GROUP}.")
    groups = change.double().reshape(rows, columns // GROUP, GROUP)
    widest = groups.abs().amax(-1) / (ZERO - 1)
    best_scale = widest.half()
    best_error = _error(groups, best_scale)
    for share in torch.linspace(0.6, 0.975, 16).tolist():
        scale = (widest * share).half()
        error = _error(groups, scale)
        better = error < best_error
        best_scale, best_error = torch.where(better, scale, best_scale), torch.where(better, error, best_error)
    codes = (_rounded(groups, best_scale) + ZERO).to(torch.uint8).reshape(rows, columns)
    return codes[:, 0::2] | (codes[:, 1::2] << 4), best_scale


def unpacked(codes: Tensor, scales: Tensor) -> Tensor:
    """The change in float64, (rows, columns): exact, as a float16 times an integer of 4 bits always is."""
    import torch

    rows, half = codes.shape
    both = torch.stack([codes & 15, codes >> 4], dim=-1).reshape(rows, 2 * half)
    groups = both.double().sub(ZERO).reshape(rows, -1, GROUP)
    return (groups * scales.double()[..., None]).reshape(rows, 2 * half)


def _rounded(groups: Tensor, scale: Tensor) -> Tensor:
    steps = groups / scale.double().clamp(min=2.0**-24)[..., None]
    return steps.round().clamp(1 - ZERO, ZERO - 1)


def _error(groups: Tensor, scale: Tensor) -> Tensor:
    return (groups - _rounded(groups, scale) * scale.double()[..., None]).square().sum(-1)
