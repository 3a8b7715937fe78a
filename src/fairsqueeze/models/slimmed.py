"""Slimmed networks: layers of other sizes than any config of transformers can say, rebuilt from a note in the config.

Transformers builds every layer of a network from the same few numbers. Where heads or neurons were removed so that this
no longer works – another number in every layer, or heads of a network that derives their size from their number – the
config carries the note `fairsqueeze_slimmed`, and `slimmed_class` builds the network with it. Plain transformers stops
at such a model's shapes with an error; it never loads it wrongly.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import ModelError
from fairsqueeze.models.matrices import is_linear, is_transposed, sizes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

KEY = "fairsqueeze_slimmed"
"""Config entry: `{"linears": {module: [out, in]}, "numbers": {module: {attribute: n}}}`, names within the trunk
(`base_model`), so that the note holds for every kind of the model."""

NUMBERS = {
    "heads": ("num_heads", "n_heads", "n_head", "num_attention_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_kv_heads"),
    "group": ("num_key_value_groups", "n_rep"),
    "width": ("all_head_size", "split_size", "embed_dim", "inner_dim"),
}
"""What attention modules call the numbers that hang on their heads: query heads, key-value heads, query heads for each
of these, and heads × size of one. `config.` in front means that the module reads it from its config at each pass."""

_PLAIN = "_fairsqueeze_plain_class"
_ALLOWED = frozenset(name for names in NUMBERS.values() for name in names)


def note_of(config: PreTrainedConfig) -> dict[str, dict[str, Any]] | None:
    """The note of a slimmed model's config, None for any other. Raises ModelError if it is damaged."""
    note = getattr(config, KEY, None)
    if note is None:
        return None
    try:
        linears = {str(name): [_size(n) for n in shape] for name, shape in note["linears"].items()}
        numbers = {
            str(name): {_known(attribute): _size(n) for attribute, n in found.items()}
            for name, found in note["numbers"].items()
        }
        if any(len(shape) != 2 for shape in linears.values()):
            raise ValueError("a shape is not two numbers")
    except (TypeError, KeyError, AttributeError, ValueError) as problem:
        raise ModelError(f"The config's {KEY} is damaged: {problem!r}.", "Restore config.json.") from problem
    return {"linears": linears, "numbers": numbers}


def slimmed_loader(automatic: Any, config: PreTrainedConfig) -> Any:
    """What has the `from_pretrained` for this config: the automatic class itself, but for slimmed models."""
    if note_of(config) is None:
        return automatic
    found = automatic._model_mapping[type(config)]
    if isinstance(found, (tuple, list)):
        named = config.architectures or []
        found = next((one for one in found if one.__name__ in named), found[0])
    return slimmed_class(found, config)


def slimmed_class(network_class: type[PreTrainedModel], config: PreTrainedConfig) -> type[PreTrainedModel]:
    """`network_class`, or for the config of a slimmed model a subclass of it that builds itself by the note.

    The subclass has the same name, and an instance can be turned into one of `network_class` by `plain_class`.
    """
    note = note_of(config)
    if note is None:
        return network_class

    def build(self: PreTrainedModel, config: PreTrainedConfig, *arguments: Any, **more: Any) -> None:
        network_class.__init__(self, config, *arguments, **more)
        reshape_(self, note)

    members = {"__init__": build, "__module__": network_class.__module__, _PLAIN: network_class}
    return type(network_class.__name__, (network_class,), members)


def plain_class(network: PreTrainedModel) -> PreTrainedModel:
    """The same network, an instance of the class of transformers that `slimmed_class` derived from."""
    network.__class__ = getattr(type(network), _PLAIN, type(network))
    return network


def reshape_(network: PreTrainedModel, note: dict[str, dict[str, Any]]) -> None:
    """Give linear layers the shapes and modules the numbers that `note` lists, in place. New weights are not filled."""
    trunk = network.base_model
    for name, (out_features, in_features) in note["linears"].items():
        module = _submodule(trunk, name)
        if not is_linear(module):
            raise ModelError(f"The config's {KEY} names {name}, which is no linear layer.", "Restore config.json.")
        _resize_(module, out_features, in_features)
    for name, numbers in note["numbers"].items():
        set_numbers_(_submodule(trunk, name), numbers)


def set_numbers_(module: nn.Module, numbers: dict[str, int]) -> None:
    """Set attributes of an attention module; those of its config on a copy of it that is the module's own."""
    if any(attribute.startswith("config.") for attribute in numbers):
        module.config = copy.copy(module.config)  # type: ignore[assignment]
    for attribute, value in numbers.items():
        owner, _, name = attribute.rpartition(".")
        setattr(module.config if owner else module, name, value)


def _resize_(module: nn.Module, out_features: int, in_features: int) -> None:
    import torch
    from torch import nn

    if sizes(module) == (out_features, in_features):
        return
    old: torch.Tensor = module.weight  # type: ignore[assignment]
    shape = (in_features, out_features) if is_transposed(module) else (out_features, in_features)
    module.weight = nn.Parameter(old.new_empty(shape), requires_grad=old.requires_grad)
    if getattr(module, "bias", None) is not None:
        module.bias = nn.Parameter(old.new_empty(out_features), requires_grad=old.requires_grad)
    if is_transposed(module):
        module.nx, module.nf = in_features, out_features  # type: ignore[assignment]
    else:
        module.in_features, module.out_features = in_features, out_features  # type: ignore[assignment]


def _submodule(trunk: nn.Module, name: str) -> nn.Module:
    try:
        return trunk.get_submodule(name)
    except AttributeError as problem:
        raise ModelError(
            f"The config's {KEY} names {name}, which {type(trunk).__name__} does not have.", "Restore config.json."
        ) from problem


def _known(attribute: str) -> str:
    if attribute.removeprefix("config.") not in _ALLOWED:
        raise ValueError(f"{attribute!r} is no number of heads")
    return attribute


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is no size")
    return value
