"""Quantisation by torchao: int4 weights in memory, in groups with a scale and offset each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fairsqueeze.compress.torchao_schemes import PLAIN, REQUIRES, SOURCE, check_library, library, pack
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.models.matrices import oriented_shape
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


def check_int4(refs: Sequence[WeightRef], *, model: Model, group: int) -> None:
    """The errors of `check_group` and `check_library`."""
    check_group(refs, group=int(group))
    check_library(refs, model=model)


def check_group(refs: Sequence[WeightRef], *, group: int) -> None:
    """BadSetting, naming layers, where `group` does not divide their input features."""
    sizes = {ref.name: oriented_shape(ref)[1] for ref in refs}
    misfits = [name for name, features in sizes.items() if features % group]
    if misfits:
        fitting = [size for size in (128, 64, 32) if not any(features % size for features in sizes.values())]
        remedy = f"Set group to {fitting[0]}." if fitting else f"No group fits all layers. {PLAIN}"
        raise BadSetting(f"group {group} does not divide the input features of {', '.join(misfits[:3])}.", remedy)


@model_rule(
    "torchao.int4_weight_only",
    selects="block_linear",
    packs=True,
    storable=False,
    family="torchao",
    source=SOURCE.format("Int4WeightOnlyConfig; on a CPU its prototype for torch's int4 kernel"),
    saves="four fifths of the memory of these weights, nothing on disk; no time on a CPU: in float32 the kernel is a "
    "slow reference",
    requires=f"{REQUIRES}; on a CPU torchao's prototype (0.18)",
    fits=check_int4,
)
def int4_weight_only(model: Model, *, group: Annotated[Literal[32, 64, 128], "group"] = 64) -> dict[str, Any]:
    """Keep the weights of the blocks as 4-bit integers with a scale and offset for each group; inputs stay floats.

    Zero is no value of the grid, so that a pruned model loses its zeros.

    Args:
        model: changed in place. It can't be saved: torchao has no file format for the CPU's packing.
        group: how many neighbouring input features of one output share a scale: 32, 64 or 128, a divisor of the input
            features of every layer.

    Returns: as `torchao.int8_dynamic`.

    Source:
        torchao's own quantisation (tinygemm), on the linear layers inside the blocks; packed for the CPU in torchao's
        prototype, for CUDA as tiles, which needs bfloat16.
    """
    return pack(model, _int4_config(model, int(group)), storable=False)


def _int4_config(model: Model, group: int) -> Any:
    from_library = library()
    if model.device.type != "cpu":
        return from_library.Int4WeightOnlyConfig(
            group_size=group, int4_packing_format="tile_packed_to_4d", set_inductor_config=False
        )
    try:
        from torchao.prototype.quantization.int4.inference_workflow import PrototypeInt4WeightOnlyConfig
    except ImportError:
        raise ModelError(
            "The installed torchao has no 4-bit weights for the CPU (its prototype is missing).",
            f"Use torchao 0.18. {PLAIN}",
        ) from None
    return PrototypeInt4WeightOnlyConfig(group_size=group, set_inductor_config=False)
