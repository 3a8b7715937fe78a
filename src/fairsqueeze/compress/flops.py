"""FLOPs: how many operations the weights cost for each token, counted while a network runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fairsqueeze.compress.latency import example_ids

_LENGTH = 16


@dataclass(frozen=True)
class Flops:
    """Operations per token: all of them, and those that would be left if a zero weight cost nothing."""

    dense: float
    skipping_zeros: float


@torch.inference_mode()
def flops_per_token(network: Any, nonzeros: dict[int, int]) -> Flops:
    """2 × the weights of every linear layer for each time it is used, by running one short sequence.

    Layers that are shared count each time (ALBERT), a tied output head counts as the product it is, embedding look-ups
    cost nothing, and what runs once a sequence (pooler, classifier) is spread over its 16 tokens. Attention between
    tokens, norms and activations are left out: they hang on the length and don't change with the weights.

    Args:
        network: in eval mode.
        nonzeros: by `id(weight)`; weights that are not in it are counted here.
    """
    ids = example_ids([network], 1, _LENGTH)
    used: dict[int, float] = {}
    weights: dict[int, Tensor] = {}
    handles = [m.register_forward_hook(_counter(used, weights)) for m in network.modules() if _is_linear(m)]
    try:
        here = ids.to(network.device)
        network(input_ids=here, attention_mask=torch.ones_like(here))
    finally:
        for handle in handles:
            handle.remove()
    dense = sparse = 0.0
    for key, rows in used.items():
        weight = weights[key]
        left = nonzeros[key] if key in nonzeros else int(torch.count_nonzero(weight))
        dense += 2 * weight.numel() * rows
        sparse += 2 * left * rows
    return Flops(dense / ids.numel(), sparse / ids.numel())


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim == 2 and not isinstance(module, nn.Embedding)


def _counter(used: dict[int, float], weights: dict[int, Tensor]) -> Callable[..., None]:
    def count(module: Any, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        key = id(module.weight)
        weights[key] = module.weight
        used[key] = used.get(key, 0) + output.numel() / output.shape[-1]

    return count
