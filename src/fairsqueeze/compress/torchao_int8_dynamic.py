"""Quantisation by torchao: int8 weights in memory, multiplied with inputs rounded token by token."""

from __future__ import annotations

from typing import Any

from fairsqueeze.compress.torchao_schemes import REQUIRES, SAVES, SOURCE, check_library, library, pack
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "torchao.int8_dynamic",
    selects="block_linear",
    packs=True,
    family="torchao",
    source=SOURCE.format("Int8DynamicActivationInt8WeightConfig"),
    saves=SAVES.format("time where batches are long enough to pay for rounding the inputs"),
    requires=REQUIRES,
    fits=check_library,
)
def int8_dynamic(model: Model) -> dict[str, Any]:
    """Keep the weights of the blocks as 8-bit integers and round inputs to 8 bits, token by token, as they come.

    Args:
        model: changed in place. Saved and loaded by plain transformers where torchao is installed.

    Returns:
        `matrices`, `weights`, `zeros`, `sparsity` of the packed weights; `bits_per_weight`, counted on the tensors in
        memory; `storable`.

    Source:
        torchao's own quantisation and kernels, on the linear layers inside the blocks.
    """
    from_library = library()
    return pack(model, from_library.Int8DynamicActivationInt8WeightConfig(set_inductor_config=False), storable=True)
