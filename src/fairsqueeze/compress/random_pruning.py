"""Random pruning: the draw, which depends on the seed alone, and takes zeros first."""

from __future__ import annotations

import torch
from torch import Tensor

from fairsqueeze.compress.cut import drop_count, zero_smallest


def drop_at_random(weight: Tensor, sparsity: float, seed: int) -> Tensor:
    """A copy of `weight` with this share of it zero, drawn at random; weights that are zero already go first."""
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = 1 + torch.rand(weight.shape, generator=generator, dtype=torch.float64)
    score = drawn.to(weight.device).masked_fill(weight == 0, 0)
    return zero_smallest(weight, score, drop_count(sparsity, weight.numel()))
