"""Vectors: pooled hidden states of sentences, and static input embeddings."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fairsqueeze.engine.budget import Work
from fairsqueeze.engine.limits import uniform_length
from fairsqueeze.engine.plan import Plan
from fairsqueeze.engine.reading import Reader, beginning
from fairsqueeze.engine.requests import SentenceVector, StaticVector, Vector
from fairsqueeze.engine.usage import Usage
from fairsqueeze.errors import BadSetting, DataError
from fairsqueeze.models.model import Model


@dataclass(frozen=True)
class Pooled:
    """Token ids whose hidden states of `layer` are wanted, pooled."""

    ids: tuple[int, ...]
    pooling: str
    layer: int


@dataclass(frozen=True)
class Static:
    """Token ids whose mean input embedding is wanted."""

    ids: tuple[int, ...]


def plan_sentence(reader: Reader, n_layers: int, request: SentenceVector) -> Plan:
    """One sequence with the special tokens that the tokeniser adds. `n_layers` counts the blocks."""
    if not -n_layers - 1 <= request.layer <= n_layers:
        raise BadSetting(
            f"{reader.reference} has no layer {request.layer}.",
            f"Choose 0 (embeddings) to {n_layers} (last block), or count from the end with -1 to {-n_layers - 1}.",
        )
    ids = reader.read(request.text, special=True).ids
    _check_some(ids, request.text)
    reader.check_fits(len(ids), request.text)
    return Plan((Pooled(ids, request.pooling, request.layer),), lambda found: Vector(found[0], len(ids)), len(ids))


def plan_static(reader: Reader, request: StaticVector) -> Plan:
    """The tokens of the text itself; nothing is forwarded."""
    ids = reader.read(request.text, special=False).ids
    _check_some(ids, request.text)
    return Plan((Static(ids),), lambda found: Vector(found[0], len(ids)), 0)


class Pooler:
    """Runs the body of a network and pools hidden states."""

    def __init__(self, model: Model, padding: int, usage: Usage) -> None:
        self._model = model
        self._padding = padding
        self._usage = usage
        self._body = model.network.base_model
        self._uniform = uniform_length(model.network)
        self._cache = {"use_cache": False} if "use_cache" in inspect.signature(self._body.forward).parameters else {}

    @property
    def work(self) -> Work[Pooled, np.ndarray]:
        return Work(lambda piece: len(piece.ids), self.pool, lone=self._lone)

    def order(self, pieces: Sequence[Pooled]) -> list[Pooled]:
        """Pieces of one layer together, longest first; a fixed order for a set of pieces."""
        return sorted(pieces, key=lambda piece: (-len(piece.ids), piece.ids, piece.layer, piece.pooling))

    def pool(self, pieces: Sequence[Pooled]) -> list[np.ndarray]:
        """Vectors in float32, shape (width,) each; sequences that differ only in layer or pooling are run once."""
        distinct = {ids: number for number, ids in enumerate(dict.fromkeys(piece.ids for piece in pieces))}
        inputs, lengths = _padded(list(distinct), self._padding)
        self._usage.forward_passes += 1
        self._usage.tokens_forwarded += sum(lengths)
        self._usage.tokens_padding += inputs["input_ids"].numel() - sum(lengths)
        inputs = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
        all_layers = any(piece.layer != -1 for piece in pieces)
        with torch.inference_mode():
            output = self._body(**inputs, output_hidden_states=all_layers, **self._cache)
            answers = []
            for piece in pieces:
                states = output.last_hidden_state if piece.layer == -1 else output.hidden_states[piece.layer]
                sentence = states[distinct[piece.ids], : len(piece.ids)].float()
                answers.append(_pooled(sentence, piece.pooling).cpu().numpy())
        return answers

    def _lone(self, piece: Pooled) -> bool:
        return self._uniform is not None and len(piece.ids) > self._uniform


def static_vectors(model: Model, pieces: Sequence[Static]) -> list[np.ndarray]:
    """Mean input embedding of each piece, float32, shape (width,)."""
    embed = model.network.get_input_embeddings()
    with torch.inference_mode():
        ids = [torch.tensor(piece.ids, device=model.device) for piece in pieces]
        return [embed(one).float().mean(0).cpu().numpy() for one in ids]


def _pooled(states: torch.Tensor, pooling: str) -> torch.Tensor:
    if pooling == "mean":
        return states.mean(0)
    return states[0] if pooling == "cls" else states[-1]


def _padded(sequences: Sequence[tuple[int, ...]], padding: int) -> tuple[dict[str, torch.Tensor], list[int]]:
    lengths = [len(ids) for ids in sequences]
    ids = torch.full((len(sequences), max(lengths)), padding)
    mask = torch.zeros_like(ids)
    for number, sequence in enumerate(sequences):
        ids[number, : len(sequence)] = torch.tensor(sequence)
        mask[number, : len(sequence)] = 1
    return {"input_ids": ids, "attention_mask": mask}, lengths


def _check_some(ids: tuple[int, ...], text: str) -> None:
    if not ids:
        raise DataError(f"The text {beginning(text)!r} has no tokens, so it has no vector.", "Leave it out.")
