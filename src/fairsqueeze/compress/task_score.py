"""Task score: how good a network is on the examples that it is judged by while heads are taken from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import stats

from fairsqueeze.compress.heads_importance import Loss
from fairsqueeze.compress.surgery_calibration import LabelledPair, encoded_pair
from fairsqueeze.errors import NonFinite
from fairsqueeze.models.model import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Score = Callable[["PreTrainedModel"], "float | None"]
"""Of a network, higher is better; None where it is undefined, which no score at all keeps up with."""


def pair_score(model: Model, pairs: Sequence[LabelledPair], length: int) -> Score:
    """Of a classifier its accuracy, of a regressor the mean of its Pearson and its Spearman correlation.

    A right class that shares the highest logit with k − 1 others counts 1/k. None where all outputs, or all labels, of
    a regressor are the same: there is nothing to correlate.

    Args:
        model: a pair classifier or regressor.
        pairs: at least one; cut to `length` tokens.

    The score raises NonFinite where an output is NaN or infinite.

    Source: the scores by which Mannheim 2024 prunes ("structured"), of MNLI (matched) and STS-B.
    """
    inputs = [encoded_pair(model, pair, length) for pair in pairs]
    labels = np.array([pair.label for pair in pairs])
    judged = correlation if model.kind == "pair_regressor" else accuracy

    @torch.no_grad()
    def score(network: PreTrainedModel) -> float | None:
        rows = [network(**given).logits[0].double().cpu().numpy() for given in inputs]
        return judged(finite(np.stack(rows)), labels)

    return score


def likelihood_score(losses: Sequence[Loss]) -> Score:
    """exp(−mean loss): of a language model one over its perplexity on the examples."""

    @torch.no_grad()
    def score(network: PreTrainedModel) -> float | None:
        return math.exp(-sum(float(loss(network)) for loss in losses) / len(losses))

    return score


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of right classes; logits (n, classes), labels (n,) numbers of classes. A tie of k counts 1/k."""
    best = logits == logits.max(1, keepdims=True)
    right = best[np.arange(len(labels)), labels.astype(int)]
    return float((right / best.sum(1)).mean())


def correlation(outputs: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean of Pearson's and Spearman's correlation; outputs (n, 1), labels (n,). None where either is constant."""
    values = outputs[:, 0]
    if np.ptp(values) == 0 or np.ptp(labels) == 0:
        return None
    return float(stats.pearsonr(values, labels).statistic + stats.spearmanr(values, labels).statistic) / 2


def finite(outputs: np.ndarray) -> np.ndarray:
    """The outputs. Raises NonFinite where one is NaN or infinite."""
    if not np.isfinite(outputs).all():
        raise NonFinite("The model puts out NaN or infinity.", "The model is broken; load it again.")
    return outputs
