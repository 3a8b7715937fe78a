"""GPTQ: rounding one input feature at a time, where the weights still to come make up for the error."""

from __future__ import annotations

import torch
from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.grid import Bits, Grid, Group, bits_measured, check_bits, fit_grid, in_groups
from fairsqueeze.compress.sparsegpt import Damping
from fairsqueeze.compress.surgeon import BLOCK, Begin, Settle, inverse_factor, sweep
from fairsqueeze.registry import weight_rule


@weight_rule(
    "gptq",
    selects="block_linear",
    needs={"hessian"},
    calibration=calibrate,
    requires=REQUIRES,
    simulated=True,
    family="quantisation",
    source="Frantar et al. 2022, GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, "
    "arXiv:2210.17323",
    saves="nothing by itself: the rounded weights are stored as floats; bits_per_weight says what packing would take",
    fits=check_bits,
    measures=bits_measured,
)
def gptq(
    weight: Tensor,
    *,
    hessian: Tensor,
    bits: Bits = 4,
    group: Group | None = None,
    symmetric: bool = True,
    act_order: bool = False,
    damping: Damping = 0.01,
) -> Tensor:
    """Round the weights of every layer so that its outputs change least: each error is made up for by later weights.

    A weight that is zero stays zero, so that a pruned model keeps its sparsity.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        hessian: 2/n · XᵀX over the calibration tokens, shape (in, in).
        bits: of each weight, 2 to 8.
        group: how many neighbouring input features of one output share a scale, a divisor of the input features of
            every layer; none is all of them. Scales are fitted to the weights as they are when a group is reached.
        symmetric: 2^bits − 1 values from −max|w| to max|w|; else 2^bits values from the least to the largest weight.
        act_order: features with large inputs first. Groups stay neighbours, so that no order has to be stored: their
            scales are then fitted to the weights as given.
        damping: λ = damping × mean of the Hessian's diagonal is added to it.

    Returns:
        A new weight of the same shape and type.

    Source:
        Algorithm 1 with B = 128, and its code; act_order with groups is its `static_groups`. The code takes the scales
        of a group within a block from weights that lack the block's own updates; here they have them.
    """
    order = torch.argsort(hessian.diagonal(), descending=True, stable=True) if act_order else None
    old_zeros, size = weight == 0, group or weight.shape[1]
    if order is None:
        begin = _grids_on_the_way(weight, old_zeros, size, bits, symmetric)
        block = size * max(1, BLOCK // size) if group else BLOCK
        return sweep(weight, inverse_factor(hessian, damping), begin, block).to(weight.dtype)
    grid = fit_grid(in_groups(weight, group), bits, symmetric)
    begin = _grids_given(grid, order // size, old_zeros[:, order])
    swept = sweep(weight[:, order], inverse_factor(hessian[order][:, order], damping), begin)
    return swept[:, torch.argsort(order)].to(weight.dtype)


def _grids_on_the_way(weight: Tensor, old_zeros: Tensor, size: int, bits: int, symmetric: bool) -> Begin:
    """A new grid whenever a column is the first of its group; blocks hold whole groups, or one group all blocks."""
    current = [fit_grid(in_groups(weight, None), bits, symmetric)]

    def begin(start: int, here: Tensor, _: Tensor) -> Settle:
        def settle(column: int, now: Tensor) -> Tensor:
            if (start + column) % size == 0 and start + column + size <= start + here.shape[1]:
                current[0] = fit_grid(here[:, None, column : column + size], bits, symmetric)
            rounded = current[0].round(now[:, None, None]).flatten()
            return rounded.masked_fill(old_zeros[:, start + column], 0.0)

        return settle

    return begin


def _grids_given(grid: Grid, group_of: Tensor, old_zeros: Tensor) -> Begin:
    """Column i is rounded by the grid of group `group_of[i]`."""
    groups = group_of.tolist()

    def begin(start: int, _: Tensor, __: Tensor) -> Settle:
        def settle(column: int, now: Tensor) -> Tensor:
            rounded = grid.only(groups[start + column]).round(now[:, None, None]).flatten()
            return rounded.masked_fill(old_zeros[:, start + column], 0.0)

        return settle

    return begin
