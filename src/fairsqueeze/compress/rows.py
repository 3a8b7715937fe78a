"""Rows: the weights of least score go from every output row, the same number from each, or from every small group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.compress.cut import drop_count
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.models.matrices import oriented_shape
from fairsqueeze.registry import Range

Keep = Annotated[int, Range(1, 64)]
Of = Annotated[int, Range(2, 64)]

SAVES_NM = (
    "nothing by itself: the zeros are stored and multiplied; hardware that knows the pattern (2 of 4: NVIDIA from "
    "Ampere on) can skip them once a kernel packs the weights"
)


def zero_in_rows(weight: Tensor, score: Tensor, sparsity: float) -> Tensor:
    """A copy of `weight` (out, in) with this share of every row zero, those of least score; of equal ones the first.

    Weights that are zero already go first. score: not negative, of the same shape.
    """
    count = drop_count(sparsity, weight.shape[1])
    order = zeros_first(weight, score).argsort(dim=1, stable=True)
    return weight.scatter(1, order[:, :count], 0.0)


def zero_in_groups(weight: Tensor, score: Tensor, keep: int, of: int) -> Tensor:
    """A copy of `weight` (out, in) in which, of every `of` neighbouring inputs, all but `keep` are zero."""
    return weight.masked_fill(mask_in_groups(zeros_first(weight, score), keep, of), 0.0)


def mask_in_groups(score: Tensor, keep: int, of: int) -> Tensor:
    """Boolean mask of the `of` − `keep` least scores in every `of` neighbouring columns; of equal ones the first."""
    groups = score.reshape(score.shape[0], -1, of)
    order = groups.argsort(dim=-1, stable=True)[..., : of - keep]
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, order, True)
    return mask.reshape(score.shape)


def zeros_first(weight: Tensor, score: Tensor) -> Tensor:
    """`score`, but −1 where `weight` is zero already, below any score."""
    return score.masked_fill(weight == 0, -1.0)


def check_groups(refs: Sequence[WeightRef], *, keep: int, of: int) -> None:
    """BadSetting unless `keep` is below `of`, and `of` divides the input features of every layer."""
    if keep >= of:
        raise BadSetting(f"keep is {keep} of {of}.", "keep must be smaller than of, as in keep=2 of=4.")
    misfits = [ref.name for ref in refs if oriented_shape(ref)[1] % of]
    if misfits:
        more = f" and {len(misfits) - 3} more layers" if len(misfits) > 3 else ""
        raise BadSetting(
            f"of={of} does not divide the input features of {', '.join(misfits[:3])}{more}.",
            "Set of to a divisor of them, such as 4.",
        )


def prove_groups(refs: Sequence[WeightRef], *, keep: int, of: int) -> dict[str, Any]:
    """`keep`, `of` and `groups`: how many there are, each looked at. ModelError if one keeps more than `keep`."""
    groups = 0
    for ref in refs:
        weight = ref.parameter.detach()
        kept = (weight.T if ref.transposed else weight).reshape(-1, of).count_nonzero(dim=1)
        groups += len(kept)
        if int(kept.max()) > keep:
            raise ModelError(
                f"{ref.name} keeps {int(kept.max())} weights of {of} in a group, not {keep}.",
                "This is a fault of the method; nothing is returned.",
            )
    return {"keep": keep, "of": of, "groups": groups}
