"""How well a model in training does on held-out pairs: what early stopping goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fairsqueeze.errors import NonFinite
from fairsqueeze.training.batches import PairBatches

if TYPE_CHECKING:
    from fairsqueeze.models.model import Model

PAIRS_AT_ONCE = 64


def score(model: Model, held: PairBatches) -> float | None:
    """Accuracy of a classifier; of a regressor the mean of Pearson's and Spearman's correlation, None if undefined.

    A tie of the highest outputs is wrong. The network is left in the mode it was in. Raises NonFinite for outputs that
    are no numbers, which are neither wrong answers nor undefined.
    """
    network = model.network
    training = network.training
    network.eval()
    found = []
    size = 1 if held.alone else PAIRS_AT_ONCE
    try:
        with torch.no_grad():
            for at in range(0, len(held), size):
                chosen = range(at, min(at + size, len(held)))
                found.append(network(**held.inputs(chosen, network.device)).logits.double().cpu().numpy())
    finally:
        network.train(training)
    outputs, targets = np.concatenate(found), np.array(held.targets(range(len(held))))
    if not np.isfinite(outputs).all():
        raise NonFinite("The model answers validation examples with NaN or infinity.", "Take a lower rate.")
    if model.kind == "pair_regressor":
        return _correlation(outputs[:, 0], targets)
    best = outputs.max(axis=1, keepdims=True)
    alone = (outputs == best).sum(axis=1) == 1
    return float(np.mean(alone & (outputs.argmax(axis=1) == targets)))


def _correlation(outputs: np.ndarray, targets: np.ndarray) -> float | None:
    from scipy.stats import pearsonr, spearmanr

    if len(outputs) < 2 or np.ptp(outputs) <= 1e-6 or np.ptp(targets) == 0:
        return None
    return float((pearsonr(outputs, targets)[0] + spearmanr(outputs, targets)[0]) / 2)
