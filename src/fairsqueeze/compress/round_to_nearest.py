"""Round to nearest: every weight becomes the closest of 2^bits evenly spaced values; the floor for quantisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fairsqueeze.compress.grid import Bits, Group, fit_grid, in_groups, most_values, stored_bits
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import WeightRef, weight_matrices
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "rtn",
    selects="linear",
    family="quantisation",
    simulated=True,
    source="round to nearest: the usual floor; Frantar et al. 2022 (GPTQ, arXiv:2210.17323), section 4, 'RTN'",
    saves="nothing by itself: the rounded weights are stored as floats; bits_per_weight says what packing would take",
)
def rtn(model: Model, *, bits: Bits = 8, group: Group | None = None, symmetric: bool = True) -> dict[str, Any]:
    """Round the weights of every linear layer to the nearest of a few evenly spaced values.

    A weight that is zero stays zero, so that a pruned model keeps its sparsity.

    Args:
        model: changed in place; its weights keep their shape and type.
        bits: of each weight, 2 to 8.
        group: how many neighbouring input features of one output feature share a scale, a divisor of the input features
            of every layer; none is all of them ("per channel").
        symmetric: 2^bits − 1 values from −max|w| to max|w|; else 2^bits values from the least to the largest weight.

    Returns:
        `bits_per_weight` of the changed matrices, float16 scales and zero points included; `max_relative_error` and
        `mean_relative_error` over layers of ‖rounded − weight‖ / ‖weight‖ (Frobenius; 0 for a layer of zeros);
        `most_values`: the largest number of different values in any group.

    Raises:
        BadSetting: `group` does not divide the input features of some layers, which are named.
        ModelError: a group holds more values than `bits` allows.

    Source:
        The comparison in the GPTQ paper. Here scales are float16 also in the arithmetic; output heads that are not tied
        to the embedding, poolers and classifiers are linear layers and rounded too.
    """
    refs = weight_matrices(model.network, "linear")
    total = check_fit(refs, bits=bits, group=group, symmetric=symmetric)
    errors, most = [], 0
    for ref in refs:
        stored = ref.parameter.detach()
        weight = in_groups(stored.T if ref.transposed else stored, group)
        rounded = fit_grid(weight, bits, symmetric).round(weight)
        norm = float(torch.linalg.vector_norm(weight))
        errors.append(float(torch.linalg.vector_norm(rounded - weight)) / norm if norm else 0.0)
        matrix = rounded.flatten(1).to(stored.dtype)
        most = max(most, most_values(matrix, group))
        if most > 2**bits:
            raise ModelError(f"rtn: {ref.name} has {most} values in a group.", "This is a fault of the method.")
        stored.copy_(matrix.T if ref.transposed else matrix)
    return {
        "bits_per_weight": total / sum(ref.parameter.numel() for ref in refs),
        "max_relative_error": max(errors),
        "mean_relative_error": sum(errors) / len(errors),
        "most_values": most,
    }


def check_fit(refs: Sequence[WeightRef], *, bits: int, group: int | None, symmetric: bool) -> int:
    """Bits that all these matrices take; BadSetting names the layers whose input features `group` does not divide."""
    total, misfits = 0, {}
    for ref in refs:
        rows, columns = ref.parameter.shape
        shape = (columns, rows) if ref.transposed else (rows, columns)
        try:
            total += stored_bits(shape, bits=bits, group=group, symmetric=symmetric)
        except BadSetting as problem:
            misfits[ref.name] = problem
    if misfits:
        first = next(iter(misfits.values()))
        more = f" and {len(misfits) - 3} more layers" if len(misfits) > 3 else ""
        raise BadSetting(f"{first.message.rstrip('.')} in {', '.join([*misfits][:3])}{more}.", first.remedy)
    return total
