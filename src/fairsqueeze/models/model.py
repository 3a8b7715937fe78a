"""Model: a network in memory with its tokeniser, its kind, and how it came to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fairsqueeze.registry import Kind

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class Model:
    """A loaded model.

    Args:
        network: the transformers model, in eval mode.
        tokenizer: its tokeniser.
        kind: causal, masked, encoder, pair_classifier or pair_regressor.
        reference: how a user named it (`builtin:smollm2-135m`, a folder, a hub id, …).
        provenance: how it came to be: source, revision, file hashes, compression steps in order (`steps`: a list of
            spec JSON with what each measured about itself).
        absent: weights that the files did not have and that this kind never uses (a pooler, another head).
        ignored: weights in the files that this kind never uses (the masked head of a model loaded as encoder).
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    kind: Kind
    reference: str
    provenance: dict[str, Any] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Content id of the weights and config that are in memory now: 16 hex digits, computed afresh at each call."""
        from fairsqueeze.models.fingerprint import fingerprint

        return fingerprint(self.network)

    @property
    def device(self) -> torch.device:
        return self.network.device

    @property
    def parameters(self) -> int:
        """Number of parameters, tied ones counted once."""
        return sum(p.numel() for p in self.network.parameters())
