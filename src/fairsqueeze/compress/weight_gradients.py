"""Weight gradients: how a loss changes with every selected weight, without the other weights' gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fairsqueeze.compress.cut import drop_count, zero_smallest
from fairsqueeze.compress.heads_importance import Loss
from fairsqueeze.errors import ModelError, NonFinite
from fairsqueeze.models.anatomy import WeightRef

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def only_these_learn(network: PreTrainedModel, refs: Sequence[WeightRef]) -> Iterator[None]:
    """In this context the weights of `refs` have gradients, and nothing else in the network has."""
    before = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    chosen = {id(ref.parameter) for ref in refs}
    try:
        for parameter, _ in before:
            parameter.requires_grad_(id(parameter) in chosen)
        yield
    finally:
        for parameter, learned in before:
            parameter.requires_grad_(learned)


def loss_and_gradients(network: PreTrainedModel, refs: Sequence[WeightRef], loss: Loss) -> tuple[float, list[Tensor]]:
    """The loss, and ∂ loss / ∂ weight for each of `refs`, float32, shaped as it is stored.

    Raises:
        ModelError: a weight that the loss does not depend on.
        NonFinite: a gradient that is NaN or infinite.
    """
    with torch.enable_grad():
        value = loss(network)
        found = torch.autograd.grad(value, [ref.parameter for ref in refs], allow_unused=True)
    result = []
    for ref, gradient in zip(refs, found, strict=True):
        if gradient is None:
            raise ModelError(
                f"{ref.name} plays no part in the loss, so nothing tells which of its weights matter.",
                "Use a method that needs no loss, such as magnitude.linear or wanda.",
            )
        if not bool(torch.isfinite(gradient).all()):
            raise NonFinite(
                f"The gradient of {ref.name} is NaN or infinite.", "Use a smaller learning rate, or float32."
            )
        result.append(gradient.float())
    return float(value.detach()), result


def prune_by_score_(refs: Sequence[WeightRef], scores: Sequence[Tensor], sparsity: float) -> None:
    """Zero, in place, the share `sparsity` of each matrix with the least scores, which may be of either sign.

    Of equal ones the first go first; weights that are zero already go before all others.
    """
    for ref, score in zip(refs, scores, strict=True):
        weight = ref.parameter.detach()
        wide = score.double()  # in float32 the least scores would swallow the differences of the others
        above = wide - wide.min() + torch.finfo(torch.float64).tiny
        above = above.masked_fill(weight == 0, 0.0)
        weight.copy_(zero_smallest(weight, above, drop_count(sparsity, weight.numel())))
