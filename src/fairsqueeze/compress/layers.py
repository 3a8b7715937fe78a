"""Layers: what kind of layer every parameter of a network belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from torch import Tensor, nn

from fairsqueeze.models.anatomy import weight_matrices

LayerType = Literal["embedding", "attention", "feed_forward", "norm", "head", "other"]
LAYER_TYPES: tuple[LayerType, ...] = ("embedding", "attention", "feed_forward", "norm", "head", "other")


def typed_parameters(network: Any) -> Iterator[tuple[str, Tensor, LayerType]]:
    """(name, parameter, layer type) of every parameter, tied or shared ones once; biases go with their layer.

    An output head tied to the embedding is the embedding. `head` is whatever comes after the blocks and is no norm: an
    untied output head, a masked head's transform, a pooler, a classifier. `other` is what fits nowhere.
    """
    attention = _identities(network, "attention")
    feed_forward = _identities(network, "feed_forward")
    linear = _identities(network, "linear")
    seen: set[int] = set()
    for path, module in network.named_modules():
        own = [(name, p) for name, p in module.named_parameters(recurse=False)]
        ids = {id(p) for _, p in own}
        kind: LayerType
        if isinstance(module, nn.Embedding):
            kind = "embedding"
        elif "norm" in type(module).__name__.lower():
            kind = "norm"
        elif ids & attention:
            kind = "attention"
        elif ids & feed_forward:
            kind = "feed_forward"
        elif ids & linear or hasattr(module, "out_features"):
            kind = "head"
        elif any(name == "bias" for name, _ in own):
            kind = "head"  # a masked head's own output bias
        else:
            kind = "other"
        for name, parameter in own:
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{path}.{name}".lstrip("."), parameter, kind


def _identities(network: Any, select: str) -> set[int]:
    return {id(ref.parameter) for ref in weight_matrices(network, select)}
