"""Pruning of attention heads, physically: those whose turning down changes the loss least."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fairsqueeze.compress.examples import REQUIRES as LOSS
from fairsqueeze.compress.examples import check_examples, examples_for
from fairsqueeze.compress.heads import REQUIRES, SAVES, Share
from fairsqueeze.compress.heads_importance import head_importance
from fairsqueeze.compress.heads_removal import take_heads_
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.compress.surgery_choice import least_important
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "heads.gradient",
    selects="attention",
    removes="heads",
    family="heads",
    saves=SAVES,
    version=2,
    requires=f"{REQUIRES}; {LOSS}",
    fits=check_examples,
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
) -> dict[str, Any]:
    """Remove the attention heads whose turning down changes the loss least.

    Importance is Σ |∂ loss / ∂ ξ| over calibration examples, ξ the factor on what a head puts out, with the L2 norm of
    each block taken out. One backward pass an example; weights need no gradients.

    Args:
        model: changed in place. Causal and masked models are judged by their language-model loss, classifiers and
            regressors by labelled pairs; an encoder has no loss and is refused.
        share: of all heads (groups under grouped-query attention), in [0, 1), to the nearest; one stays in each block.
        per_layer: the same share of each block; else the least important of all, as in the paper.
        sequences: number of calibration examples; all pairs where there are fewer.
        length: tokens of a piece of text, most tokens of a pair, special ones included.
        text: for language models: "package" or "", "wikitext2", "c4", "wiki", or the path of a UTF-8 text file.
        labelled: for classifiers and regressors: "mnli" or "stsb" (pairs that no task scores), or the path of a JSON
            Lines file of `first`, `second`, `label`.
        seed: of the examples.

    Returns:
        As `heads.magnitude`, and `calibration`: where the examples come from.

    Source:
        Equation 2, normalised per layer as in section 4.1. Heads that share a key-value head share one ξ; the paper's
        ranking is over the whole model (per_layer=false).
    """
    examples = examples_for(model, sequences=sequences, length=length, seed=seed, text=text, labelled=labelled)
    importance: list[Tensor] = head_importance(model.network, examples.losses)
    return {**take_heads_(model, least_important(importance, share, per_layer)), "calibration": examples.source}
