"""Pruning of attention heads until the score falls too far: in rounds, then one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch

from fairsqueeze.compress.examples import REQUIRES as LOSS
from fairsqueeze.compress.examples import check_examples, examples_for
from fairsqueeze.compress.heads import REQUIRES, SAVES
from fairsqueeze.compress.heads_importance import Loss, head_importance
from fairsqueeze.compress.heads_removal import output_inputs, remove_heads, take_heads_, units
from fairsqueeze.compress.surgery import silenced
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.compress.surgery_choice import ranked
from fairsqueeze.compress.task_score import Score, likelihood_score, pair_score
from fairsqueeze.errors import BadSetting, NonFinite
from fairsqueeze.models.anatomy import Anatomy, anatomy
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range, model_rule

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Threshold = Annotated[float, Range(0, 1)]
Step = Annotated[float, Range(0, 1, low_open=True)]


def heads_until(
    network: PreTrainedModel, score: Score, losses: Sequence[Loss], threshold: float, step: float = 0.1
) -> list[list[int]]:
    """Which units of each block can be masked while `score` stays at or above `threshold` × its original value.

    Each round masks the least important `step` of all units beside those masked before, with importance computed anew;
    the first round that fails is taken back and from there they go one at a time, until one fails.

    Args:
        network: in eval mode; left as it was.
        score: of a network, > 0, higher is better; it is called under masks. None, undefined, fails a round.
        losses: the examples that importance is computed on.
        threshold: share of the original score that must stay, in [0, 1].
        step: share of all units in a round, in (0, 1]; at least one.

    Raises BadSetting if the original score is not positive, NonFinite if a score is NaN or infinite.

    Source: Michel et al. 2019, arXiv:1905.10650, as the study (Mannheim 2024, "structured") codes it: step 0.1 of all
    heads, int(144 × 0.1) = 14 for BERT-base. Here one unit of every block is never masked.
    """
    found = anatomy(network)
    total = sum(units(block.attention) for block in found.blocks)
    floor = threshold * _original(score, network)
    kept: list[list[int]] = [[] for _ in found.blocks]
    for count in (max(1, int(step * total)), 1):
        while True:
            order = _next(head_importance(network, losses, kept), kept)
            if not order:
                return kept
            tried = [sorted([*gone, *(u for at, u in order[:count] if at == b)]) for b, gone in enumerate(kept)]
            value = _score(score, network, found, tried)
            if value is None or value < floor:
                break
            kept = tried
    return kept


def _next(importance: Sequence[torch.Tensor], masked: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """(block, unit) of those that may still go, the least important first; the most important of each block stays."""
    left = []
    for scores, gone in zip(importance, masked, strict=True):
        shown = scores.clone()
        shown[list(gone)] = -1.0
        left.append(shown)
    return [(block, unit) for block, unit in ranked(left) if unit not in masked[block]]


def _original(score: Score, network: PreTrainedModel) -> float:
    value = score(network)
    if value is not None and not math.isfinite(value):
        raise NonFinite(f"The score of the whole model is {value}.", "The model or the score is broken.")
    if value is None or value <= 0:
        told = "undefined" if value is None else f"{value:g}"
        raise BadSetting(
            f"The score of the whole model is {told}: there is no share of it to keep.",
            "It must be positive. Use more examples, or a model that has learnt what they ask.",
        )
    return value


def _score(score: Score, network: PreTrainedModel, found: Anatomy, removed: Sequence[Sequence[int]]) -> float | None:
    inputs = {
        block.attention.output.module: output_inputs(block.attention, gone)
        for block, gone in zip(found.blocks, removed, strict=True)
        if gone
    }
    with silenced(network, inputs):
        value = score(network)
    if value is not None and not math.isfinite(value):
        raise NonFinite(f"The score of the masked model is {value}.", "Undefined is None; see the score function.")
    return value


def prune_heads_until(
    model: Model, score: Score, losses: Sequence[Loss], threshold: float, step: float = 0.1
) -> list[list[int]]:
    """Remove, physically and in place, the heads that `heads_until` finds, and return them. Arguments as there."""
    removed = heads_until(model.network, score, losses, threshold, step)
    model.network = remove_heads(model.network, removed)
    return removed


@model_rule(
    "heads.threshold",
    selects="attention",
    removes="heads",
    family="heads",
    saves=SAVES,
    version=3,
    requires=f"{REQUIRES}; {LOSS}",
    fits=check_examples,
    source="Mannheim 2024, Can Pruning Language Models Reduce Their Bias?, structured; Michel et al. 2019",
)
def heads_threshold(
    model: Model,
    *,
    threshold: Threshold = 0.9,
    step: Step = 0.1,
    sequences: Sequences = 128,
    length: Length = 128,
    text: str = "",
    labelled: str = "",
    seed: int,
) -> dict[str, Any]:
    """Remove the least important attention heads, round by round, until the score would fall below a share of its own.

    The score is the task's, on the calibration examples: of a classifier its accuracy, of a regressor the mean of its
    Pearson and Spearman correlation (as in the study, on MNLI and STS-B), of a language model one over its perplexity.
    How many heads go is a result, not a setting. A model that has learnt from these examples, as the built-in
    classifiers have from those of `mnli` and `stsb`, loses a share of what it does on them, not on new ones.

    Args:
        model: changed in place; as for `heads.gradient`.
        threshold: share of the original score that must stay, in [0, 1]; 0 leaves one head in each block.
        step: share of all heads that a round tries, in (0, 1].
        sequences: number of calibration examples; all pairs where there are fewer. The accuracy of n moves by 1/n.
        length: tokens of a piece of text, most tokens of a pair, special ones included.
        text: for language models: "package" or "", "wikitext2", "c4", "wiki", or the path of a UTF-8 text file.
        labelled: for classifiers and regressors: "mnli" or "stsb" (pairs that no task scores), or the path of a JSON
            Lines file of `first`, `second`, `label`.
        seed: of the examples.

    Returns:
        As `heads.gradient`, and `score_before` and `score_after`, of the model as it was and as it is.

    Raises BadSetting where the score is not positive before anything is removed.

    Source:
        The study scores its whole validation set and masks at inference; here the heads are gone, and one of each block
        stays. `prune_heads_until` takes any other score.
    """
    examples = examples_for(model, sequences=sequences, length=length, seed=seed, text=text, labelled=labelled)
    score = pair_score(model, examples.pairs, length) if examples.pairs else likelihood_score(examples.losses)
    before = score(model.network)
    told = take_heads_(model, heads_until(model.network, score, examples.losses, threshold, step))
    scores = {"score_before": before, "score_after": score(model.network)}
    return {**told, **scores, "calibration": examples.source}
