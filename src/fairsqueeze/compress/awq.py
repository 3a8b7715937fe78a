"""AWQ: rounding on a grid that is finer where inputs are large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.grid import SCALE_BITS, Bits, Group, check_bits, fit_grid, in_groups, total_bits
from fairsqueeze.errors import NonFinite
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.models.matrices import oriented_shape
from fairsqueeze.registry import Range, weight_rule

_LEAST, _MOST = 1e-4, 6e4


def scaled_bits(refs: Sequence[WeightRef], *, bits: int, group: int | None, symmetric: bool) -> dict[str, Any]:
    """`bits_per_weight`, with a float16 scale for every input feature beside those of the groups."""
    total = total_bits(refs, bits=bits, group=group, symmetric=symmetric)
    total += sum(SCALE_BITS * oriented_shape(ref)[1] for ref in refs)
    return {"bits_per_weight": total / sum(ref.parameter.numel() for ref in refs)}


@weight_rule(
    "awq",
    selects="block_linear",
    needs={"input_mean_abs", "hessian"},
    calibration=calibrate,
    requires=REQUIRES,
    simulated=True,
    family="quantisation",
    source="Lin et al. 2023, AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration, "
    "arXiv:2306.00978",
    saves="nothing by itself: the rounded weights are stored as floats; bits_per_weight says what packing would take, "
    "a 16-bit scale for every input feature included",
    fits=check_bits,
    measures=scaled_bits,
)
def awq(
    weight: Tensor,
    *,
    input_mean_abs: Tensor,
    hessian: Tensor,
    bits: Bits = 4,
    group: Group | None = None,
    symmetric: bool = True,
    steps: Annotated[int, Range(1, 1000)] = 20,
) -> Tensor:
    """Round w · s and divide by s, the scale s of an input feature growing with its mean magnitude.

    s = mean^α, with the α in [0, 1) whose rounded weights change the layer's outputs least on the calibration tokens;
    α = 0 is plain rounding, so that it never does worse there. Weights that are zero stay zero.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        input_mean_abs: mean magnitude of each input feature over the calibration tokens, shape (in,).
        hessian: 2/n · XᵀX over the calibration tokens, shape (in, in).
        bits: of each weight, 2 to 8.
        group: how many neighbouring input features of one output share a scale, a divisor of the input features of
            every layer; none is all of them.
        symmetric: 2^bits − 1 values from −max|w| to max|w|; else 2^bits values from the least to the largest weight.
        steps: how many α are tried: 0, 1/steps, 2/steps, …

    Returns:
        A new weight of the same shape and type.

    Raises NonFinite where no α has an error that is a number.

    Source:
        Equations 4 and 5; scales are normed by √(max · min) as in its code. The paper folds s into the layer before, so
        that layers with the same input must share it, and clips weights; here each layer has its own, kept beside its
        weights (simulated, and counted in the bits), and nothing is clipped.
    """
    exact = weight.to(hessian.dtype)
    best, least = None, float("inf")
    for step in range(steps):
        scale = input_mean_abs.pow(step / steps).clamp(min=_LEAST)
        scale = (scale / (scale.max() * scale.min()).sqrt()).clamp(_LEAST, _MOST).to(torch.float16).to(hessian.dtype)
        groups = in_groups(exact * scale, group)
        rounded = fit_grid(groups, bits, symmetric).round(groups).flatten(1).to(hessian.dtype) / scale
        change = rounded - exact
        error = float(((change @ hessian) * change).sum(dtype=torch.float64))
        if error < least:
            best, least = rounded, error
    if best is None:
        raise NonFinite(
            "The error that AWQ compares is NaN or infinite with every scale.",
            "Inputs or weights are too large: use rtn, or float32.",
        )
    return best.to(weight.dtype)
