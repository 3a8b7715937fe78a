"""SparseGPT with rounding: one sweep that makes up for the weights that go and for the errors of those that stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.cut import Sparsity, drop_count
from fairsqueeze.compress.grid import Bits, bits_measured, fit_grid, in_groups
from fairsqueeze.compress.sparsegpt import SOURCE, Damping, prune
from fairsqueeze.compress.surgeon import inverse_factor, sweep
from fairsqueeze.errors import ModelError
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.registry import weight_rule


def prove_quantised(refs: Sequence[WeightRef], *, sparsity: float, bits: int) -> dict[str, Any]:
    """As `bits_measured`, symmetric and per output. ModelError if a matrix has fewer zeros than `sparsity` means."""
    for ref in refs:
        zeros = ref.parameter.numel() - int(torch.count_nonzero(ref.parameter))
        if zeros < drop_count(sparsity, ref.parameter.numel()):
            raise ModelError(
                f"{ref.name} has {zeros:,} zeros, too few for sparsity {sparsity}.",
                "This is a fault of the method; nothing is returned.",
            )
    return bits_measured(refs, bits=bits, group=None, symmetric=True)


@weight_rule(
    "sparsegpt.quantised",
    selects="block_linear",
    needs={"hessian"},
    calibration=calibrate,
    requires=REQUIRES,
    updates=True,
    simulated=True,
    family="sparsegpt",
    source=SOURCE,
    saves="nothing by itself: zeros and rounded weights are stored as floats; bits_per_weight says what packing all of "
    "them would take",
    measures=prove_quantised,
)
def sparsegpt_quantised(
    weight: Tensor, *, hessian: Tensor, sparsity: Sparsity, bits: Bits = 4, damping: Damping = 0.01
) -> Tensor:
    """Prune as `sparsegpt` and round what stays to a few evenly spaced values, making up for both in one sweep.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        hessian: 2/n · XᵀX over the calibration tokens, shape (in, in).
        sparsity: share of the weights that pruning zeroes, in [0, 1), to the nearest weight; rounding may zero more.
        bits: of each weight that stays; 2^bits − 1 values from −max|w| to max|w| of each output.
        damping: λ = damping × mean of the Hessian's diagonal is added to it.

    Returns:
        A new weight of the same shape and type.

    Source:
        Section 3.5, "joint sparsification and quantization", and its code (wbits). Its grid is asymmetric; here it is
        symmetric and its scale a float16.
    """
    grid = fit_grid(in_groups(weight, None), bits, symmetric=True)
    swept = sweep(weight, inverse_factor(hessian, damping), prune(weight, hessian, sparsity, grid))
    return swept.to(weight.dtype)
