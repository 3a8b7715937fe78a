"""Pairs: the outputs of a sequence-pair classifier or regressor."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fairsqueeze.engine.budget import Work
from fairsqueeze.engine.limits import uniform_length
from fairsqueeze.engine.plan import Plan
from fairsqueeze.engine.reading import Reader
from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.engine.usage import Usage
from fairsqueeze.models.model import Model


@dataclass(frozen=True)
class Pair:
    """Token ids of a sentence pair and their types, which may be empty."""

    ids: tuple[int, ...]
    types: tuple[int, ...]


def plan_pair(reader: Reader, labels: tuple[str, ...], request: PairOutput) -> Plan:
    """One sequence of both sentences, as the tokeniser joins them."""
    ids, types = reader.read_pair(request.first, request.second)
    reader.check_fits(len(ids), f"{request.first} {request.second}")
    return Plan((Pair(ids, types),), lambda found: Outputs(found[0], labels, len(ids)), len(ids))


def labels_of(model: Model) -> tuple[str, ...]:
    """Names of the outputs in their order, from the config."""
    names = getattr(model.network.config, "id2label", None) or {}
    return tuple(str(names[index]) for index in sorted(names))


class Judge:
    """Runs a pair classifier or regressor."""

    def __init__(self, model: Model, padding: int, usage: Usage) -> None:
        self._model = model
        self._padding = padding
        self._usage = usage
        self._uniform = uniform_length(model.network)
        accepted = inspect.signature(model.network.forward).parameters
        self._typed = "token_type_ids" in accepted and getattr(model.network.config, "type_vocab_size", 2) > 1

    @property
    def work(self) -> Work[Pair, np.ndarray]:
        return Work(lambda piece: len(piece.ids), self.judge, lone=self._lone)

    def judge(self, pieces: Sequence[Pair]) -> list[np.ndarray]:
        """Logits of each pair, float64, shape (n_outputs,)."""
        longest = max(len(piece.ids) for piece in pieces)
        ids = torch.full((len(pieces), longest), self._padding)
        mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
        for number, piece in enumerate(pieces):
            ids[number, : len(piece.ids)] = torch.tensor(piece.ids)
            mask[number, : len(piece.ids)] = 1
            types[number, : len(piece.types)] = torch.tensor(piece.types, dtype=torch.long)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self._typed and any(piece.types for piece in pieces):
            inputs["token_type_ids"] = types
        self._usage.forward_passes += 1
        self._usage.tokens_forwarded += int(mask.sum())
        self._usage.tokens_padding += int((1 - mask).sum())
        with torch.inference_mode():
            inputs = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
            logits = self._model.network(**inputs).logits
        return list(logits.double().cpu().numpy())

    def _lone(self, piece: Pair) -> bool:
        if self._model.network.config.pad_token_id is None:  # causal classifiers then refuse batches
            return True
        return self._uniform is not None and len(piece.ids) > self._uniform
