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
from fairsqueeze.engine.reading import Joint, Reader
from fairsqueeze.engine.requests import Outputs, OutputTable, PairOutput, PairOutputs
from fairsqueeze.engine.usage import Usage
from fairsqueeze.errors import DataError
from fairsqueeze.models.model import Model

BUNDLE_TOKENS = 512
"""Largest bundle: small beside any token budget, so that bundles fill a batch."""


@dataclass(frozen=True)
class Pair:
    """Token ids of a sentence pair and their types, which may be empty."""

    ids: tuple[int, ...]
    types: tuple[int, ...]


@dataclass(frozen=True)
class Bundle:
    """The halves of several pairs with one first sentence, as token ids, and how the tokeniser joins them."""

    first: tuple[int, ...]
    seconds: tuple[tuple[int, ...], ...]
    joint: Joint

    @property
    def longest(self) -> int:
        """Tokens of the longest pair."""
        return len(self.first) + max(len(second) for second in self.seconds) + self.joint.added

    @property
    def size(self) -> int:
        """Tokens that go through the network, padding within the bundle included."""
        return len(self.seconds) * self.longest

    @property
    def pairs(self) -> list[Pair]:
        return [Pair(*self.joint.join(self.first, second)) for second in self.seconds]

    def parts(self) -> tuple[Bundle, ...]:
        """The same pairs in order, in bundles of at most `BUNDLE_TOKENS` (or one pair) each."""
        most = max(1, BUNDLE_TOKENS // self.longest)
        starts = range(0, len(self.seconds), most)
        return tuple(Bundle(self.first, self.seconds[start : start + most], self.joint) for start in starts)


def plan_pair(reader: Reader, labels: tuple[str, ...], request: PairOutput) -> Plan:
    """One sequence of both sentences, as the tokeniser joins them."""
    ids, types = reader.read_pair(request.first, request.second)
    reader.check_fits(len(ids), f"{request.first} {request.second or ''}".rstrip())
    return Plan((Pair(ids, types),), lambda found: Outputs(found[0], labels, len(ids)), len(ids))


def plan_pairs(reader: Reader, labels: tuple[str, ...], request: PairOutputs, *, together: bool) -> Plan:
    """The pairs of the request in bundles; pair by pair where not `together` or the halves can't be joined."""
    if not request.seconds:
        raise DataError(f"{request.first!r} is paired with nothing.", "Give at least one second sentence.")
    joint = reader.joint(request.first, request.seconds[0]) if together else None
    if joint is None:
        plans = [plan_pair(reader, labels, PairOutput(request.first, second)) for second in request.seconds]
        total = sum(plan.tokens for plan in plans)
        pieces = tuple(plan.pieces[0] for plan in plans)
        return Plan(pieces, lambda found: OutputTable(np.stack(found), labels, total), total)
    bundle = Bundle(reader.half(request.first), tuple(map(reader.half, request.seconds)), joint)
    reader.check_fits(bundle.longest, f"{request.first} {max(request.seconds, key=len)}")
    tokens = sum(len(bundle.first) + len(second) + joint.added for second in bundle.seconds)
    return Plan(bundle.parts(), lambda found: OutputTable(np.concatenate(found), labels, tokens), tokens)


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

    @property
    def bundled(self) -> Work[Bundle, np.ndarray]:
        return Work(lambda piece: piece.size, self.judge_bundles, lone=self._lone_bundle)

    @property
    def batches(self) -> bool:
        """Whether this model takes several pairs at once."""
        return self._model.network.config.pad_token_id is not None

    def judge_bundles(self, bundles: Sequence[Bundle]) -> list[np.ndarray]:
        """Logits of the pairs of each bundle, float64, shape (n_pairs, n_outputs)."""
        logits = np.stack(self.judge([pair for bundle in bundles for pair in bundle.pairs]))
        return np.split(logits, np.cumsum([len(bundle.seconds) for bundle in bundles])[:-1])

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
        return list(logits.cpu().double().numpy())

    def _lone(self, piece: Pair) -> bool:
        if not self.batches:  # causal classifiers without a padding token refuse batches
            return True
        return self._uniform is not None and len(piece.ids) > self._uniform

    def _lone_bundle(self, piece: Bundle) -> bool:
        return self._uniform is not None and piece.longest > self._uniform
