"""The checkpoint id: a hash of the weights and the config that are really in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import ModelError
from fairsqueeze.spec import canonical_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

VOLATILE = frozenset(
    {
        "_name_or_path",
        "transformers_version",
        "architectures",
        "dtype",
        "torch_dtype",
        "_attn_implementation",
        "attn_implementation",
        "_experts_implementation",
        "experts_implementation",
        "use_cache",
        "return_dict",
        "output_attentions",
        "output_hidden_states",
        "gradient_checkpointing",
    }
)
"""Config entries that say where a model lies or how it is run, not what it is. The precision is in the tensors."""


def fingerprint(network: PreTrainedModel) -> str:
    """16 hex digits that stand for what `network` computes: one changed weight or config entry changes them.

    The sha256 over name, dtype, shape and bytes of every parameter and persistent buffer, sorted by name, and over the
    config without `VOLATILE`. A tied tensor counts once, under all its names. The device plays no part, and saving and
    loading keep the value. Raises ModelError for a tensor without data (left on the meta device).
    """
    groups: dict[Any, tuple[list[str], Any]] = {}
    for name, value in network.state_dict(keep_vars=True).items():
        groups.setdefault(_identity(name, value), ([], value))[0].append(name)
    tensors = sorted(("=".join(sorted(names)), value) for names, value in groups.values())
    with ThreadPoolExecutor(4) as pool:  # hashlib lets go of the interpreter lock
        digests = list(pool.map(lambda entry: _digest(*entry), tensors))
    whole = hashlib.sha256()
    for (name, _), digest in zip(tensors, digests, strict=True):
        whole.update(f"{name}\0{digest}\n".encode())
    whole.update(canonical_json(_finite(stable_config(network))).encode())
    return whole.hexdigest()[:16]


def stable_config(network: PreTrainedModel) -> dict[str, Any]:
    """The config of `network` as plain JSON types, without the entries in `VOLATILE`, at any depth."""
    return _without_volatile(network.config.to_dict())


def _without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _without_volatile(v) for k, v in value.items() if k not in VOLATILE}
    return [_without_volatile(v) for v in value] if isinstance(value, (list, tuple)) else value


def _finite(value: Any) -> Any:
    """Infinities (some configs have them) and foreign types as text, since canonical JSON refuses them."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _identity(name: str, value: Any) -> Any:
    """Equal for two names of one tensor. Empty tensors all have address 0 and are kept apart."""
    import torch

    if not isinstance(value, torch.Tensor) or type(value) not in (torch.Tensor, torch.nn.Parameter):
        return name
    if value.is_meta or value.is_quantized or value.numel() == 0:
        return name
    return (value.device, value.data_ptr(), value.dtype, tuple(value.shape), tuple(value.stride()))


def _digest(name: str, value: Any) -> str:
    total = hashlib.sha256()
    for label, tensor in _plain_tensors(name, value):
        if isinstance(tensor, str):
            total.update(f"{label}\0{tensor}\0".encode())
            continue
        total.update(f"{label}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(_bytes(tensor))
    return total.hexdigest()


def _plain_tensors(name: str, value: Any) -> Iterator[tuple[str, torch.Tensor | str]]:
    """The ordinary tensors that `value` is made of: quantised and subclassed ones are taken apart."""
    import torch

    if not isinstance(value, torch.Tensor):
        if isinstance(value, (tuple, list)):
            for index, part in enumerate(value):
                yield from _plain_tensors(f"{name}[{index}]", part)
        else:
            yield name, repr(value)
    elif value.is_meta:
        raise ModelError(f"{name} has no data (it is on the meta device).", "The model was not loaded completely.")
    elif value.is_quantized:
        per_channel = value.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric)
        yield f"{name}.int", value.int_repr()
        yield f"{name}.scale", value.q_per_channel_scales() if per_channel else repr(value.q_scale())
        yield f"{name}.zero", value.q_per_channel_zero_points() if per_channel else repr(value.q_zero_point())
    elif hasattr(value, "__tensor_flatten__"):
        inner, context = value.__tensor_flatten__()
        yield f"{name}.context", repr(context)
        for part in inner:
            yield from _plain_tensors(f"{name}.{part}", getattr(value, part))
    else:
        yield name, value.detach()


def _bytes(tensor: torch.Tensor) -> Any:
    """A buffer with the bytes of a dense tensor in row order, whatever its device and strides."""
    import torch

    dense = tensor.cpu().contiguous().reshape(-1)
    return dense.view(torch.uint8).numpy() if dense.numel() else b""
