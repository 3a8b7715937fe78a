"""Quantisation by torchao: int8 weights in memory, turned back into floats at each use."""

from __future__ import annotations

from typing import Any

from fairsqueeze.compress.torchao_schemes import REQUIRES, SAVES, SOURCE, check_library, library, pack
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "torchao.int8_weight_only",
    selects="block_linear",
    packs=True,
    family="torchao",
    source=SOURCE.format("Int8WeightOnlyConfig"),
    saves=SAVES.format("no time in float32: weights are turned back into floats at each use"),
    requires=REQUIRES,
    fits=check_library,
)
def int8_weight_only(model: Model) -> dict[str, Any]:
    """Keep the weights of the blocks as 8-bit integers with a scale for each output, symmetric; inputs stay floats.

    Args:
        model: changed in place. Saved and loaded by plain transformers where torchao is installed.

    Returns: as `torchao.int8_dynamic`.

    Source:
        torchao's own quantisation and kernels, on the linear layers inside the blocks.
    """
    from_library = library()
    return pack(model, from_library.Int8WeightOnlyConfig(set_inductor_config=False), storable=True)
