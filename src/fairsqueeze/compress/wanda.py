"""Wanda: pruning by weights and activations, row by row, without any training."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.rows import (
    SAVES_NM,
    Keep,
    Of,
    check_groups,
    prove_groups,
    zero_in_groups,
    zero_in_rows,
)
from fairsqueeze.registry import weight_rule

_SOURCE = "Sun et al. 2023, A Simple and Effective Pruning Approach for Large Language Models, arXiv:2306.11695"


@weight_rule(
    "wanda",
    selects="block_linear",
    needs={"input_norm"},
    calibration=calibrate,
    requires=REQUIRES,
    exact_over="row",
    family="wanda",
    source=_SOURCE,
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


@weight_rule(
    "wanda.nm",
    selects="block_linear",
    needs={"input_norm"},
    calibration=calibrate,
    requires=REQUIRES,
    family="wanda",
    source=_SOURCE,
    saves=SAVES_NM,
    fits=check_groups,
    measures=prove_groups,
)
def wanda_nm(weight: Tensor, *, input_norm: Tensor, keep: Keep = 2, of: Of = 4) -> Tensor:
    """Keep, of every few neighbouring inputs of an output, those with the largest |weight| × norm of their input.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        input_norm: L2 norm of each input feature over the calibration tokens, shape (in,).
        keep: weights that stay in each group, fewer than `of`. The sparsity is 1 − keep / of.
        of: size of a group, a divisor of the input features of every layer. Of equal scores the first go.

    Returns:
        A new weight of the same shape and type.

    Source:
        Section 3, "structured N:M sparsity".
    """
    return zero_in_groups(weight, score(weight, input_norm), keep, of)


def score(weight: Tensor, input_norm: Tensor) -> Tensor:
    """|weight| × input norm, in the precision of the norm (float32 at least)."""
    return weight.abs().to(input_norm.dtype) * input_norm
