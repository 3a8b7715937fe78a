"""Magnitude pruning: the study that its methods come from, and one threshold over many layers."""

from __future__ import annotations

from fairsqueeze.compress.cut import drop_count, zero_smallest_of_all_
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.models.model import Model

STUDY = "Mannheim 2024, Can Pruning Language Models Reduce Their Bias?, {}; torch.nn.utils.prune.{}"


def zero_smallest_selected_(model: Model, select: str, sparsity: float) -> None:
    """Zero, in place, this share of all weights that `select` names together, the smallest; of equal ones the first."""
    weights = [ref.parameter for ref in weight_matrices(model.network, select)]
    zero_smallest_of_all_(weights, drop_count(sparsity, sum(w.numel() for w in weights)))
