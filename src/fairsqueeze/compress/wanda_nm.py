"""Wanda for n of m: a few of every few neighbours stay, by weights and activations."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.calibration import REQUIRES, calibrate
from fairsqueeze.compress.rows import SAVES_NM, Keep, Of, check_groups, prove_groups, zero_in_groups
from fairsqueeze.compress.wanda import SOURCE, score
from fairsqueeze.registry import weight_rule


@weight_rule(
    "wanda.nm",
    selects="block_linear",
    needs={"input_norm"},
    calibration=calibrate,
    requires=REQUIRES,
    family="wanda",
    source=SOURCE,
    saves=SAVES_NM,
    fits=check_groups,
    measures=prove_groups,
)
def wanda_nm(weight: Tensor, *, input_norm: Tensor, keep: Keep = 2, of: Of = 4) -> Tensor:
    """Keep, of every few neighbouring inputs of an output, those with the largest |weight| × norm of their input.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        input_norm: L2 norm of each input feature over the calibration tokens, shape (in,).
        keep: weights that stay in each group, fewer than `of`. The sparsity is 1 − keep / of.
        of: size of a group, a divisor of the input features of every layer. Of equal scores the first go.

    Returns:
        A new weight of the same shape and type.

    Source:
        Section 3, "structured N:M sparsity".
    """
    return zero_in_groups(weight, score(weight, input_norm), keep, of)
