"""Zeros counted by row: exact for every float type, signed zeros and the smallest numbers included."""

from __future__ import annotations

import pytest
import torch

from fairsqueeze.compress.proof import Zeros
from fairsqueeze.models.anatomy import WeightRef


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("transposed", [False, True])
def test_zeros_of_rows_are_counted_exactly(dtype, transposed):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(50, 3000, generator=generator).to(dtype)
    weight[torch.rand(50, 3000, generator=generator) < 0.4] = 0
    weight[0] = -0.0
    weight[1] = torch.finfo(dtype).tiny
    ref = WeightRef("layer.weight", torch.nn.Parameter(weight), transposed, "layer")
    (counted,) = Zeros.of([ref], "row").zeros
    assert torch.equal(counted, (weight == 0).sum(0 if transposed else 1))
