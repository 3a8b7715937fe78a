"""What the second stage of builtin:minilm-mlm learned, as a difference that ships in few megabytes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fairsqueeze.models.low_bit import packed

EMBEDDING = "bert.embeddings.word_embeddings.weight"
POSITIONS = "bert.embeddings.position_embeddings.weight"


def difference(base: nn.Module, trained: nn.Module, *, tokens: Tensor, rows: int, rank: int) -> dict[str, Tensor]:
    """The tensors of a delta that takes `base` to nearly `trained`, see `fairsqueeze.models.delta`.

    Matrices of the encoder and positions: the change in 4 bits. Word embedding: the best change of `rank` for all
    tokens, and in 4 bits what is left for the `rows` tokens that are most frequent in `tokens`. All else: float16.
    """
    before = dict(base.named_parameters())
    found: dict[str, Tensor] = {}
    for name, parameter in trained.named_parameters():
        change = parameter.detach().double() - before[name].detach().double()
        if name == EMBEDDING:
            found |= _embedding(change, tokens, rows, rank)
        elif name.startswith(("bert.encoder.", POSITIONS)) and parameter.ndim == 2:
            found[f"{name}.low_bit_codes"], found[f"{name}.low_bit_scales"] = packed(change)
        else:
            found[name] = parameter.detach().half()
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _embedding(change: Tensor, tokens: Tensor, rows: int, rank: int) -> dict[str, Tensor]:
    weight = torch.bincount(tokens.flatten(), minlength=len(change)).double().add(1).sqrt()[:, None]
    left, values, right = torch.linalg.svd(change * weight, full_matrices=False)
    b = (left[:, :rank] * values[:rank].sqrt() / weight).half()
    a = (values[:rank].sqrt()[:, None] * right[:rank]).half()
    frequent = torch.bincount(tokens.flatten(), minlength=len(change)).argsort(descending=True, stable=True)[:rows]
    codes, scales = packed(change[frequent] - (b.double() @ a.double())[frequent])
    found = {"low_rank_a": a, "low_rank_b": b, "low_bit_codes": codes, "low_bit_scales": scales}
    return {f"{EMBEDDING}.{name}": t for name, t in found.items()} | {
        f"{EMBEDDING}.low_bit_rows": frequent.to(torch.int32)
    }
