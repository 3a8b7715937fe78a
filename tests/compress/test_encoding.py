"""Sizes of encodings, against encoders that really write them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zstandard

from fairsqueeze.compress.encoding import dense_bytes, sparse_bytes, zstd_bytes


def packed(tensor: torch.Tensor) -> bytes:
    """The obvious encoder: one bit a value, then the values that are not zero."""
    values = tensor.reshape(-1).view(torch.uint8).numpy().reshape(tensor.numel(), -1)
    present = (tensor.reshape(-1) != 0).numpy()
    return np.packbits(present).tobytes() + values[present].tobytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (64, 32)])
def test_sparse_size_is_what_an_encoder_writes(dtype, shape):
    torch.manual_seed(0)
    tensor = torch.randn(shape).masked_fill(torch.rand(shape) < 0.6, 0).to(dtype)
    nonzeros = int((tensor != 0).sum())
    assert sparse_bytes(tensor, nonzeros) == min(len(packed(tensor)), dense_bytes(tensor))


def test_a_dense_tensor_is_stored_dense():
    assert sparse_bytes(torch.ones(32, 32), 1024) == 4096
    assert sparse_bytes(torch.zeros(32, 32), 0) == 128
    # In float32 the bitmap pays from a sparsity of 1/32 on: 32 zeros of 1,024.
    assert sparse_bytes(torch.ones(32, 32), 1024 - 31) == 4096
    assert sparse_bytes(torch.ones(32, 32), 1024 - 33) == 128 + 4 * 991


def test_zstd_size_is_near_one_frame_and_does_not_depend_on_threads():
    torch.manual_seed(0)
    tensors = [torch.randn(3_000_000).masked_fill(torch.rand(3_000_000) < 0.5, 0), torch.zeros(0), torch.ones(999)]
    whole = b"".join(t.numpy().tobytes() for t in tensors)
    size = zstd_bytes(tensors, threads=1)
    assert size == zstd_bytes(tensors, threads=3)
    assert size == pytest.approx(len(zstandard.ZstdCompressor(level=3).compress(whole)), rel=0.01)


def test_zstd_takes_bfloat16_and_scattered_layouts():
    torch.manual_seed(0)
    tensor = torch.randn(64, 48).to(torch.bfloat16)
    assert zstd_bytes([tensor.T]) == zstd_bytes([tensor.T.contiguous()])
