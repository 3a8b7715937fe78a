"""Pruning of whole blocks, physically: every k-th, whatever it does."""

from __future__ import annotations

from typing import Annotated, Any

from fairsqueeze.compress.blocks_removal import REQUIRES, SAVES, own_blocks, take_blocks_
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range, model_rule


@model_rule(
    "blocks.every",
    selects="linear",
    removes="blocks",
    family="blocks",
    saves=SAVES,
    requires=REQUIRES,
    source="Fan et al. 2020, LayerDrop, arXiv:1909.11556: every other; Sajjad et al. 2023, arXiv:2004.03844",
)
def blocks_every(model: Model, *, k: Annotated[int, Range(2, 1000)] = 2) -> dict[str, Any]:
    """Remove every k-th block: the k-th, the 2k-th and so on, counted from 1.

    Args:
        model: changed in place. One whose layers share their weights (ALBERT) is refused.
        k: at least 2; more than the number of blocks would remove nothing and is refused.

    Returns:
        `removed`: the numbers of the blocks that are gone, from 0; `max_difference` as `blocks.cosine`.

    Source:
        "Every other" (k = 2) of LayerDrop at inference, without its training; "alternate dropping" of Sajjad et al.
    """
    n = len(own_blocks(model.network).blocks)
    if k > n:
        raise BadSetting(f"blocks.every: k is {k}, and the model has {n} blocks.", f"It must be 2 to {n}.")
    return take_blocks_(model, range(k - 1, n, k))
