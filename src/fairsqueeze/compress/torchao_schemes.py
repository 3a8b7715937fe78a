"""Quantisation by torchao: int8 and int4 weights in memory, multiplied by real kernels where this machine has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch

from fairsqueeze.compress.encoding import packed_bytes
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import WeightRef, weight_matrices
from fairsqueeze.models.matrices import linear_layers, oriented_shape
from fairsqueeze.models.model import Model
from fairsqueeze.models.packed import floats_of, is_packed
from fairsqueeze.models.quiet import quiet_transformers
from fairsqueeze.registry import model_rule

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INSTALL = "Install it: pip install 'fairsqueeze[torchao]'"
_PLAIN = "Use rtn, gptq or awq, which simulate it on any machine."
_SAVES = "three quarters of the memory of these weights, on disk as well (a tied embedding stays); {}"
_REQUIRES = "torchao (pip install 'fairsqueeze[torchao]') and torch's own linear layers: GPT-2's Conv1D is refused"
_SOURCE = "torchao, github.com/pytorch/ao: {}"


def check_library(refs: Sequence[WeightRef], *, model: Model) -> None:
    """ModelError where torchao is not installed, or a layer of `model` is none that it packs."""
    stored_otherwise = [ref.name for ref in refs if ref.transposed]
    if stored_otherwise:
        raise ModelError(
            f"{stored_otherwise[0]} of {model.reference} is no torch Linear, and torchao packs nothing else.", _PLAIN
        )
    _library()


@model_rule(
    "torchao.int8_weight_only",
    selects="block_linear",
    packs=True,
    family="torchao",
    source=_SOURCE.format("Int8WeightOnlyConfig"),
    saves=_SAVES.format("no time in float32: weights are turned back into floats at each use"),
    requires=_REQUIRES,
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
    from_library = _library()
    return _pack(model, from_library.Int8WeightOnlyConfig(set_inductor_config=False), storable=True)


@model_rule(
    "torchao.int8_dynamic",
    selects="block_linear",
    packs=True,
    family="torchao",
    source=_SOURCE.format("Int8DynamicActivationInt8WeightConfig"),
    saves=_SAVES.format("time where batches are long enough to pay for rounding the inputs"),
    requires=_REQUIRES,
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
    from_library = _library()
    return _pack(model, from_library.Int8DynamicActivationInt8WeightConfig(set_inductor_config=False), storable=True)


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
        remedy = f"Set group to {fitting[0]}." if fitting else f"No group fits all layers. {_PLAIN}"
        raise BadSetting(f"group {group} does not divide the input features of {', '.join(misfits[:3])}.", remedy)


@model_rule(
    "torchao.int4_weight_only",
    selects="block_linear",
    packs=True,
    storable=False,
    family="torchao",
    source=_SOURCE.format("Int4WeightOnlyConfig; on a CPU its prototype for torch's int4 kernel"),
    saves="four fifths of the memory of these weights, nothing on disk; no time on a CPU: in float32 the kernel is a "
    "slow reference",
    requires=f"{_REQUIRES}; on a CPU torchao's prototype (0.18)",
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
    return _pack(model, _int4_config(model, int(group)), storable=False)


def _int4_config(model: Model, group: int) -> Any:
    from_library = _library()
    if model.device.type != "cpu":
        return from_library.Int4WeightOnlyConfig(
            group_size=group, int4_packing_format="tile_packed_to_4d", set_inductor_config=False
        )
    try:
        from torchao.prototype.quantization.int4.inference_workflow import PrototypeInt4WeightOnlyConfig
    except ImportError:
        raise ModelError(
            "The installed torchao has no 4-bit weights for the CPU (its prototype is missing).",
            f"Use torchao 0.18. {_PLAIN}",
        ) from None
    return PrototypeInt4WeightOnlyConfig(group_size=group, set_inductor_config=False)


def _library() -> Any:
    """torchao's module of quantisation. Raises ModelError where it is not installed."""
    try:
        with quiet_transformers():
            import torchao.quantization
    except ImportError:
        raise ModelError("torchao is not installed.", INSTALL) from None
    return torchao.quantization


def _pack(model: Model, config: Any, *, storable: bool) -> dict[str, Any]:
    """Quantise in place, try it, and tell what is in memory now. Raises ModelError where torchao can't do it here."""
    network = model.network
    refs = weight_matrices(network, "block_linear")
    chosen = {ref.module for ref in refs}
    try:
        _library().quantize_(network, config, filter_fn=lambda _, name: name in chosen)
        _try(network)
    except (ImportError, NotImplementedError, AssertionError, RuntimeError) as problem:
        first = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        name = type(config).__name__
        raise ModelError(f"torchao's {name} does not run here ({model.device}): {first}", _PLAIN) from problem
    if storable:
        _remember(network, config, sorted(linear_layers(network).keys() - chosen))
    return {**packed_measured(network, refs), "storable": storable}


def packed_measured(network: PreTrainedModel, refs: list[WeightRef]) -> dict[str, Any]:
    """`matrices`, `weights`, `zeros`, `sparsity` and `bits_per_weight` of the weights that packed ones now stand for.

    Raises ModelError if one of them is still plain.
    """
    zeros = weights = size = 0
    for ref in refs:
        weight = network.get_submodule(ref.module).get_parameter("weight")
        if not is_packed(weight):
            raise ModelError(f"{ref.name} was left as it is.", "This is a fault of the library; use rtn.")
        zeros += weight.numel() - int(torch.count_nonzero(floats_of(weight)))
        weights += weight.numel()
        size += packed_bytes(weight)
    measured = {"matrices": len(refs), "weights": weights, "zeros": zeros, "sparsity": zeros / weights}
    return {**measured, "bits_per_weight": 8 * size / weights}


def _try(network: PreTrainedModel) -> None:
    ids = torch.arange(4, device=network.device)[None]
    network.base_model(input_ids=ids, attention_mask=torch.ones_like(ids))


def _remember(network: PreTrainedModel, config: Any, others: list[str]) -> None:
    """Let transformers know, so that it saves the packed weights and loads them again."""
    from transformers import TorchAoConfig
    from transformers.quantizers.quantizer_torchao import TorchAoHfQuantizer

    known = TorchAoConfig(quant_type=config, modules_to_not_convert=others)
    network.config.quantization_config = known
    network.hf_quantizer = TorchAoHfQuantizer(known, pre_quantized=True)  # type: ignore[assignment]
