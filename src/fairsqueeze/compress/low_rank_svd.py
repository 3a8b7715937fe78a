"""Low rank: every weight is replaced by the nearest matrix of fewer dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from fairsqueeze.compress.low_rank import SAVES, Energy, Rank, check_one, factors_measured, kept_rank
from fairsqueeze.registry import weight_rule


@weight_rule(
    "low_rank.svd",
    selects="block_linear",
    family="low_rank",
    simulated=True,
    source="Eckart and Young 1936; Noach and Goldberg 2020, Compressing Pre-trained Language Models by Matrix "
    "Decomposition, AACL",
    saves=SAVES,
    fits=check_one,
    measures=factors_measured,
)
def low_rank_svd(weight: Tensor, *, rank: Rank | None = None, energy: Energy | None = None) -> Tensor:
    """Replace every weight by the nearest matrix of lower rank (Frobenius), UΣVᵀ cut off.

    Args:
        weight: linear weight inside a block, shape (out, in), any float type. Not modified.
        rank: share of min(out, in) that is left, in (0, 1], to the nearest whole number but at least 1. Two factors are
            smaller than a square matrix only below 0.5.
            A half if neither rank nor energy is given.
        energy: in place of `rank`: the least rank whose squared singular values have this share.

    Returns:
        A new weight of the same shape and type: the product of the two factors.

    Source:
        Truncated singular value decomposition, without the paper's distillation afterwards.
    """
    left, sizes, right = torch.linalg.svd(weight.float(), full_matrices=False)
    kept = kept_rank(sizes.square(), rank, energy)
    factor = (left[:, :kept] * sizes[:kept]).double()
    return (factor @ right[:kept].double()).to(weight.dtype)
