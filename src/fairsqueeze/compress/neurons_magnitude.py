"""Pruning of feed-forward neurons, physically: those with the smallest weights."""

from __future__ import annotations

from typing import Any

import torch

from fairsqueeze.compress.neurons_removal import SAVES, Share, take_neurons_
from fairsqueeze.compress.surgery_choice import least_important
from fairsqueeze.models.anatomy import anatomy, part_of
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "neurons.magnitude",
    selects="feed_forward",
    removes="neurons",
    family="neurons",
    saves=SAVES,
    source="Li et al. 2017, Pruning Filters for Efficient ConvNets, arXiv:1608.08710, on neurons",
)
def neurons_magnitude(model: Model, *, share: Share, per_layer: bool = True) -> dict[str, Any]:
    """Remove the feed-forward neurons with the smallest weights.

    A neuron's size is the L2 norm of its up, gate (where there is one) and down weights, which go together. Small
    neurons can matter much where their activations are large; `neurons.activation` takes these into account.

    Args:
        model: changed in place.
        share: of all neurons, in [0, 1), to the nearest neuron; one stays in each block.
        per_layer: the same share of each block, which plain transformers loads; else the smallest of all, whose shapes
            only fairsqueeze.load(folder) builds.

    Returns:
        `removed`: the neurons that are gone, block by block, in ranges; `max_difference` of the smaller network's
        answer from that of the whole one with these neurons silenced.

    Source:
        The paper ranks filters by the L1 norm of their weights, within a layer; here it is L2 and counts the outgoing
        weights as well.
    """
    found = anatomy(model.network)
    sizes = []
    for block in found.blocks:
        forward = block.feed_forward
        parts = [part_of(model.network, part).double() for part in (forward.up, forward.gate) if part is not None]
        parts.append(part_of(model.network, forward.down).double().T)
        sizes.append(sum((part.square().sum(1) for part in parts), torch.tensor(0.0)).sqrt().cpu())
    return take_neurons_(model, least_important(sizes, share, per_layer))
