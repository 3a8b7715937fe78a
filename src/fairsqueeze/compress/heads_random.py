"""Pruning of attention heads, physically, at random: the floor."""

from __future__ import annotations

from typing import Any

import torch

from fairsqueeze.compress.heads import REQUIRES, SAVES, Share
from fairsqueeze.compress.heads_removal import take_heads_, units
from fairsqueeze.compress.surgery_choice import least_important
from fairsqueeze.models.anatomy import anatomy
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "heads.random",
    selects="attention",
    removes="heads",
    family="heads",
    saves=SAVES,
    requires=REQUIRES,
    source="the usual floor, as in Michel et al. 2019 and FASP",
)
def heads_random(model: Model, *, share: Share, per_layer: bool = True, seed: int) -> dict[str, Any]:
    """Remove attention heads at random.

    Args:
        model: changed in place.
        share: of all heads (groups under grouped-query attention), in [0, 1), to the nearest; one stays in each block.
        per_layer: the same share of each block; else drawn from all together.
        seed: of the draw.

    Returns: as `heads.magnitude`.

    Source:
        The floor that every informed method must beat.
    """
    generator = torch.Generator().manual_seed(seed)
    found = anatomy(model.network)
    drawn = [torch.rand(units(b.attention), generator=generator, dtype=torch.float64) for b in found.blocks]
    return take_heads_(model, least_important(drawn, share, per_layer))
