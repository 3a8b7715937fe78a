"""Low rank: how many dimensions of a matrix stay, and what rank it has in the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.models.matrices import oriented_shape
from fairsqueeze.registry import Range

Rank = Annotated[float, Range(0, 1, low_open=True)]
Energy = Annotated[float, Range(0, 1, low_open=True)]

_HALF = 0.5
SAVES = (
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


def kept_rank(squares: Tensor, rank: float | None, energy: float | None) -> int:
    """How many of the squared singular values, largest first, stay."""
    if energy is None:
        return max(1, round((_HALF if rank is None else rank) * len(squares)))
    up_to = squares.double().cumsum(0)
    enough = up_to >= energy * up_to[-1] * (1 - 1e-12)
    return int(enough.to(torch.int8).argmax()) + 1
