"""Low-rank training of a frozen encoder: each linear weight becomes W + B A, biases and layer norms train in full."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """`weight -> weight + B A`, with B starting at zero so that training starts from the frozen weight."""

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.b @ self.a


def attach_(encoder: nn.Module, rank: int) -> None:
    """Freeze `encoder`; add a low-rank term to every linear layer; unfreeze biases and layer norms. In place."""
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    for module in list(encoder.modules()):
        if isinstance(module, nn.Linear):
            rows, columns = module.weight.shape
            parametrize.register_parametrization(module, "weight", LowRank(rows, columns, rank))
            if module.bias is not None:
                module.bias.requires_grad_(True)
        elif isinstance(module, nn.LayerNorm):
            module.weight.requires_grad_(True)
            module.bias.requires_grad_(True)


def attach_embedding_(embedding: nn.Embedding, rank: int) -> None:
    """Add a low-rank term to a frozen embedding; a head tied to it sees the same sum. In place."""
    rows, columns = embedding.weight.shape
    embedding.weight.requires_grad_(False)
    parametrize.register_parametrization(embedding, "weight", LowRank(rows, columns, rank))


def learned(network: nn.Module, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """What was learned: `NAME.weight.low_rank_a|b` for low-rank terms, `NAME` for tensors trained in full."""
    found = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        name = name.replace("parametrizations.weight.0.a", "weight.low_rank_a")
        name = name.replace("parametrizations.weight.0.b", "weight.low_rank_b")
        found[name] = parameter.detach().to(dtype).contiguous()
    return found
