"""Encoding: how many bytes a model's tensors take when zeros are left out, and when they are packed by zstd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from fairsqueeze.models.packed import inner_tensors

_CHUNK_BYTES = 8 << 20
_ZSTD_LEVEL = 3


def dense_bytes(tensor: Tensor) -> int:
    """Bytes of its values as safetensors stores them."""
    return tensor.numel() * tensor.element_size()


def packed_bytes(weight: Tensor) -> int:
    """Bytes of all that it is made of."""
    return sum(dense_bytes(tensor) for tensor in inner_tensors(weight))


def sparse_bytes(tensor: Tensor, nonzeros: int) -> int:
    """Bytes of a bitmap (1 bit a value, padded to a byte) and the non-zero values, or dense where that is less.

    A sparse copy is smaller from a sparsity of 1/32 in float32 (1/16 in 16 bits) on.
    """
    bitmap = (tensor.numel() + 7) // 8
    return min(dense_bytes(tensor), bitmap + nonzeros * tensor.element_size())


def zstd_bytes(tensors: Iterable[Tensor], threads: int | None = None) -> int:
    """Bytes of one zstd frame (level 3) over the dense bytes of all `tensors` in order, the size only.

    Streamed: holds one piece at a time. The size does not depend on `threads` (None: one per CPU core).
    """
    import zstandard

    workers = threads or max(1, torch.get_num_threads())
    packer = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, threads=workers).compressobj()
    size = 0
    for piece in _pieces(tensors):
        size += len(packer.compress(piece))
    return size + len(packer.flush())


def _pieces(tensors: Iterable[Tensor]) -> Iterator[memoryview]:
    for tensor in tensors:
        flat = tensor.detach().reshape(-1)
        for piece in flat.split(max(1, _CHUNK_BYTES // tensor.element_size())):
            if piece.numel():
                yield memoryview(piece.cpu().contiguous().view(torch.uint8).numpy())
