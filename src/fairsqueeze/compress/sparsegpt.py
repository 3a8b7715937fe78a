"""SparseGPT: pruning in one shot, where the weights that stay make up for those that go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.cut import SAVES, Sparsity, below, cut_at, drop_count
from fairsqueeze.compress.grid import Bits, Grid, bits_measured, fit_grid, in_groups
from fairsqueeze.compress.rows import (
    SAVES_NM,
    Keep,
    Of,
    check_groups,
    mask_in_groups,
    prove_groups,
)
from fairsqueeze.compress.surgeon import BLOCK, Begin, Settle, inverse_factor, sweep
from fairsqueeze.errors import ModelError
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.registry import Range, weight_rule

Damping = Annotated[float, Range(0, 10, low_open=True)]

_SOURCE = (
    "Frantar and Alistarh 2023, SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot, "
    "arXiv:2301.00774"
)


@weight_rule(
    "sparsegpt",
    selects="block_linear",
    needs={"hessian"},
    calibration=calibrate,
    requires=REQUIRES,
    exact_over="matrix",
    updates=True,
    family="sparsegpt",
    source=_SOURCE,
    saves=SAVES,
)
def sparsegpt(weight: Tensor, *, hessian: Tensor, sparsity: Sparsity, damping: Damping = 0.01) -> Tensor:
    """Zero the weights that a layer's outputs need least, and move the others so that they make up for them.

    Columns are worked on in order, 128 at a time; in each such block those weights go whose w² / [H⁻¹] is least, over
    all rows, and each error is handed on to the columns after it. Weights that are zero stay so and count.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        hessian: 2/n · XᵀX over the calibration tokens, shape (in, in).
        sparsity: share of the weights that are zero afterwards, in [0, 1), to the nearest whole weight of the matrix,
            and of each block of columns but for one.
        damping: λ = damping × mean of the Hessian's diagonal is added to it.

    Returns:
        A new weight of the same shape and type.

    Source:
        Algorithm 1 with B = Bs = 128, and its code. The code zeroes weights equal to the threshold as well, one a block
        too many; here the number is exact. It also zeroes all weights of inputs that are always 0; here these go first.
    """
    return sweep(weight, inverse_factor(hessian, damping), _prune(weight, hessian, sparsity)).to(weight.dtype)


@weight_rule(
    "sparsegpt.nm",
    selects="block_linear",
    needs={"hessian"},
    calibration=calibrate,
    requires=REQUIRES,
    updates=True,
    family="sparsegpt",
    source=_SOURCE,
    saves=SAVES_NM,
    fits=check_groups,
    measures=prove_groups,
)
def sparsegpt_nm(weight: Tensor, *, hessian: Tensor, keep: Keep = 2, of: Of = 4, damping: Damping = 0.01) -> Tensor:
    """Keep a few of every few neighbouring inputs of an output, and move the weights after them to make up for it.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        hessian: 2/n · XᵀX over the calibration tokens, shape (in, in).
        keep: weights that stay in each group, fewer than `of`: those of largest w² / [H⁻¹] once the groups before
            are done. The sparsity is 1 − keep / of.
        of: size of a group, a divisor of the input features of every layer. Of equal scores the first go.
        damping: λ = damping × mean of the Hessian's diagonal is added to it.

    Returns:
        A new weight of the same shape and type.

    Source:
        Section 3.5, "semi-structured sparsity", and its code (prunen, prunem), which zeroes all weights of inputs that
        are always 0; here these go first.
    """
    old_zeros, dead = weight == 0, hessian.diagonal() == 0

    def begin(start: int, here: Tensor, diagonal: Tensor) -> Settle:
        gone = torch.empty_like(here, dtype=torch.bool)

        def settle(column: int, now: Tensor) -> Tensor:
            if column % of == 0:
                group, whole = slice(column, column + of), slice(start + column, start + column + of)
                score = (here[:, group] / diagonal[group]).square().masked_fill(dead[whole], -1.0)
                score = score.masked_fill(old_zeros[:, whole], -2.0)
                gone[:, group] = mask_in_groups(score, keep, of) | old_zeros[:, whole]
            return now.masked_fill(gone[:, column], 0.0)

        return settle

    block = of * max(1, BLOCK // of)
    return sweep(weight, inverse_factor(hessian, damping), begin, block).to(weight.dtype)


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
    source=_SOURCE,
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
    swept = sweep(weight, inverse_factor(hessian, damping), _prune(weight, hessian, sparsity, grid))
    return swept.to(weight.dtype)


def _prune(weight: Tensor, hessian: Tensor, sparsity: float, grid: Grid | None = None) -> Begin:
    """Settle each block by zeroing what costs least in it, and rounding the rest to `grid` if there is one."""
    old_zeros, dead = weight == 0, hessian.diagonal() == 0
    budget = _Budget(old_zeros, sparsity)

    def begin(start: int, here: Tensor, diagonal: Tensor) -> Settle:
        columns = slice(start, start + here.shape[1])
        zeros, least = old_zeros[:, columns], torch.finfo(here.dtype).tiny
        score = (here / diagonal).square() + 2 * least
        score = score.masked_fill(dead[columns], least).masked_fill(zeros, 0.0)  # zeros go first, then the dead
        count = budget.take(start, here.shape[1])
        gone = below(score, cut_at([score], count))[0] if count else torch.zeros_like(zeros)

        def settle(column: int, now: Tensor) -> Tensor:
            kept = now if grid is None else grid.round(now[:, None, None]).flatten()
            return kept.masked_fill(gone[:, column], 0.0)

        return settle

    return begin


class _Budget:
    """How many weights go in each block of columns: its share, so that the whole matrix has its exact number.

    Zeros that were there before count, and a block that has more than its share keeps them at the cost of the others.
    """

    def __init__(self, old_zeros: Tensor, sparsity: float) -> None:
        self._rows = old_zeros.shape[0]
        self._sparsity = sparsity
        by_column = old_zeros.sum(0)
        self._zeros_before = [0, *by_column.cumsum(0).tolist()]
        self._total = max(int(by_column.sum()), drop_count(sparsity, old_zeros.numel()))
        self._done = 0

    def take(self, start: int, width: int) -> int:
        """Of the columns from `start` to `start + width`, once each, in order."""
        stop = start + width
        own = self._zeros_before[stop] - self._zeros_before[start]
        later = self._zeros_before[-1] - self._zeros_before[stop]
        share = drop_count(self._sparsity, self._rows * stop) - self._done
        count = max(own, min(share, self._total - self._done - later))
        self._done += count
        return count
