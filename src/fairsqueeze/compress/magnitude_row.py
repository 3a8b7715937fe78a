"""Magnitude pruning within output rows: the same share of each."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.rows import zero_in_rows
from fairsqueeze.registry import weight_rule


@weight_rule(
    "magnitude.row",
    selects="linear",
    exact_over="row",
    family="magnitude",
    source="Sun et al. 2023, arXiv:2306.11695, table 7: magnitude per output, the fair rival of Wanda",
    saves=SAVES,
)
def magnitude_row(weight: Tensor, *, sparsity: Sparsity) -> Tensor:
    """Zero the smallest weights of every output of every linear layer, the same share in each.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        sparsity: share of each row that is zero afterwards, in [0, 1), to the nearest whole weight. Of equal magnitudes
            the first go first; weights that are already zero count.

    Returns:
        A new weight of the same shape and type.

    Source:
        The comparison group "per output" of the Wanda paper, with the magnitude as score.
    """
    return zero_in_rows(weight, weight.abs(), sparsity)
