"""Quantisation by torchao: weights packed by its kernels, tried, counted and made known to transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from fairsqueeze.compress.encoding import packed_bytes
from fairsqueeze.errors import ModelError
from fairsqueeze.models.anatomy import WeightRef, weight_matrices
from fairsqueeze.models.matrices import linear_layers
from fairsqueeze.models.model import Model
from fairsqueeze.models.packed import floats_of, is_packed
from fairsqueeze.models.quiet import quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INSTALL = "Install it: pip install 'fairsqueeze[torchao]'"
PLAIN = "Use rtn, gptq or awq, which simulate it on any machine."
SAVES = "three quarters of the memory of these weights, on disk as well (a tied embedding stays); {}"
REQUIRES = "torchao (pip install 'fairsqueeze[torchao]') and torch's own linear layers: GPT-2's Conv1D is refused"
SOURCE = "torchao, github.com/pytorch/ao: {}"


def check_library(refs: Sequence[WeightRef], *, model: Model) -> None:
    """ModelError where torchao is not installed, or a layer of `model` is none that it packs."""
    stored_otherwise = [ref.name for ref in refs if ref.transposed]
    if stored_otherwise:
        raise ModelError(
            f"{stored_otherwise[0]} of {model.reference} is no torch Linear, and torchao packs nothing else.", PLAIN
        )
    library()


def library() -> Any:
    """torchao's module of quantisation. Raises ModelError where it is not installed."""
    try:
        with quiet_transformers():
            import torchao.quantization
    except ImportError:
        raise ModelError("torchao is not installed.", INSTALL) from None
    return torchao.quantization


def pack(model: Model, config: Any, *, storable: bool) -> dict[str, Any]:
    """Quantise in place, try it, and tell what is in memory now. Raises ModelError where torchao can't do it here."""
    network = model.network
    refs = weight_matrices(network, "block_linear")
    chosen = {ref.module for ref in refs}
    try:
        library().quantize_(network, config, filter_fn=lambda _, name: name in chosen)
        _try(network)
    except (ImportError, NotImplementedError, AssertionError, RuntimeError) as problem:
        first = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        name = type(config).__name__
        raise ModelError(f"torchao's {name} does not run here ({model.device}): {first}", PLAIN) from problem
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
