"""Sentence pairs that differ in the group they are about, and how differently a language model takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from fairsqueeze.compress.surgery_calibration import read_text
from fairsqueeze.errors import DataError, ModelError
from fairsqueeze.models.model import Model
from fairsqueeze.models.tokenization import start_token_id
from fairsqueeze.training.batches import positions_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LogProb = Callable[["PreTrainedModel"], float]
_LINE = 'Each line is {"more": TEXT, "less": TEXT}.'


@dataclass(frozen=True)
class SentencePair:
    """A more and a less stereotypical sentence."""

    more: str
    less: str


def sentence_pairs(path: str) -> list[SentencePair]:
    """The pairs in a JSON Lines file, `{"more": …, "less": …}` each.

    Raises DataError if it can't be read, names the line that is no such pair, or is empty.
    """
    found = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            pair = SentencePair(raw["more"], raw["less"])
            if not all(isinstance(text, str) and text.strip() for text in (pair.more, pair.less)):
                raise ValueError("a sentence is no text")
        except (ValueError, KeyError, TypeError) as problem:
            raise DataError(f"{path}, line {number}, is no sentence pair: {problem!r}.", _LINE) from None
        found.append(pair)
    if not found:
        raise DataError(f"{path} holds no sentence pairs.", _LINE)
    return found


def unevenness(model: Model, pairs: Sequence[SentencePair]) -> LogProb:
    """Mean |log p(more) − log p(less)| of a network over pairs, in nats, each summed over the tokens of its sentence.

    Never signed, so that the opposite stereotype is no less biased. For a causal model log p is that of the tokens in
    their order, after its start token; for a masked one the pseudo-log-likelihood (each token masked by itself).

    Args:
        model: causal or masked: its tokeniser reads the pairs.
        pairs: at least one.

    Raises ModelError for another kind of model, DataError for a sentence longer than the model's positions.
    """
    both = [(log_probability(model, pair.more), log_probability(model, pair.less)) for pair in pairs]
    return lambda network: sum(abs(more(network) - less(network)) for more, less in both) / len(both)


def log_probability(model: Model, text: str) -> LogProb:
    """log p(text) as `unevenness` counts it, in nats."""
    if model.kind not in ("causal", "masked"):
        raise ModelError(
            f"{model.reference} is a {model.kind.replace('_', ' ')}, which gives a sentence no probability.",
            "Use a language model, causal or masked; heads.gradient applies to classifiers.",
        )
    causal = model.kind == "causal"
    ids = model.tokenizer(text, add_special_tokens=not causal, verbose=False).input_ids
    start = start_token_id(model.tokenizer)
    ids = [start, *ids] if causal and start is not None else ids
    if len(ids) > positions_of(model):
        raise DataError(
            f"A sentence of {len(ids)} tokens is longer than {model.reference} can read: {text[:60]!r}.",
            "Leave it out, or shorten it.",
        )
    return _next_tokens(ids) if causal else _hidden_tokens(ids, model)


def _next_tokens(ids: Sequence[int]) -> LogProb:
    @torch.no_grad()
    def log_prob(network: PreTrainedModel) -> float:
        here = torch.tensor([ids], device=network.device)
        logs = network(input_ids=here, attention_mask=torch.ones_like(here)).logits[0, :-1].float().log_softmax(-1)
        return float(logs.gather(1, here[0, 1:, None]).sum(dtype=torch.float64))

    return log_prob


def _hidden_tokens(ids: Sequence[int], model: Model) -> LogProb:
    special, mask = set(model.tokenizer.all_special_ids), model.tokenizer.mask_token_id
    places = torch.tensor([place for place, token in enumerate(ids) if token not in special])

    @torch.no_grad()
    def log_prob(network: PreTrainedModel) -> float:
        here = torch.tensor([ids], device=network.device)
        rows, at = torch.arange(len(places), device=here.device), places.to(here.device)
        hidden = here.repeat(len(places), 1)
        hidden[rows, at] = mask
        logits = network(input_ids=hidden, attention_mask=torch.ones_like(hidden)).logits[rows, at]
        return float(logits.float().log_softmax(-1)[rows, here[0, at]].sum(dtype=torch.float64))

    return log_prob
