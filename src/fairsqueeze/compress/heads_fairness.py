"""Fairness-aware pruning of attention heads (FASP): heads that performance needs stay, those that carry bias go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from fairsqueeze.compress.calibration import calibrate
from fairsqueeze.compress.calibration_text import PACKAGE
from fairsqueeze.compress.cut import drop_count
from fairsqueeze.compress.heads import REQUIRES, SAVES
from fairsqueeze.compress.heads_importance import language_losses
from fairsqueeze.compress.heads_removal import output_inputs, remove_heads, take_heads_, units
from fairsqueeze.compress.sentence_pairs import sentence_pairs, unevenness
from fairsqueeze.compress.surgery import silenced
from fairsqueeze.compress.surgery_calibration import Length, Sequences
from fairsqueeze.errors import BadSetting, NonFinite
from fairsqueeze.models.anatomy import WeightRef, anatomy
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Range, model_rule

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Value = Callable[["PreTrainedModel"], float]
Alpha = Annotated[float, Range(0, 1, high_open=True)]
Gamma = Annotated[float, Range(0, 1)]


def fasp_heads(
    performance_impact: np.ndarray,
    bias_impact: np.ndarray,
    gamma: float,
    alpha: float,
    spared: np.ndarray | None = None,
) -> np.ndarray:
    """Which of N heads FASP removes, bool, shaped as the impacts.

    The γN heads of the highest performance impact are protected; of the others the αN of the lowest bias impact go.

    Args:
        performance_impact: how much worse the model performs without a head (its perplexity without it); higher is
            worse. Any shape, finite.
        bias_impact: bias without a head; lower means that removing it takes bias away. The same shape, finite.
        gamma: share of heads to protect, in [0, 1].
        alpha: share of heads to remove, in [0, 1); α + γ at most 1. Shares count to the nearest head; of equal heads
            the first go first, in both rankings.
        spared: bool, heads that stay beside the protected ones; None spares no more.

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
    # The first of equal heads goes, so the last of equal ones is protected.
    free = np.argsort(performance.ravel(), kind="stable")[: n - protected]
    free.sort()
    if spared is not None:
        free = free[~spared.ravel()[free]]
    if count > len(free):
        raise BadSetting(f"Of {n} heads {count} would go, but {n - len(free)} must stay.", "Lower gamma or alpha.")
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
    loss: Value,
    bias: Value,
    gamma: float,
    alpha: float,
) -> list[list[int]]:
    """Remove, physically and in place, the heads that FASP chooses, and return the units of each block.

    Args:
        model: its network is replaced.
        loss: of a network, higher is worse (perplexity in the paper); called once for each head.
        bias: of a network, higher is more biased, never signed (a signed one would reward the opposite bias).
        gamma, alpha: as in `fasp_heads`.

    Raises BadSetting as `fasp_heads`. Heads under grouped-query attention count and go by group; of each block the
    head that performance needs most stays.
    """
    removed = _chosen(model.network, loss, bias, gamma, alpha)
    model.network = remove_heads(model.network, removed)
    return removed


def _chosen(network: PreTrainedModel, loss: Value, bias: Value, gamma: float, alpha: float) -> list[list[int]]:
    performance, biases = knock_out(network, loss), knock_out(network, bias)
    best = [np.arange(len(part)) == len(part) - 1 - np.argmax(part[::-1]) for part in performance]
    spared = np.concatenate(best)
    chosen = fasp_heads(np.concatenate(performance), np.concatenate(biases), gamma, alpha, spared)
    parts = np.split(chosen, np.cumsum([len(p) for p in performance])[:-1])
    return [np.flatnonzero(part).tolist() for part in parts]


def check_fairness(
    _: Sequence[WeightRef],
    *,
    model: Model,
    alpha: float,
    gamma: float,
    pairs: str,
    sequences: int,
    length: int,
    text: str,
    seed: int,
) -> None:
    """BadSetting for shares that exceed all heads, ModelError for a model without probabilities of sentences, and the
    errors of files that can't be read, before anything is copied."""
    if alpha + gamma > 1:
        raise BadSetting(
            f"heads.fairness: alpha is {alpha:g} and gamma {gamma:g}, more than all heads.", "Together at most 1."
        )
    unevenness(model, sentence_pairs(pairs))
    calibrate(model, sequences=sequences, length=length, calibration=text or PACKAGE, seed=seed)


@model_rule(
    "heads.fairness",
    selects="attention",
    removes="heads",
    family="heads",
    saves=SAVES,
    requires=f"{REQUIRES}; a language model (causal or masked), a text and sentence pairs",
    fits=check_fairness,
    source="Zayed et al. 2024, Fairness-Aware Structured Pruning in Transformers, arXiv:2312.15398",
)
def heads_fairness(
    model: Model,
    *,
    pairs: str,
    alpha: Alpha = 0.2,
    gamma: Gamma = 0.3,
    sequences: Sequences = 32,
    length: Length = 128,
    text: str = "",
    seed: int,
) -> dict[str, Any]:
    """Remove the attention heads without which the model is least biased, but none of those that performance needs.

    Each head is silenced alone: the γ of all heads whose absence costs most perplexity on a text are protected; of the
    others the α without which bias is least go. Bias is the mean of |log p(more) − log p(less)| over sentence pairs, in
    nats, summed over tokens (of a masked model: each masked by itself). One pass over text and pairs for every head.

    Args:
        model: changed in place. Causal and masked models; encoders, classifiers and regressors give a sentence no
            probability and are refused.
        pairs: path of a JSON Lines file of `more`, `less`: a more and a less stereotypical sentence that differ in the
            group they are about. Take other pairs than those that the result is measured on.
        alpha: share of all heads (groups under grouped-query attention) that go, in [0, 1), to the nearest.
        gamma: share of all heads to protect, in [0, 1]; with alpha at most 1.
        sequences: number of pieces of the text that perplexity is taken on.
        length: tokens of each, special ones included.
        text: where they come from: "package" or "", "wikitext2", "c4", "wiki", or the path of a UTF-8 text file.
        seed: of the pieces, and of a masked model's masks.

    Returns:
        As `heads.gradient`; `bias_before`, `bias_after` (nats), `loss_before`, `loss_after` (nats a token): of the
        model as it was and as it is; `pairs`: how many there are.

    Source:
        Section 4. The paper measures bias by prompts (toxicity of continuations about groups); here by sentence pairs,
        which need no sampling. Here one head of each block, the one that performance needs most, always stays.
    """
    read = sentence_pairs(pairs)
    pieces = calibrate(model, sequences=sequences, length=length, calibration=text or PACKAGE, seed=seed)
    losses, bias = language_losses(model, pieces.sequences, seed), unevenness(model, read)

    def loss(network: PreTrainedModel) -> float:
        return sum(float(one(network)) for one in losses) / len(losses)

    before = {"bias_before": bias(model.network), "loss_before": loss(model.network)}
    told = take_heads_(model, _chosen(model.network, loss, bias, gamma, alpha))
    after = {"bias_after": bias(model.network), "loss_after": loss(model.network)}
    return {**told, **before, **after, "pairs": len(read), "calibration": pieces.to_json()}
