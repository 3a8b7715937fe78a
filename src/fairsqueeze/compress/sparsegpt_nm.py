"""SparseGPT for n of m: a few of every few neighbours stay, and the weights after them make up for the others."""

from __future__ import annotations

import torch
from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.rows import SAVES_NM, Keep, Of, check_groups, mask_in_groups, prove_groups
from fairsqueeze.compress.sparsegpt import SOURCE, Damping
from fairsqueeze.compress.surgeon import BLOCK, Settle, inverse_factor, sweep
from fairsqueeze.registry import weight_rule


@weight_rule(
    "sparsegpt.nm",
    selects="block_linear",
    needs={"hessian"},
    calibration=calibrate,
    requires=REQUIRES,
    updates=True,
    family="sparsegpt",
    source=SOURCE,
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
