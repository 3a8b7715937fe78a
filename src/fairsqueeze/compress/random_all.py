"""Random pruning of every layer, embeddings and norms included."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.random_pruning import drop_at_random
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
    return drop_at_random(weight, sparsity, seed)
