"""Magnitude pruning: the smallest weights of every layer go, embeddings and norms included."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.cut import SAVES, Sparsity, drop_count, zero_smallest
from fairsqueeze.compress.magnitude import STUDY
from fairsqueeze.registry import weight_rule


@weight_rule(
    "magnitude.all",
    selects="all",
    exact_over="matrix",
    family="magnitude",
    source=STUDY.format("l1-unstructured", "l1_unstructured"),
    saves=SAVES,
)
def magnitude_all(weight: Tensor, *, sparsity: Sparsity) -> Tensor:
    """Zero the smallest weights of every layer, the same share in each, embeddings and norms included.

    Norms and embeddings hold few, large or unevenly used weights, so this breaks a model much earlier than pruning its
    linear layers does; it is here because published studies did it.

    Args:
        weight: any weight matrix or vector, any float type. Not modified. Biases are never handed over.
        sparsity: share of its weights that are zero afterwards, in [0, 1), to the nearest whole weight. Of equal
            magnitudes the first go first; weights that are already zero count.

    Returns:
        A new weight of the same shape and type.

    Source:
        "l1-unstructured" of the study: `prune.l1_unstructured` on every module that has a `.weight`, classifier
        included. A matrix shared by several layers (tied output head, ALBERT) is pruned once.
    """
    return zero_smallest(weight, weight, drop_count(sparsity, weight.numel()))
