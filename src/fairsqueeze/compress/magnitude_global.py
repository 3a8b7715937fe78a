"""Magnitude pruning: the smallest weights of the whole model go, under one threshold."""

from __future__ import annotations

from fairsqueeze.compress.cut import SAVES, Sparsity
from fairsqueeze.compress.magnitude import STUDY, zero_smallest_selected_
from fairsqueeze.models.model import Model
from fairsqueeze.registry import model_rule


@model_rule(
    "magnitude.global",
    selects="all",
    exact_over="selection",
    family="magnitude",
    source=STUDY.format("global-unstructured", "global_unstructured"),
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
    zero_smallest_selected_(model, "all", sparsity)
