"""Packed weights: those of quantised layers, taken apart into the plain tensors that really lie in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_WORDS = ("qweight", "weight_packed")
"""Buffers and parameters of GPTQ, AWQ and compressed-tensors that hold several weights in each number."""


def is_packed(weight: Tensor) -> bool:
    """Whether it stands for floats that it does not hold: a tensor subclass of torchao, or integers."""
    return bool(hasattr(weight.data, "__tensor_flatten__")) or not weight.is_floating_point()


def uncountable(network: nn.Module) -> str | None:
    """The first tensor that holds several weights in each number, in a way not known here; None if all are known.

    Known are floats, torchao's tensors, and 8-bit integers, one for each weight. Unknown are 4 bits of bitsandbytes
    (two weights in a byte) and the words of GPTQ, AWQ and their like, whose counts would not be those of the weights.
    """
    for name, parameter in network.named_parameters():
        data = parameter.data
        known = hasattr(data, "__tensor_flatten__") or data.is_floating_point() or str(data.dtype) == "torch.int8"
        if not known:
            return name
    for name, _ in network.named_buffers():
        if name.rpartition(".")[2] in _WORDS:
            return name
    return None


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
