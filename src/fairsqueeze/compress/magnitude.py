"""Magnitude pruning: the smallest weights go, layer by layer or under one threshold."""

from __future__ import annotations

from torch import Tensor

from fairsqueeze.compress.cut import SAVES, Sparsity, drop_count, zero_smallest, zero_smallest_of_all_
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule, weight_rule

_STUDY = "Mannheim 2024, Can Pruning Language Models Reduce Their Bias?, {}; torch.nn.utils.prune.{}"


@weight_rule(
    "magnitude.all",
    selects="all",
    exact_over="matrix",
    family="magnitude",
    source=_STUDY.format("l1-unstructured", "l1_unstructured"),
    saves=SAVES,
)
def magnitude_all(weight: Tensor, *, sparsity: Sparsity) -> Tensor:
    """Zero the smallest weights of every layer, the same share in each, embeddings and norms included.

    Norms and embeddings hold few, large or unevenly used weights, so this breaks a model much earlier than pruning its
    linear layers does; it is here because published studies did it.

    Args:
        weight: any weight matrix or vector, any float type. Not modified. Biases are never handed over.
        sparsity: share of its weights that are zero afterwards, in [0, 1), to the nearest whole weight. Of equal
            magnitudes the first go first; weights that are already zero count.

    Returns:
        A new weight of the same shape and type.

    Source:
        "l1-unstructured" of the study: `prune.l1_unstructured` on every module that has a `.weight`, classifier
        included. A matrix shared by several layers (tied output head, ALBERT) is pruned once.
    """
    return zero_smallest(weight, weight, drop_count(sparsity, weight.numel()))


@weight_rule(
    "magnitude.linear",
    selects="linear",
    exact_over="matrix",
    family="magnitude",
    source=_STUDY.format("l1-unstructured-linear", "l1_unstructured"),
    saves=SAVES,
)
def magnitude_linear(weight: Tensor, *, sparsity: Sparsity) -> Tensor:
    """Zero the smallest weights of every linear layer, the same share in each.

    Args:
        weight: linear weight, shape (out, in), any float type. Not modified.
        sparsity: share of its weights that are zero afterwards, in [0, 1), to the nearest whole weight. Of equal
            magnitudes the first go first; weights that are already zero count.

    Returns:
        A new weight of the same shape and type.

    Source:
        "l1-unstructured-linear" of the study: `prune.l1_unstructured` on every `nn.Linear`, classifier included.
        GPT-2's Conv1D is a linear layer here. A head that is tied to the embedding is an embedding and stays.
    """
    return zero_smallest(weight, weight, drop_count(sparsity, weight.numel()))


@model_rule(
    "magnitude.global",
    selects="all",
    exact_over="selection",
    family="magnitude",
    source=_STUDY.format("global-unstructured", "global_unstructured"),
    saves=SAVES,
)
def magnitude_global(model: Model, *, sparsity: Sparsity) -> None:
    """Zero the smallest weights of the whole model under one threshold, embeddings and norms included.

    Layers lose as many weights as they have small ones, so layers with small weights can lose nearly all of theirs.

    Args:
        model: changed in place.
        sparsity: share of all selected weights together that are zero afterwards, in [0, 1), to the nearest whole
            weight. Of equal magnitudes those of the earlier layer go first; weights that are already zero count.

    Source:
        "global-unstructured" of the study: `prune.global_unstructured` with `L1Unstructured` over every module that
        has a `.weight`. The threshold is exact and found without joining the layers.
    """
    _zero_smallest_of_all(model, "all", sparsity)


@model_rule(
    "magnitude.global_attention",
    selects="attention",
    exact_over="selection",
    family="magnitude",
    source=_STUDY.format("global-unstructured-attention", "global_unstructured"),
    saves=SAVES,
)
def magnitude_global_attention(model: Model, *, sparsity: Sparsity) -> None:
    """Zero the smallest weights of all query, key and value projections under one threshold.

    Args:
        model: changed in place.
        sparsity: share of these weights together that are zero afterwards, in [0, 1), to the nearest whole weight. It
            is no share of the model: in RoBERTa-base they are 17 % of it.

    Source:
        "global-unstructured-attention" ("Global L1 AH") of the study: Q, K and V of all layers, not the output
        projection. Where query, key and value are one fused matrix, this whole matrix counts.
    """
    _zero_smallest_of_all(model, "attention", sparsity)


def _zero_smallest_of_all(model: Model, select: str, sparsity: float) -> None:
    weights = [ref.parameter for ref in weight_matrices(model.network, select)]
    zero_smallest_of_all_(weights, drop_count(sparsity, sum(w.numel() for w in weights)))
