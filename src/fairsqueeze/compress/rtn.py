"""Round to nearest: every weight becomes the closest of 2^bits evenly spaced values; the floor for quantisation."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.grid import Bits, Group, bits_measured, check_bits, fit_grid, in_groups
from fairsqueeze.registry import weight_rule


@weight_rule(
    "rtn",
    selects="linear",
    family="quantisation",
    simulated=True,
    source="round to nearest: the usual floor; Frantar et al. 2022 (GPTQ, arXiv:2210.17323), section 4, 'RTN'",
    saves="nothing by itself: the rounded weights are stored as floats; bits_per_weight says what packing would take",
    fits=check_bits,
    measures=bits_measured,
)
def rtn(weight: Tensor, *, bits: Bits = 8, group: Group | None = None, symmetric: bool = True) -> Tensor:
    """Round the weights of every linear layer to the nearest of a few evenly spaced values.

    A weight that is zero stays zero, so that a pruned model keeps its sparsity. `bits_per_weight` counts float16 scales
    and zero points; `…_relative_error` is ‖rounded − weight‖ / ‖weight‖ of a layer (Frobenius).

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        bits: of each weight, 2 to 8.
        group: how many neighbouring input features of one output feature share a scale, a divisor of the input features
            of every layer; none is all of them ("per channel").
        symmetric: 2^bits − 1 values from −max|w| to max|w|; else 2^bits values from the least to the largest weight.

    Returns:
        A new weight of the same shape and type.

    Source:
        The comparison in the GPTQ paper. Here scales are float16 also in the arithmetic; output heads that are not tied
        to the embedding, poolers and classifiers are linear layers and rounded too.
    """
    groups = in_groups(weight, group)
    return fit_grid(groups, bits, symmetric).round(groups).flatten(1).to(weight.dtype)
