"""Wanda: pruning by weights and activations, row by row, without any training."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.rows import zero_in_rows
from fairsqueeze.registry import weight_rule

SOURCE = "Sun et al. 2023, A Simple and Effective Pruning Approach for Large Language Models, arXiv:2306.11695"


@weight_rule(
    "wanda",
    selects="block_linear",
    needs={"input_norm"},
    calibration=calibrate,
    requires=REQUIRES,
    exact_over="row",
    family="wanda",
    source=SOURCE,
    saves=SAVES,
)
def wanda(weight: Tensor, *, input_norm: Tensor, sparsity: Sparsity) -> Tensor:
    """Zero, in every output row, the weights with the smallest |weight| × norm of their input.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        input_norm: L2 norm of each input feature over the calibration tokens, shape (in,).
        sparsity: share of each row that is zero afterwards, in [0, 1), to the nearest whole weight. Of equal scores the
            first go first; weights that are already zero count.

    Returns:
        A new weight of the same shape and type.

    Source:
        Equation 1 and algorithm 1. The reference code truncates the number of weights to drop; here it is rounded.
    """
    return zero_in_rows(weight, score(weight, input_norm), sparsity)


def score(weight: Tensor, input_norm: Tensor) -> Tensor:
    """|weight| × input norm, in the precision of the norm (float32 at least)."""
    return weight.abs().to(input_norm.dtype) * input_norm
