"""Low rank: every weight is replaced by the matrix of fewer dimensions that is nearest on the inputs it gets."""

from __future__ import annotations

import torch
from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.low_rank import SAVES, Energy, Rank, check_one, factors_measured, kept_rank
from fairsqueeze.registry import weight_rule


@weight_rule(
    "low_rank.activation",
    selects="block_linear",
    needs={"hessian"},
    calibration=calibrate,
    requires=REQUIRES,
    family="low_rank",
    simulated=True,
    source="Wang et al. 2024, SVD-LLM: Truncation-aware Singular Value Decomposition, arXiv:2403.07378, after Yuan et "
    "al. 2023, ASVD, arXiv:2312.05821",
    saves=SAVES,
    fits=check_one,
    measures=factors_measured,
)
def low_rank_activation(
    weight: Tensor, *, hessian: Tensor, rank: Rank | None = None, energy: Energy | None = None
) -> Tensor:
    """Replace every weight by the matrix of lower rank whose outputs on the calibration tokens are nearest to its own.

    With X the inputs, W X = UΣVᵀ; the best matrix of rank r is U_r U_rᵀ W, U_r the first r directions of the outputs.

    Args:
        weight: linear weight inside a block, shape (out, in), any float type. Not modified.
        hessian: 2/n · XᵀX over the calibration tokens, shape (in, in).
        rank: share of min(out, in) that is left, in (0, 1], to the nearest whole number but at least 1. A
            half if neither rank nor energy is given.
        energy: in place of `rank`: the least rank whose outputs make up this share of the squared size of all outputs.

    Returns:
        A new weight of the same shape and type: the product of the two factors.

    Source:
        Section 3.1. SVD-LLM whitens X by the Cholesky factor S of XXᵀ, cuts off the SVD of W S and undoes S; U is the
        same as here, where it comes from W XXᵀ Wᵀ, so that nothing needs to be inverted. No update of later layers.
    """
    exact = weight.double()
    outputs = exact @ hessian.double() @ exact.T
    sizes, directions = torch.linalg.eigh((outputs + outputs.T) / 2)
    most = min(weight.shape)
    kept = kept_rank(sizes.flip(0).clamp(min=0)[:most], rank, energy)
    left = directions.flip(1)[:, :kept]
    return (left @ (left.T @ exact)).to(weight.dtype)
