"""Pruning of whole blocks, physically: those that change their input least on a text."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.compress.blocks_removal import REQUIRES, SAVES, take_blocks_, watch_blocks
from fairsqueeze.compress.calibration import calibrate
from fairsqueeze.compress.calibration_text import PACKAGE
from fairsqueeze.compress.examples import check_pieces
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.compress.surgery_choice import least_important
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range, model_rule


@model_rule(
    "blocks.cosine",
    selects="linear",
    removes="blocks",
    family="blocks",
    saves=SAVES,
    requires=f"{REQUIRES}; a text",
    fits=check_pieces,
    source="Men et al. 2024, ShortGPT, arXiv:2403.03853",
)
def blocks_cosine(
    model: Model,
    *,
    share: Annotated[float, Range(0, 1, high_open=True)],
    sequences: Sequences = 32,
    length: Length = 128,
    text: str = "",
    seed: int,
) -> dict[str, Any]:
    """Remove the blocks whose output points most nearly where their input does.

    Block influence is 1 − mean cosine of a block's input and output over all tokens of a text; the lowest go, ranked
    once, before anything is removed.

    Args:
        model: changed in place. One whose layers share their weights (ALBERT) is refused.
        share: of all blocks, in [0, 1), to the nearest block; one stays.
        sequences: number of calibration sequences.
        length: tokens of each, special ones included.
        text: where they come from: "package" or "", "wikitext2", "c4", "wiki", or the path of a UTF-8 text file.
        seed: of the sequences.

    Returns:
        `removed`: the numbers of the blocks that are gone, from 0; `influence` of every block; `max_difference` of the
        smaller network's answer from that of the whole one with these blocks skipped; `calibration`: where the
        sequences come from.

    Source:
        Equation 1 (block influence) and section 3.3. The paper calibrates on PG19.
    """
    pieces = calibrate(model, sequences=sequences, length=length, calibration=text or PACKAGE, seed=seed)
    influence = block_influence(model, pieces.sequences)
    (removed,) = least_important([influence], share, per_layer=True)
    return {**take_blocks_(model, removed), "influence": influence.tolist(), "calibration": pieces.to_json()}


def block_influence(model: Model, sequences: list[Tensor]) -> Tensor:
    """1 − mean cosine of input and output of every block over all tokens of sequences (1, n): float64 (blocks,)."""

    def cosines(given: Tensor, output: Tensor) -> Tensor:
        return torch.nn.functional.cosine_similarity(given.double(), output.double(), dim=-1).flatten().cpu()

    seen = watch_blocks(model.network, sequences, cosines)
    return torch.stack([1 - torch.cat(values).mean() for values in seen])
