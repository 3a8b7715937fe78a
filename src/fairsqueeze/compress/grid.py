"""Grid: the few evenly spaced values that the weights of a group may take after quantisation to k bits.

A group is `group` neighbouring input features of one output feature (None: all of them, "per channel"). Its scale is
kept as a float16 and its zero point as a k-bit integer, in the values as in the bits that are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.models.matrices import oriented_shape
from fairsqueeze.registry import Range

Bits = Annotated[int, Range(2, 8)]
Group = Annotated[int, Range(1, 1_000_000)]

SCALE_BITS = 16
_HALF = torch.finfo(torch.float16)


@dataclass(frozen=True)
class Grid:
    """The values scale × (code − zero) for whole codes from `lowest` to `highest`, group by group.

    Args:
        scale: > 0, float32 holding float16 values, shape (out, groups).
        zero: the code of the value 0, float32 holding integers, shape (out, groups); all 0 if symmetric.
        lowest, highest: of the codes.
    """

    scale: Tensor
    zero: Tensor
    lowest: int
    highest: int

    def round(self, weight: Tensor) -> Tensor:
        """The nearest value of the grid (ties to the even code) for each of `weight`, shape (out, groups, features)."""
        scale, zero = self.scale[..., None], self.zero[..., None]
        codes = torch.round(weight / scale + zero).clamp_(self.lowest, self.highest)
        return (codes - zero) * scale

    def only(self, group: int) -> Grid:
        """The grid of one group, for weights of shape (out, 1, features)."""
        return Grid(self.scale[:, group, None], self.zero[:, group, None], self.lowest, self.highest)


def fit_grid(weight: Tensor, bits: int, symmetric: bool) -> Grid:
    """The grid of every group that spans its weights and holds 0, so that a zero weight stays zero.

    symmetric: 2^bits − 1 values, from −max|w| to max|w|; asymmetric: 2^bits values from min(w, 0) to max(w, 0), moved
    so that one of them is 0.

    Args:
        weight: float32, shape (out, groups, features).
        bits: at least 2.
    """
    if symmetric:
        highest = 2 ** (bits - 1) - 1
        scale = _as_half(weight.abs().amax(-1) / highest)
        return Grid(scale, torch.zeros_like(scale), -highest, highest)
    highest = 2**bits - 1
    low, high = weight.amin(-1).clamp(max=0), weight.amax(-1).clamp(min=0)
    scale = _as_half((high - low) / highest)
    return Grid(scale, torch.round(-low / scale).clamp_(0, highest), 0, highest)


def _as_half(scale: Tensor) -> Tensor:
    """The nearest float16 above 0, as float32; 1 where the group holds only zeros."""
    kept = scale.clamp(_HALF.smallest_normal / 1024, _HALF.max).to(torch.float16).float()
    return torch.where(scale == 0, torch.ones_like(kept), kept)


def in_groups(weight: Tensor, group: int | None) -> Tensor:
    """`weight` (out, in) as float32, shape (out, groups, features); a copy only where its type needs one."""
    return weight.float().reshape(weight.shape[0], -1, group or weight.shape[1])


def stored_bits(shape: tuple[int, int], *, bits: int, group: int | None = None, symmetric: bool = True) -> int:
    """Bits that a matrix (out, in) takes once its codes are packed: codes, 16-bit scales, k-bit zero points.

    Raises BadSetting where `group` does not divide the input features.
    """
    out, features = shape
    size = group or features
    if features % size:
        raise BadSetting(f"group {size} does not divide {features} input features", _divisor_hint(features, size))
    return out * features * bits + out * (features // size) * (SCALE_BITS + (0 if symmetric else bits))


def total_bits(refs: Sequence[WeightRef], *, bits: int, group: int | None, symmetric: bool) -> int:
    """Bits that all these matrices take; BadSetting names the layers whose input features `group` does not divide."""
    total, misfits = 0, {}
    for ref in refs:
        try:
            total += stored_bits(oriented_shape(ref), bits=bits, group=group, symmetric=symmetric)
        except BadSetting as problem:
            misfits[ref.name] = problem
    if misfits:
        first = next(iter(misfits.values()))
        more = f" and {len(misfits) - 3} more layers" if len(misfits) > 3 else ""
        raise BadSetting(f"{first.message.rstrip('.')} in {', '.join([*misfits][:3])}{more}.", first.remedy)
    return total


def check_bits(refs: Sequence[WeightRef], *, bits: int, group: int | None, symmetric: bool) -> None:
    """BadSetting, naming the layers, where `group` does not divide their input features."""
    total_bits(refs, bits=bits, group=group, symmetric=symmetric)


def bits_measured(refs: Sequence[WeightRef], *, bits: int, group: int | None, symmetric: bool) -> dict[str, Any]:
    """What rounded matrices take and hold, JSON-ready.

    Returns:
        `bits_per_weight`, float16 scales and zero points included; `most_values`: the largest number of different
        values in any group.

    Raises:
        ModelError: a group holds more values than `bits` allows.
    """
    total = total_bits(refs, bits=bits, group=group, symmetric=symmetric)
    most = 0
    for ref in refs:
        stored = ref.parameter.detach()
        values = most_values(stored.T if ref.transposed else stored, group)
        if values > 2**bits:
            raise ModelError(f"{ref.name} has {values} values in a group.", "This is a fault of the method.")
        most = max(most, values)
    return {"bits_per_weight": total / sum(ref.parameter.numel() for ref in refs), "most_values": most}


def _divisor_hint(features: int, group: int) -> str:
    near = max(d for d in range(1, min(group, features) + 1) if features % d == 0)
    return f"Set group to a divisor of it such as {near}, or to none for one grid per output feature."


def most_values(weight: Tensor, group: int | None) -> int:
    """The largest number of different values in any group of `weight` (out, in), by sorting each group."""
    ordered = weight.reshape(weight.shape[0], -1, group or weight.shape[1]).sort(-1).values
    return 1 + int((ordered.diff(dim=-1) != 0).sum(-1).max())
