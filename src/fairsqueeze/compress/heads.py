"""Pruning of attention heads, physically: by size, at random, or by what the loss says of them."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.compress.examples import REQUIRES as LOSS
from fairsqueeze.compress.examples import check_examples, examples_for
from fairsqueeze.compress.heads_importance import head_importance
from fairsqueeze.compress.heads_removal import query_heads, take_heads_, units
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.compress.surgery_choice import least_important
from fairsqueeze.models.anatomy import Attention, Slice, anatomy, part_of
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range, model_rule

Share = Annotated[float, Range(0, 1, high_open=True)]

SAVES = (
    "the weights of the heads, their memory and their time, on any hardware; less while other layers dominate. Load it "
    "with fairsqueeze.load(folder): plain transformers loads Llama, Qwen2, Gemma, Phi and Phi-3 types with as many "
    "heads in each block, and stops at the shapes of all others"
)
REQUIRES = (
    "heads that don't depend on one another: OLMo2 (one norm over all), BLOOM (a position bias by the number of the "
    "head) and MPNet (position biases shared by all blocks) are refused"
)
"""What the removal of heads asks of a model."""


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
