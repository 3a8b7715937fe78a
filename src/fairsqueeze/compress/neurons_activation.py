"""Pruning of feed-forward neurons, physically: those that contribute least on a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fairsqueeze.compress.calibration import calibrate
from fairsqueeze.compress.calibration_text import PACKAGE
from fairsqueeze.compress.examples import check_pieces
from fairsqueeze.compress.neurons_removal import SAVES, Share, take_neurons_
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.compress.surgery_choice import least_important
from fairsqueeze.models.anatomy import Anatomy, anatomy, part_of
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@model_rule(
    "neurons.activation",
    selects="feed_forward",
    removes="neurons",
    family="neurons",
    saves=SAVES,
    requires="a text",
    fits=check_pieces,
    source="Wanda-sp (An et al. 2024, arXiv:2312.11983), after Sun et al. 2023, arXiv:2306.11695",
)
def neurons_activation(
    model: Model,
    *,
    share: Share,
    per_layer: bool = True,
    sequences: Sequences = 32,
    length: Length = 128,
    text: str = "",
    seed: int,
) -> dict[str, Any]:
    """Remove the feed-forward neurons that contribute least to the output of their block on a text.

    A neuron's contribution is the root mean square of its activation × the L2 norm of its down weights: the size of
    what it adds to the residual stream.

    Args:
        model: changed in place.
        share: of all neurons, in [0, 1), to the nearest neuron; one stays in each block.
        per_layer: the same share of each block, which plain transformers loads; else the least of all, whose shapes
            only fairsqueeze.load(folder) builds.
        sequences: number of calibration sequences.
        length: tokens of each, special ones included.
        text: where they come from: "package" or "", "wikitext2", "c4", "wiki", or the path of a UTF-8 text file.
        seed: of the sequences.

    Returns:
        As `neurons.magnitude`, and `calibration`: where the sequences come from.

    Source:
        Wanda's |weight| × L2 norm of the input, put together over a column of the down projection: here by its L2
        norm, in Wanda-sp by its sum.
    """
    found = anatomy(model.network)
    pieces = calibrate(model, sequences=sequences, length=length, calibration=text or PACKAGE, seed=seed)
    squares = mean_squares(model.network, found, pieces.sequences)
    scores = []
    for block, square in zip(found.blocks, squares, strict=True):
        down = part_of(model.network, block.feed_forward.down).double().cpu()
        scores.append(square.sqrt() * down.norm(dim=0))
    return {**take_neurons_(model, least_important(scores, share, per_layer)), "calibration": pieces.to_json()}


@torch.no_grad()
def mean_squares(network: PreTrainedModel, found: Anatomy, sequences: Sequence[Tensor]) -> list[Tensor]:
    """Mean square activation of every neuron over all tokens of the sequences (1, n): block by block, float64."""
    sums = [torch.zeros(block.feed_forward.width, dtype=torch.float64) for block in found.blocks]
    tokens = [0] * len(sums)

    def watch(number: int, index: tuple[int, ...]) -> Callable[..., None]:
        def hook(_: nn.Module, given: tuple[Any, ...]) -> None:
            seen = given[0].reshape(-1, given[0].shape[-1])
            sums[number].add_(seen.double().square().sum(0).cpu()[list(index)])
            tokens[number] += len(seen)

        return hook

    handles = [
        network.get_submodule(b.feed_forward.down.module).register_forward_pre_hook(watch(i, b.feed_forward.down.index))
        for i, b in enumerate(found.blocks)
    ]
    try:
        for ids in sequences:
            here = ids.to(network.device)
            network.base_model(input_ids=here, attention_mask=torch.ones_like(here))
    finally:
        for handle in handles:
            handle.remove()
    return [total / max(1, n) for total, n in zip(sums, tokens, strict=True)]
