"""Pruning of single weights by where fine-tuning moves them."""

from __future__ import annotations

from typing import Annotated, Any

import torch

from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.examples import REQUIRES, check_examples, examples_for
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.compress.weight_gradients import loss_and_gradients, only_these_learn, prune_by_score_
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range, model_rule


@model_rule(
    "movement",
    selects="linear",
    exact_over="matrix",
    family="gradient",
    source="Sanh et al. 2020, Movement Pruning: Adaptive Sparsity by Fine-Tuning, arXiv:2005.07683, equation 2",
    saves=SAVES,
    version=3,
    requires=REQUIRES,
    fits=check_examples,
)
def movement(
    model: Model,
    *,
    sparsity: Sparsity,
    sequences: Sequences = 32,
    length: Length = 128,
    learning_rate: Annotated[float, Range(0, 10)] = 1e-3,
    text: str = "",
    labelled: str = "",
    seed: int,
) -> dict[str, Any]:
    """Zero the weights that fine-tuning moves towards zero most: least −Σ w · ∂ loss / ∂ w over its steps.

    The weights that stay have the values they had before: the steps only find the scores. Memory: three more copies of
    the linear layers (scores, gradients, weights as they were).

    Args:
        model: changed in place. Causal and masked models are tuned on their language-model loss, classifiers and
            regressors on labelled pairs; an encoder has no loss and is refused.
        sparsity: share of each linear layer's weights that are zero afterwards, in [0, 1), to the nearest whole weight.
            Of equal scores the first go first; weights that are already zero count.
        sequences: number of steps, one example each; all pairs where there are fewer.
        length: tokens of a piece of text, most tokens of a pair, special ones included.
        learning_rate: of plain gradient descent on the linear layers; at 0 the weights stay where they are.
        text: for language models: "package" or "", "wikitext2", "c4", "wiki", or the path of a text file.
        labelled: for classifiers and regressors: "mnli" or "stsb" (pairs that no task scores), or the path of a JSON
            Lines file of `first`, `second`, `label`.
        seed: of the examples and their order.

    Returns:
        `first_loss`, `last_loss`: of the first and last example, before its step; `calibration`: where they come from.

    Source:
        Scores of hard movement pruning. The paper prunes along the way, for thousands of steps of Adam, and tunes what
        stays; here the mask is found once, by few steps of the dense model.
    """
    refs = weight_matrices(model.network, "linear")
    examples = examples_for(model, sequences=sequences, length=length, seed=seed, text=text, labelled=labelled)
    scores = [torch.zeros_like(ref.parameter, dtype=torch.float32, requires_grad=False) for ref in refs]
    before = [ref.parameter.detach().clone() for ref in refs]
    values = []
    with only_these_learn(model.network, refs):
        for loss in examples.losses:
            value, found = loss_and_gradients(model.network, refs, loss)
            values.append(value)
            for ref, score, gradient in zip(refs, scores, found, strict=True):
                weight = ref.parameter.detach()
                score.addcmul_(gradient, weight.float(), value=-1)
                weight.add_(gradient.to(weight.dtype), alpha=-learning_rate)
    for ref, was in zip(refs, before, strict=True):
        ref.parameter.detach().copy_(was)
    prune_by_score_(refs, scores, sparsity)
    return {"calibration": examples.source, "first_loss": values[0], "last_loss": values[-1]}
