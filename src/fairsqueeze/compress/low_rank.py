"""Low rank: every weight is replaced by the nearest matrix of fewer dimensions, by itself or on the inputs it gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.models.matrices import oriented_shape
from fairsqueeze.registry import Range, weight_rule

Rank = Annotated[float, Range(0, 1, low_open=True)]
Energy = Annotated[float, Range(0, 1, low_open=True)]

_HALF = 0.5
_SAVES = (
    "nothing by itself: the product of the two factors is stored as one dense matrix; factor_parameters says what the "
    "factors would take"
)


def check_one(_: Sequence[WeightRef], *, rank: float | None, energy: float | None) -> None:
    """BadSetting where both rank and energy are given."""
    if rank is not None and energy is not None:
        raise BadSetting(f"rank is {rank:g} and energy {energy:g}: either decides alone.", "Give one of them.")


def factors_measured(refs: Sequence[WeightRef]) -> dict[str, Any]:
    """What rank the matrices have now, by their singular values, and what two factors of them would take.

    Returns:
        `mean_rank_share`, `lowest_rank_share`, `highest_rank_share` over layers of rank / min(out, in);
        `factor_parameters`: the numbers in two factors, rank × (out + in), or in the matrix where that is fewer, and
        `factor_share` of the numbers in all matrices.
    """
    shares, numbers, all_numbers = [], 0, 0
    for ref in refs:
        out, features = oriented_shape(ref)
        rank = measured_rank(ref.parameter.detach())
        shares.append(rank / min(out, features))
        numbers += min(rank * (out + features), out * features)
        all_numbers += out * features
    return {
        "mean_rank_share": sum(shares) / len(shares),
        "lowest_rank_share": min(shares),
        "highest_rank_share": max(shares),
        "factor_parameters": numbers,
        "factor_share": numbers / all_numbers,
    }


def measured_rank(matrix: Tensor) -> int:
    """Number of singular values above what rounding the entries to the matrix's own type can bring about.

    Independent errors of root mean square e in all entries have singular values up to e (√rows + √columns); e is taken
    as 4 × the type's epsilon × the root mean square of the entries.
    """
    rows, columns = matrix.shape
    exact = matrix.double()
    size = float(exact.square().mean().sqrt())
    noise = 4 * torch.finfo(matrix.dtype).eps * size * (rows**0.5 + columns**0.5)
    return int((torch.linalg.svdvals(exact) > noise).sum())


@weight_rule(
    "low_rank.svd",
    selects="block_linear",
    family="low_rank",
    simulated=True,
    source="Eckart and Young 1936; Noach and Goldberg 2020, Compressing Pre-trained Language Models by Matrix "
    "Decomposition, AACL",
    saves=_SAVES,
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
    kept = _kept(sizes.square(), rank, energy)
    factor = (left[:, :kept] * sizes[:kept]).double()
    return (factor @ right[:kept].double()).to(weight.dtype)


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
    saves=_SAVES,
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
    kept = _kept(sizes.flip(0).clamp(min=0)[:most], rank, energy)
    left = directions.flip(1)[:, :kept]
    return (left @ (left.T @ exact)).to(weight.dtype)


def _kept(squares: Tensor, rank: float | None, energy: float | None) -> int:
    """How many of the squared singular values, largest first, stay."""
    if energy is None:
        return max(1, round((_HALF if rank is None else rank) * len(squares)))
    up_to = squares.double().cumsum(0)
    enough = up_to >= energy * up_to[-1] * (1 - 1e-12)
    return int(enough.to(torch.int8).argmax()) + 1
