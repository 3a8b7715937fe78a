"""Pruning of attention heads, physically: those with the smallest weights."""

from __future__ import annotations

from typing import Any

import torch

from fairsqueeze.compress.heads import REQUIRES, SAVES, Share
from fairsqueeze.compress.heads_removal import query_heads, take_heads_, units
from fairsqueeze.compress.surgery_choice import least_important
from fairsqueeze.models.anatomy import Attention, Slice, anatomy, part_of
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "heads.magnitude",
    selects="attention",
    removes="heads",
    family="heads",
    saves=SAVES,
    requires=REQUIRES,
    source="the magnitude baseline of FASP, Zayed et al. 2024, arXiv:2312.15398",
)
def heads_magnitude(model: Model, *, share: Share, per_layer: bool = True) -> dict[str, Any]:
    """Remove the attention heads with the smallest weights.

    A head's size is the L2 norm of all its query, key, value and output weights. Query heads that share a key-value
    head go together.

    Args:
        model: changed in place.
        share: of all heads (groups under grouped-query attention), in [0, 1), to the nearest; one stays in each block.
        per_layer: the same share of each block; else the smallest of all, wherever they are.

    Returns:
        `removed`: the query heads that are gone, block by block; `max_difference` of the smaller network's answer from
        that of the whole one with these heads silenced.

    Source:
        "L2 magnitude" in FASP's code; key and value weights count once for all heads that share them.
    """
    found = anatomy(model.network)
    sizes = [torch.tensor([_size(model, b.attention, u) for u in range(units(b.attention))]) for b in found.blocks]
    return take_heads_(model, least_important(sizes, share, per_layer))


def _size(model: Model, attention: Attention, unit: int) -> float:
    heads = query_heads(attention, unit)
    parts: list[Slice] = [part(head) for part in (attention.query_head, attention.output_head) for head in heads]
    kv_heads = sorted({attention.kv_head_of(head) for head in heads})
    parts += [part(head) for part in (attention.key_head, attention.value_head) for head in kv_heads]
    return float(sum(part_of(model.network, part).double().square().sum() for part in parts)) ** 0.5
