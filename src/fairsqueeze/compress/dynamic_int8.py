"""Dynamic int8: torch's own quantised linear layers, whose inputs are rounded as they come."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairsqueeze.compress.torchao_schemes import packed_measured
from fairsqueeze.errors import ModelError
from fairsqueeze.models.anatomy import WeightRef, weight_matrices
from fairsqueeze.models.matrices import is_transposed, weight_of
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


class Int8Linear(nn.Linear):
    """A linear layer with 8-bit weights, run by torch's dynamic int8 kernel (FBGEMM on x86).

    Args:
        weight: floats, shape (out, in).
        bias: of the old layer.
        per_channel: a scale for each output, else one for all.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, per_channel: bool) -> None:
        nn.Module.__init__(self)
        largest = weight.abs().amax(1) if per_channel else weight.abs().amax()[None]
        scale = (largest / 127.5).clamp(min=torch.finfo(torch.float32).eps)
        codes = torch.round(weight / scale[:, None]).clamp_(-128, 127).to(torch.int8)
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.register_buffer("scale", scale)
        kept = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)
        self.register_parameter("bias", kept)
        self.out_features, self.in_features = weight.shape
        self._packed: Any = None

    def forward(self, inputs: Tensor) -> Tensor:
        if self._packed is None:
            self._packed = self._pack()
        return torch.ops.quantized.linear_dynamic(inputs, self._packed, True)

    def _pack(self) -> Any:
        scale: Tensor = self.scale  # type: ignore[assignment]
        with warnings.catch_warnings():  # torch announces that these tensors will go one day
            warnings.simplefilter("ignore")
            if len(scale) == 1:
                weight = torch._make_per_tensor_quantized_tensor(self.weight.detach(), float(scale), 0)
            else:
                zeros = torch.zeros(len(scale), dtype=torch.long)
                weight = torch._make_per_channel_quantized_tensor(self.weight.detach(), scale.double(), zeros, 0)
            return torch.ops.quantized.linear_prepack(weight, None if self.bias is None else self.bias.detach())

    def __getstate__(self) -> dict[str, Any]:
        """Copies pack their weights anew."""
        return {**self.__dict__, "_packed": None}


def check_dynamic(_: Sequence[WeightRef], *, model: Model) -> None:
    """ModelError where torch has no dynamic int8 kernel for this model."""
    if model.device.type != "cpu":
        raise ModelError(f"{model.reference} is on {model.device}.", "dynamic_int8 has kernels for the CPU only.")
    if model.network.dtype != torch.float32:
        raise ModelError(f"{model.reference} is {model.network.dtype}.", "dynamic_int8 needs a model in float32.")
    if torch.backends.quantized.engine in ("none", None):
        raise ModelError("This torch has no quantised kernels.", "Use torchao.int8_dynamic.")


@model_rule(
    "dynamic_int8",
    selects="block_linear",
    packs=True,
    storable=False,
    family="quantisation",
    source="torch.ao.quantization.quantize_dynamic, as in Gonçalves and Strubell 2023, arXiv:2312.05662",
    requires="a CPU, a model in float32, and a torch with quantised kernels",
    fits=check_dynamic,
    saves="half of the memory of these weights (codes are held plain and packed), and time on x86; nothing on disk",
)
def dynamic_int8(model: Model, *, per_channel: bool = False) -> dict[str, Any]:
    """Keep the weights of the blocks as 8-bit integers and round inputs to 8 bits as they come, with torch's kernels.

    Inputs share one scale for a whole batch, so that the few huge activations of a language model cost all others their
    precision; `torchao.int8_dynamic` has a scale for each token.

    Args:
        model: changed in place; float32, on a CPU. It can't be saved: plain transformers has no such layer.
        per_channel: a scale for each output instead of one for the whole matrix.

    Returns:
        `matrices`, `weights`, `zeros`, `sparsity` of the packed weights; `bits_per_weight` of codes and scales, and
        `bits_in_memory`, with the copy that the kernel packs at the first pass; `storable`.

    Source:
        `quantize_dynamic` with its defaults, on the linear layers inside the blocks (Gonçalves and Strubell: on all).
    """
    refs = weight_matrices(model.network, "block_linear")
    scale_bytes = 0
    for ref in refs:
        old = model.network.get_submodule(ref.module)
        weight = weight_of(old).detach()
        weight = (weight.T if is_transposed(old) else weight).contiguous()
        layer = Int8Linear(weight, getattr(old, "bias", None), per_channel)
        model.network.set_submodule(ref.module, layer)
        scale_bytes += 4 * len(layer.scale)  # type: ignore[arg-type]
    measured = packed_measured(model.network, refs)
    measured["bits_per_weight"] += 8 * scale_bytes / measured["weights"]
    measured["bits_in_memory"] = measured["bits_per_weight"] + 8  # the packed copy is one more byte a weight
    return {**measured, "storable": False}
