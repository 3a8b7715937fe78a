"""Random pruning of linear layers: the floor that every informed method must beat."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.random_pruning import drop_at_random
from fairsqueeze.registry import weight_rule


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
    return drop_at_random(weight, sparsity, seed)
