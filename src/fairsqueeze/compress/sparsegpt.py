"""SparseGPT: pruning in one shot, where the weights that stay make up for those that go."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.cut import SAVES, Sparsity, below, cut_at, drop_count
from fairsqueeze.compress.grid import Grid
from fairsqueeze.compress.surgeon import Begin, Settle, inverse_factor, sweep
from fairsqueeze.registry import Range, weight_rule

Damping = Annotated[float, Range(0, 10, low_open=True)]

SOURCE = (
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
    source=SOURCE,
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
    return sweep(weight, inverse_factor(hessian, damping), prune(weight, hessian, sparsity)).to(weight.dtype)


def prune(weight: Tensor, hessian: Tensor, sparsity: float, grid: Grid | None = None) -> Begin:
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
