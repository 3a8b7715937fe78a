"""Magnitude pruning: the smallest weights of all attention projections go, under one threshold."""

from __future__ import annotations

from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.magnitude import STUDY, zero_smallest_selected_
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "magnitude.global_attention",
    selects="attention",
    exact_over="selection",
    family="magnitude",
    source=STUDY.format("global-unstructured-attention", "global_unstructured"),
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
    zero_smallest_selected_(model, "attention", sparsity)
