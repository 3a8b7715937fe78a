"""Layers: what kind of layer every parameter of a network belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from fairsqueeze.errors import ModelError
from fairsqueeze.models.anatomy import Block, anatomy
from fairsqueeze.models.matrices import is_embedding, is_norm

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LayerType = Literal["embedding", "attention", "feed_forward", "norm", "head", "other"]
LAYER_TYPES: tuple[LayerType, ...] = ("embedding", "attention", "feed_forward", "norm", "head", "other")


def typed_parameters(network: PreTrainedModel) -> Iterator[tuple[str, Tensor, LayerType]]:
    """(name, parameter, layer type) of every parameter, tied or shared ones once; biases go with their layer.

    `embedding` is everything in front of the blocks but norms; an output head tied to it is the embedding. `head` is
    everything behind them: an untied output head, a masked head's transform, a pooler, a classifier. `other` is what
    in a block is neither attention nor feed-forward, and every linear layer where blocks can't be told apart.
    """
    try:
        blocks = anatomy(network).blocks
    except ModelError:
        blocks = ()
    roles = _roles(blocks)
    behind = False
    seen: set[int] = set()
    for path, module in network.named_modules():
        inside = any(path == b.name or path.startswith(f"{b.name}.") for b in blocks)
        behind = behind or inside
        kind = roles.get(path) or _outside(module, inside or not blocks, behind)
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{path}.{name}".lstrip("."), parameter, kind


def _roles(blocks: tuple[Block, ...]) -> dict[str, LayerType]:
    roles: dict[str, LayerType] = {}
    for block in blocks:
        attention, forward = block.attention, block.feed_forward
        for part in (attention.query, attention.key, attention.value, attention.output):
            roles[part.module] = "attention"
        for neurons in (forward.up, forward.gate, forward.down):
            if neurons is not None:
                roles[neurons.module] = "feed_forward"
    return roles


def _outside(module: nn.Module, inside: bool, behind: bool) -> LayerType:
    if is_embedding(module):
        return "embedding"
    if is_norm(module):
        return "norm"
    if inside:
        return "other"
    return "head" if behind else "embedding"
