"""Importance of attention heads by gradient: how much the loss changes when a head is turned down a little."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairsqueeze.compress.heads_removal import query_heads, units
from fairsqueeze.compress.surgery_calibration import LabelledPair, encoded_pair
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import Anatomy, Attention, anatomy
from fairsqueeze.models.model import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Loss = Callable[["PreTrainedModel"], Tensor]
"""Runs a network on one example and gives the loss, a number with a gradient."""

_MASKED_SHARE = 0.15


def head_importance(
    network: PreTrainedModel, losses: Sequence[Loss], removed: Sequence[Sequence[int]] | None = None
) -> list[Tensor]:
    """Σ over examples of |∂ loss / ∂ ξ|, where ξ = 1 scales what a head hands to the output projection.

    Per block one value for each of its `units` (heads that share a key-value head share one ξ), divided by the block's
    L2 norm, float64.

    Args:
        network: in eval mode; left as it was.
        losses: one for each example, so that gradients of opposite sign don't cancel between examples.
        removed: units whose ξ is 0 (already masked), by block.

    Source: Michel et al. 2019, arXiv:1905.10650, equation 2 and section 4.1 (normalised per layer). Not divided by the
    number of tokens, which the norm takes out. A block shared by several layers (ALBERT) has one ξ for all of them.
    """
    found = anatomy(network)
    masks = [torch.ones(units(b.attention), device=network.device, dtype=network.dtype) for b in found.blocks]
    for mask, gone in zip(masks, removed or [[]] * len(masks), strict=True):
        mask[list(gone)] = 0.0
        mask.requires_grad_(True)
    total = [torch.zeros(len(mask), dtype=torch.float64) for mask in masks]
    with torch.enable_grad(), masked_heads(network, found, masks):
        for loss in losses:
            gradients = torch.autograd.grad(loss(network), masks)
            for sum_, gradient in zip(total, gradients, strict=True):
                sum_ += gradient.detach().abs().double().cpu()
    return [importance / importance.norm().clamp(min=1e-30) for importance in total]


@contextmanager
def masked_heads(network: PreTrainedModel, found: Anatomy, masks: Sequence[Tensor]) -> Iterator[None]:
    """In this context what each unit hands to the output projection is multiplied by its entry in `masks`, by block."""
    handles = [
        network.get_submodule(block.attention.output.module).register_forward_pre_hook(_scale(block.attention, mask))
        for block, mask in zip(found.blocks, masks, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _scale(attention: Attention, mask: Tensor) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    each = len(query_heads(attention, 0)) * attention.head_dim
    index = torch.tensor(attention.output.index, device=mask.device)

    def hook(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        factors = torch.zeros(len(index), dtype=mask.dtype, device=mask.device)
        return (given[0] * factors.scatter(0, index, mask.repeat_interleave(each)), *given[1:])

    return hook


def language_losses(model: Model, sequences: Sequence[Tensor], seed: int = 0) -> list[Loss]:
    """Mean negative log-likelihood (nats a token) of each sequence (1, n): of its next tokens for a causal model, of
    15 % of its tokens, each replaced by the mask token, for a masked one (places drawn with `seed`)."""
    if model.kind == "causal":
        return [_next_tokens(ids) for ids in sequences]
    generator = torch.Generator().manual_seed(seed)
    special = set(model.tokenizer.all_special_ids)
    return [_hidden_tokens(ids, special, model.tokenizer.mask_token_id, generator) for ids in sequences]


def _next_tokens(ids: Tensor) -> Loss:
    def loss(network: PreTrainedModel) -> Tensor:
        here = ids.to(network.device)
        logits = network(input_ids=here, attention_mask=torch.ones_like(here)).logits
        return functional.cross_entropy(logits[0, :-1].float(), here[0, 1:])

    return loss


def _hidden_tokens(ids: Tensor, special: set[int], mask_id: int, generator: torch.Generator) -> Loss:
    places = [place for place, token in enumerate(ids[0].tolist()) if token not in special]
    count = max(1, round(_MASKED_SHARE * len(places)))
    chosen = torch.tensor(places)[torch.randperm(len(places), generator=generator)[:count]]

    def loss(network: PreTrainedModel) -> Tensor:
        here = ids.to(network.device)
        hidden = here.clone()
        hidden[0, chosen] = mask_id
        logits = network(input_ids=hidden, attention_mask=torch.ones_like(here)).logits
        return functional.cross_entropy(logits[0, chosen].float(), here[0, chosen])

    return loss


def pair_losses(model: Model, pairs: Sequence[LabelledPair], length: int = 8192) -> list[Loss]:
    """Cross entropy of each pair's class, or squared error of its value for a regressor; pairs are cut to `length`.

    Raises BadSetting for a label that is no class of the model.
    """
    classes = int(model.network.config.num_labels or 0)
    for pair in pairs:
        if model.kind == "pair_classifier" and pair.label not in range(classes):
            raise BadSetting(f"{pair.label:g} is no class of {model.reference}.", f"It has 0 to {classes - 1}.")
    return [_pair_loss(model, pair, length) for pair in pairs]


def _pair_loss(model: Model, pair: LabelledPair, length: int) -> Loss:
    inputs = encoded_pair(model, pair, length)

    def loss(network: PreTrainedModel) -> Tensor:
        logits = network(**inputs).logits[0].float()
        if model.kind == "pair_regressor":
            return (logits[0] - pair.label) ** 2
        return functional.cross_entropy(logits[None], torch.tensor([int(pair.label)], device=logits.device))

    return loss
