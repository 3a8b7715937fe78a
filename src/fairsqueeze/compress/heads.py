"""Pruning of attention heads, physically: by size, at random, or by what the loss says of them."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from fairsqueeze.compress.heads_importance import head_importance, losses_for
from fairsqueeze.compress.heads_removal import query_heads, remove_heads, units
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.compress.surgery_choice import least_important
from fairsqueeze.models.anatomy import Attention, Slice, anatomy, part_of
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range, model_rule

Share = Annotated[float, Range(0, 1, high_open=True)]

SAVES = "the weights of the heads, their memory and their time, on any hardware; less while other layers dominate"


@model_rule(
    "heads.magnitude",
    selects="attention",
    removes="heads",
    family="heads",
    saves=SAVES,
    source="the magnitude baseline of FASP, Zayed et al. 2024, arXiv:2312.15398",
)
def heads_magnitude(model: Model, *, share: Share, per_layer: bool = True) -> None:
    """Remove the attention heads with the smallest weights.

    A head's size is the L2 norm of all its query, key, value and output weights. Query heads that share a key-value
    head go together.

    Args:
        model: changed in place.
        share: of all heads (groups under grouped-query attention), in [0, 1), to the nearest; one stays in each block.
        per_layer: the same share of each block, which any config can tell; else the smallest of all, whose shapes only
            fairsqueeze can load.

    Source:
        "L2 magnitude" in FASP's code; key and value weights count once for all heads that share them.
    """
    found = anatomy(model.network)
    sizes = [torch.tensor([_size(model, b.attention, u) for u in range(units(b.attention))]) for b in found.blocks]
    model.network = remove_heads(model.network, least_important(sizes, share, per_layer))


def _size(model: Model, attention: Attention, unit: int) -> float:
    heads = query_heads(attention, unit)
    parts: list[Slice] = [part(head) for part in (attention.query_head, attention.output_head) for head in heads]
    kv_heads = sorted({attention.kv_head_of(head) for head in heads})
    parts += [part(head) for part in (attention.key_head, attention.value_head) for head in kv_heads]
    return float(sum(part_of(model.network, part).double().square().sum() for part in parts)) ** 0.5


@model_rule(
    "heads.random",
    selects="attention",
    removes="heads",
    family="heads",
    saves=SAVES,
    source="the usual floor, as in Michel et al. 2019 and FASP",
)
def heads_random(model: Model, *, share: Share, per_layer: bool = True, seed: int) -> None:
    """Remove attention heads at random.

    Args:
        model: changed in place.
        share: of all heads (groups under grouped-query attention), in [0, 1), to the nearest; one stays in each block.
        per_layer: the same share of each block; else drawn from all together.
        seed: of the draw.

    Source:
        The floor that every informed method must beat.
    """
    generator = torch.Generator().manual_seed(seed)
    found = anatomy(model.network)
    drawn = [torch.rand(units(b.attention), generator=generator, dtype=torch.float64) for b in found.blocks]
    model.network = remove_heads(model.network, least_important(drawn, share, per_layer))


@model_rule(
    "heads.gradient",
    selects="attention",
    removes="heads",
    family="heads",
    saves=SAVES,
    source="Michel et al. 2019, Are Sixteen Heads Really Better than One?, arXiv:1905.10650",
)
def heads_gradient(
    model: Model,
    *,
    share: Share,
    per_layer: bool = True,
    sequences: Sequences = 32,
    length: Length = 128,
    text: str = "",
    labelled: str = "",
    seed: int,
) -> None:
    """Remove the attention heads whose turning down changes the loss least.

    Importance is Σ |∂ loss / ∂ ξ| over calibration examples, ξ the factor on what a head puts out, with the L2 norm of
    each block taken out. One backward pass an example; weights need no gradients.

    Args:
        model: changed in place. Causal and masked models are judged by their language-model loss, classifiers and
            regressors by labelled pairs; an encoder has no loss and is refused.
        share: of all heads (groups under grouped-query attention), in [0, 1), to the nearest; one stays in each block.
        per_layer: the same share of each block; else the least important of all, as in the paper.
        sequences: number of calibration examples.
        length: tokens of each, special ones included.
        text: where they come from: "package" or "", "wikitext2", "c4", "wiki", or the path of a UTF-8 text file.
        labelled: for classifiers and regressors: "mnli" or "stsb" (pairs that no task scores), or the path of a JSON
            Lines file of `first`, `second`, `label`.
        seed: of the examples.

    Source:
        Equation 2, normalised per layer as in section 4.1. Heads that share a key-value head share one ξ; the paper's
        ranking is over the whole model (per_layer=false).
    """
    losses = losses_for(model, sequences, length, seed, text, labelled)
    importance: list[Tensor] = head_importance(model.network, losses)
    model.network = remove_heads(model.network, least_important(importance, share, per_layer))
