"""Packed weights: those of quantised layers, taken apart into the plain tensors that really lie in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def is_packed(weight: Tensor) -> bool:
    """Whether it stands for floats that it does not hold: a tensor subclass of torchao, or integers."""
    return bool(hasattr(weight.data, "__tensor_flatten__")) or not weight.is_floating_point()


def inner_tensors(weight: Tensor) -> list[Tensor]:
    """The plain tensors that `weight` is made of, itself if it is plain: codes, scales, zero points."""
    data = weight.detach()
    if not hasattr(data, "__tensor_flatten__"):
        return [data]
    names, _ = data.__tensor_flatten__()
    return [plain for name in names for plain in inner_tensors(getattr(data, name))]


def floats_of(weight: Tensor) -> Tensor:
    """What it stands for, (out, in): zeros of it are zeros. Integers stand for themselves, up to their scale."""
    data = weight.detach()
    if not hasattr(data, "__tensor_flatten__"):
        return data
    import torch

    try:
        return data.dequantize()
    except NotImplementedError:  # packed for a kernel: what it does to the unit vectors tells
        unit = torch.eye(data.shape[1], dtype=data.dtype, device=data.device)
        return torch.nn.functional.linear(unit, data).T
