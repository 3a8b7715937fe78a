"""Fairness-aware pruning of attention heads (FASP): heads that performance needs stay, those that carry bias go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fairsqueeze.compress.cut import drop_count
from fairsqueeze.compress.heads_removal import output_inputs, remove_heads, units
from fairsqueeze.compress.surgery import silenced
from fairsqueeze.errors import BadSetting, NonFinite
from fairsqueeze.models.anatomy import anatomy
from fairsqueeze.models.model import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def fasp_heads(performance_impact: np.ndarray, bias_impact: np.ndarray, gamma: float, alpha: float) -> np.ndarray:
    """Which of N heads FASP removes, bool, shaped as the impacts.

    The γN heads of the highest performance impact are protected; of the others the αN of the lowest bias impact go.

    Args:
        performance_impact: how much worse the model performs without a head (its perplexity without it); higher is
            worse. Any shape, finite.
        bias_impact: bias without a head; lower means that removing it takes bias away. The same shape, finite.
        gamma: share of heads to protect, in [0, 1].
        alpha: share of heads to remove, in [0, 1); α + γ at most 1. Shares count to the nearest head; of equal heads
            the first go first, in both rankings.

    Raises BadSetting for shares or shapes that do not fit, NonFinite for impacts that are NaN or infinite.

    Source: Zayed et al. 2024, Fairness-Aware Structured Pruning in Transformers, arXiv:2312.15398, section 4.
    """
    performance, bias = np.asarray(performance_impact, dtype=float), np.asarray(bias_impact, dtype=float)
    if performance.shape != bias.shape:
        raise BadSetting(f"Impacts have shapes {performance.shape} and {bias.shape}.", "They must be the same.")
    if not (np.isfinite(performance).all() and np.isfinite(bias).all()):
        raise NonFinite("An impact is NaN or infinite.", "A head without a score can't be ranked.")
    if not (0 <= gamma <= 1 and 0 <= alpha < 1):
        raise BadSetting(f"gamma is {gamma}, alpha {alpha}.", "gamma must be in [0, 1], alpha in [0, 1).")
    n = performance.size
    protected, count = drop_count(gamma, n), drop_count(alpha, n)
    if protected + count > n:
        raise BadSetting(f"Of {n} heads {protected} would be protected and {count} removed.", "Lower gamma or alpha.")
    # The first of equal heads goes, so the last of equal ones is protected.
    free = np.argsort(performance.ravel(), kind="stable")[: n - protected]
    free.sort()
    removed = np.zeros(n, dtype=bool)
    removed[free[np.argsort(bias.ravel()[free], kind="stable")[:count]]] = True
    return removed.reshape(performance.shape)


def knock_out(network: PreTrainedModel, value: Callable[[PreTrainedModel], float]) -> list[np.ndarray]:
    """`value(network)` with each head (unit) silenced alone, the others in place: one vector for each block."""
    found = anatomy(network)
    values = []
    for block in found.blocks:
        here = []
        for unit in range(units(block.attention)):
            with silenced(network, {block.attention.output.module: output_inputs(block.attention, [unit])}):
                here.append(float(value(network)))
        values.append(np.array(here))
    return values


def prune_heads_fairly(
    model: Model,
    loss: Callable[[PreTrainedModel], float],
    bias: Callable[[PreTrainedModel], float],
    gamma: float,
    alpha: float,
) -> list[list[int]]:
    """Remove, physically and in place, the heads that FASP chooses, and return them by block.

    Args:
        model: its network is replaced.
        loss: of a network, higher is worse (perplexity in the paper); called once for each head.
        bias: of a network, higher is more biased, never signed (a signed one would reward the opposite bias).
        gamma, alpha: as in `fasp_heads`.

    Raises BadSetting as `fasp_heads`, and where a block would lose all of its heads. Heads under grouped-query
    attention count and go by group.
    """
    performance, biases = knock_out(model.network, loss), knock_out(model.network, bias)
    chosen = fasp_heads(np.concatenate(performance), np.concatenate(biases), gamma, alpha)
    parts = np.split(chosen, np.cumsum([len(p) for p in performance])[:-1])
    removed = [np.flatnonzero(part).tolist() for part in parts]
    model.network = remove_heads(model.network, removed)
    return removed
