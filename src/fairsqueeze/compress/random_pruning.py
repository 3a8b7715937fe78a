"""Random pruning: the floor that every informed method must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from fairsqueeze.compress.cut import SAVES, Sparsity, drop_count, zero_smallest
from fairsqueeze.registry import weight_rule


@weight_rule(
    "random.all",
    selects="all",
    exact_over="matrix",
    family="random",
    source="Mannheim 2024, Can Pruning Language Models Reduce Their Bias?, random-unstructured; "
    "torch.nn.utils.prune.random_unstructured",
    saves=SAVES,
)
def random_all(weight: Tensor, *, sparsity: Sparsity, seed: int) -> Tensor:
    """Zero weights of every layer at random, the same share in each, embeddings and norms included.

    Args:
        weight: any weight matrix or vector, any float type. Not modified. Biases are never handed over.
        sparsity: share of its weights that are zero afterwards, in [0, 1), to the nearest whole weight; weights that
            are already zero count.
        seed: of this layer.

    Returns:
        A new weight of the same shape and type.

    Source:
        "random-unstructured" of the study: `prune.random_unstructured` on every module that has a `.weight`. There the
        draw comes from torch's global state, here from the seed and the layer's name.
    """
    return _drop_at_random(weight, sparsity, seed)


@weight_rule(
    "random.linear",
    selects="linear",
    exact_over="matrix",
    family="random",
    source="the usual floor; as torch.nn.utils.prune.random_unstructured on every linear layer",
    saves=SAVES,
)
def random_linear(weight: Tensor, *, sparsity: Sparsity, seed: int) -> Tensor:
    """Zero weights of every linear layer at random, the same share in each.

    The draw depends on the seed and the layer's name, not on the order of the layers or the device. Weights that are
    already zero count towards the share, so that a second step at a higher sparsity adds only what is missing.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        sparsity: share of its weights that are zero afterwards, in [0, 1), to the nearest whole weight.
        seed: of this layer.

    Returns:
        A new weight of the same shape and type.

    Source:
        What Sun et al. 2023 (arXiv:2306.11695) and the pruning literature use as floor. The study by Mannheim (2024)
        prunes norms and embeddings as well: `random.all`.
    """
    return _drop_at_random(weight, sparsity, seed)


def _drop_at_random(weight: Tensor, sparsity: float, seed: int) -> Tensor:
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = 1 + torch.rand(weight.shape, generator=generator, dtype=torch.float64)
    score = drawn.to(weight.device).masked_fill(weight == 0, 0)
    return zero_smallest(weight, score, drop_count(sparsity, weight.numel()))
