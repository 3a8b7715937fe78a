"""Magnitude pruning within output rows: all but n of every m neighbours go."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.rows import SAVES_NM, Keep, Of, check_groups, prove_groups, zero_in_groups
from fairsqueeze.registry import weight_rule


@weight_rule(
    "magnitude.nm",
    selects="linear",
    family="magnitude",
    source="Mishra et al. 2021, Accelerating Sparse Deep Neural Networks, arXiv:2104.08378, section 3",
    saves=SAVES_NM,
    fits=check_groups,
    measures=prove_groups,
)
def magnitude_nm(weight: Tensor, *, keep: Keep = 2, of: Of = 4) -> Tensor:
    """Keep, of every few neighbouring inputs of an output, only the largest weights: 2 of 4, 4 of 8.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        keep: weights that stay in each group, fewer than `of`. The sparsity is 1 − keep / of.
        of: size of a group, a divisor of the input features of every linear layer. Of equal magnitudes the first go.

    Returns:
        A new weight of the same shape and type.

    Source:
        2:4 of the paper, without its retraining.
    """
    return zero_in_groups(weight, weight.abs(), keep, of)
