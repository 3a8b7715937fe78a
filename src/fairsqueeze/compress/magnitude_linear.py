"""Magnitude pruning: the smallest weights of every linear layer go."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.cut import SAVES, Sparsity, drop_count, zero_smallest
from fairsqueeze.compress.magnitude import STUDY
from fairsqueeze.registry import weight_rule


@weight_rule(
    "magnitude.linear",
    selects="linear",
    exact_over="matrix",
    family="magnitude",
    source=STUDY.format("l1-unstructured-linear", "l1_unstructured"),
    saves=SAVES,
)
def magnitude_linear(weight: Tensor, *, sparsity: Sparsity) -> Tensor:
    """Zero the smallest weights of every linear layer, the same share in each.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        sparsity: share of its weights that are zero afterwards, in [0, 1), to the nearest whole weight. Of equal
            magnitudes the first go first; weights that are already zero count.

    Returns:
        A new weight of the same shape and type.

    Source:
        "l1-unstructured-linear" of the study: `prune.l1_unstructured` on every `nn.Linear`, classifier included.
        GPT-2's Conv1D is a linear layer here. A head that is tied to the embedding is an embedding and stays.
    """
    return zero_smallest(weight, weight, drop_count(sparsity, weight.numel()))
