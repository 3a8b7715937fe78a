"""Pruning of single weights by how the loss would change if they were gone."""

from __future__ import annotations

from typing import Any

import torch

from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.examples import REQUIRES, check_examples, examples_for
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.compress.weight_gradients import loss_and_gradients, only_these_learn, prune_by_score_
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "taylor",
    selects="linear",
    exact_over="matrix",
    family="gradient",
    source="Molchanov et al. 2019, Importance Estimation for Neural Network Pruning, arXiv:1906.10771, equation 8",
    saves=SAVES,
    version=2,
    requires=REQUIRES,
    fits=check_examples,
)
def taylor(
    model: Model,
    *,
    sparsity: Sparsity,
    sequences: Sequences = 32,
    length: Length = 128,
    text: str = "",
    labelled: str = "",
    seed: int,
) -> dict[str, Any]:
    """Zero the weights whose removal changes the loss least, to first order: Σ |w · ∂ loss / ∂ w| over examples.

    Memory: one more copy of the linear layers for the scores, and one for the gradients.

    Args:
        model: changed in place. Causal and masked models are judged by their language-model loss, classifiers and
            regressors by labelled pairs; an encoder has no loss and is refused.
        sparsity: share of each linear layer's weights that are zero afterwards, in [0, 1), to the nearest whole weight.
            Of equal scores the first go first; weights that are already zero count.
        sequences: number of calibration examples; all pairs where there are fewer.
        length: tokens of a piece of text, most tokens of a pair, special ones included.
        text: for language models: "package" or "", "wikitext2", "c4", "wiki", or the path of a UTF-8 text file.
        labelled: for classifiers and regressors: "mnli" or "stsb" (pairs that no task scores), or the path of a JSON
            Lines file of `first`, `second`, `label`.
        seed: of the examples.

    Returns:
        `loss_before`: mean over the examples; `calibration`: where they come from.

    Source:
        The paper scores whole filters, by the square of the sum over their weights; here each weight stands for itself,
        and magnitudes are summed over examples, so that gradients of opposite sign don't cancel.
    """
    refs = weight_matrices(model.network, "linear")
    examples = examples_for(model, sequences=sequences, length=length, seed=seed, text=text, labelled=labelled)
    scores = [torch.zeros_like(ref.parameter, dtype=torch.float32, requires_grad=False) for ref in refs]
    values = []
    with only_these_learn(model.network, refs):
        for loss in examples.losses:
            value, found = loss_and_gradients(model.network, refs, loss)
            values.append(value)
            for ref, score, gradient in zip(refs, scores, found, strict=True):
                score += gradient.mul_(ref.parameter.detach()).abs_()
    prune_by_score_(refs, scores, sparsity)
    return {"calibration": examples.source, "loss_before": sum(values) / len(values)}
