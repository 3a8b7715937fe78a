"""Surgeon: weights are zeroed or rounded one input feature at a time, and those still to come make up for the error.

The optimal brain surgeon of SparseGPT and GPTQ: with H the Hessian of a layer's squared output error, setting weight i
to q costs (w − q)² / [H⁻¹]ᵢᵢ, and the other weights, moved by −(w − q) [H⁻¹]ᵢⱼ / [H⁻¹]ᵢᵢ, make it cost no more. In a
fixed order of features all rows share the rows of one Cholesky factor.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fairsqueeze.errors import ModelError

BLOCK = 128
"""Columns that are worked on at a time; the rest of the matrix is caught up after each block. The result does not
depend on it but for rounding."""

Settle = Callable[[int, Tensor], Tensor]
"""(column within the block, its weights now) -> the values that they keep."""
Begin = Callable[[int, Tensor, Tensor], Settle]
"""(first column, weights of the block (out, columns), updated in place as it is worked on, diagonal of the factor for
its columns) -> how each of its columns is settled."""


def inverse_factor(hessian: Tensor, damping: float) -> Tensor:
    """Upper Cholesky factor U of the damped Hessian's inverse, UᵀU = (H + λI)⁻¹, in the Hessian's precision.

    λ = `damping` × mean of H's diagonal; features that were always 0 count as if H were 1 there, as in the reference
    codes. Worked out in float64.

    Raises ModelError where H is not positive definite in spite of the damping.
    """
    precise = hessian.double()
    diagonal = precise.diagonal()
    dead = diagonal == 0
    precise = precise + torch.diag(dead.double() + damping * torch.where(dead, 1.0, diagonal).mean())
    try:
        lower = torch.linalg.cholesky(precise)
        return torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True).to(hessian.dtype)
    except torch.linalg.LinAlgError:
        raise ModelError(
            f"The Hessian of a layer is not positive definite with damping {damping:g}.",
            "Use a larger damping, or more calibration tokens.",
        ) from None


def sweep(weight: Tensor, factor: Tensor, begin: Begin, block: int = BLOCK) -> Tensor:
    """`weight` (out, in) with every column settled in order, each error handed on to the columns after it.

    Args:
        weight: any float type. Not modified.
        factor: of `inverse_factor`; the arithmetic is in its precision.
        begin: called at the first column of each block.
        block: columns of a block.

    Returns a new matrix in the precision of `factor`.
    """
    left = weight.to(factor.dtype, copy=True)
    for start in range(0, left.shape[1], block):
        stop = min(start + block, left.shape[1])
        here, own = left[:, start:stop], factor[start:stop, start:stop]
        settle = begin(start, here, own.diagonal())
        errors = torch.empty_like(here)
        for column in range(stop - start):
            now = here[:, column]
            kept = settle(column, now)
            errors[:, column] = (now - kept) / own[column, column]
            here[:, column] = kept
            here[:, column + 1 :].addr_(errors[:, column], own[column, column + 1 :], alpha=-1)
        left[:, stop:].addmm_(errors, factor[start:stop, stop:], alpha=-1)
    return left
