"""Batches: pairs read by the tokeniser once, drawn in a seeded order, padded, with the loss of each batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from fairsqueeze.spec import content_id
from fairsqueeze.training.pairs import Labelled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from fairsqueeze.models.model import Model

Loss = Callable[["PreTrainedModel"], Tensor]
"""Runs a network on a batch and gives the mean loss, a number with a gradient."""


def draw_seed(seed: int, *what: Any) -> int:
    """A seed of its own for everything that is drawn: the same on every machine and in every order, 63 bits."""
    return int(content_id([seed, *what], 16), 16) >> 1


def order_of_epoch(n: int, seed: int, epoch: int) -> list[int]:
    """All of `n` examples in the order of this epoch; it depends on the seed and the epoch only."""
    generator = torch.Generator().manual_seed(draw_seed(seed, "epoch", epoch))
    return torch.randperm(n, generator=generator).tolist()


class PairBatches:
    """Labelled pairs as token ids, and batches of them by their numbers.

    Args:
        model: its tokeniser reads the pairs; its kind says which loss.
        pairs: what to learn.
        max_length: tokens of a pair, cut to what the network's positions allow.
        pad_to_max: pad to this length rather than to the longest of the batch.
    """

    def __init__(self, model: Model, pairs: Sequence[Labelled], max_length: int, pad_to_max: bool = False) -> None:
        self._tokenizer = model.tokenizer
        self._regression = model.kind == "pair_regressor"
        self._length = min(max_length, positions_of(model))
        self._padding = "max_length" if pad_to_max else "longest"
        self._encoded = [self._read(pair) for pair in pairs]
        self._targets = [float(pair.label) for pair in pairs]
        self.alone = model.network.config.pad_token_id is None
        """Causal classifiers without a padding token take one pair at a time."""

    def __len__(self) -> int:
        return len(self._targets)

    def _read(self, pair: Labelled) -> dict[str, list[int]]:
        read = self._tokenizer(pair.first, pair.second or None, truncation=True, max_length=self._length, verbose=False)
        return {name: list(values) for name, values in read.items()}

    def inputs(self, chosen: Sequence[int], device: torch.device) -> dict[str, Tensor]:
        """What the network takes for these pairs."""
        rows = [self._encoded[k] for k in chosen]
        if len(rows) == 1 and self._padding == "longest":
            return {name: torch.tensor([values], device=device) for name, values in rows[0].items()}
        names = list(rows[0])
        padded = self._tokenizer.pad(
            {name: [row[name] for row in rows] for name in names},
            padding=self._padding,
            max_length=self._length,
            return_tensors="pt",
            verbose=False,
        )
        return {name: padded[name].to(device) for name in names}

    def targets(self, chosen: Sequence[int]) -> list[float]:
        return [self._targets[k] for k in chosen]

    def loss(self, chosen: Sequence[int]) -> Loss:
        """Mean cross entropy (nats) of these pairs' classes, or mean squared error of their values."""
        targets = self.targets(chosen)

        def loss(network: PreTrainedModel) -> Tensor:
            logits = network(**self.inputs(chosen, network.device)).logits
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            if self._regression:
                wanted = torch.tensor(targets, device=logits.device, dtype=logits.dtype)
                return functional.mse_loss(logits[:, 0], wanted)
            return functional.cross_entropy(logits, torch.tensor(targets, device=logits.device).long())

        return loss


def positions_of(model: Model) -> int:
    """How many tokens a sequence may have; RoBERTa's first positions are taken by its padding."""
    config = model.network.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None) or 1_000_000
    table = getattr(getattr(model.network.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return int(positions) - (0 if padding is None else int(padding) + 1)
