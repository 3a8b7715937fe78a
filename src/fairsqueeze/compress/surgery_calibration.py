"""Calibration text for structured methods: seeded token sequences, and labelled pairs for classifiers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from fairsqueeze.compress.calibration_text import calibration_text
from fairsqueeze.errors import DataError
from fairsqueeze.models.model import Model
from fairsqueeze.models.tokenization import start_token_id, tokenizer_facts
from fairsqueeze.registry import Range
from fairsqueeze.training.batches import positions_of

Sequences = Annotated[int, Range(1, 100_000)]
Length = Annotated[int, Range(8, 8192)]


@dataclass(frozen=True)
class LabelledPair:
    """Two texts (the second may be empty) and their class number, or value for a regressor."""

    first: str
    second: str
    label: float


def token_sequences(model: Model, n: int, length: int, seed: int, text: str = "") -> list[Tensor]:
    """`n` sequences of token ids, (1, length) each: pieces of a text, from places drawn with `seed`.

    Each has the start and end tokens that the tokeniser gives any text, and counts them in `length`.

    Args:
        model: its tokeniser is used; `length` is cut to what its positions allow.
        n, length: how many, how long.
        seed: of the places.
        text: the name of a text or the path of a UTF-8 file, see `calibration_text`.

    Raises AssetError if a named text is not here, DataError if a file can't be read or holds less than one sequence.
    """
    pieces, _ = pieces_of(model, calibration_text(text), n, length, seed, text)
    return pieces


def pieces_of(model: Model, written: str, n: int, length: int, seed: int, name: str = "") -> tuple[list[Tensor], int]:
    """`token_sequences` of a text that was read already, and how many tokens it has; messages call it `name`."""
    facts = tokenizer_facts(model.tokenizer)
    start = [start_token_id(model.tokenizer)] if facts["adds_bos"] else []
    end = [model.tokenizer(written[:1]).input_ids[-1]] if facts["adds_eos"] else []
    positions = getattr(model.network.config.get_text_config(), "max_position_embeddings", None) or length
    inner = min(length, positions - 2) - len(start) - len(end)
    ids = model.tokenizer(written, add_special_tokens=False, verbose=False).input_ids
    if len(ids) < inner:
        raise DataError(
            f"{name or 'The text'} holds {len(ids)} tokens, fewer than one sequence of {inner}.",
            "Give a longer text, or a smaller length.",
        )
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(0, len(ids) - inner + 1, (n,), generator=generator).tolist()
    return [torch.tensor([[*start, *ids[place : place + inner], *end]]) for place in places], len(ids)


def read_text(path: str) -> str:
    """The text in a UTF-8 file. Raises DataError if it can't be read."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} can't be read as UTF-8 text: {problem}.", "Give the path of a text file.") from None


def labelled_pairs(path: str) -> list[LabelledPair]:
    """The pairs in a JSON Lines file, `{"first": …, "second": …, "label": …}` each; `second` may be missing.

    Raises DataError if it can't be read, names the line that is no such pair, or is empty.
    """
    found = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            found.append(LabelledPair(str(raw["first"]), str(raw.get("second", "")), float(raw["label"])))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise DataError(
                f"{path}, line {number}, is no labelled pair: {problem!r}.",
                'Each line is {"first": TEXT, "second": TEXT, "label": NUMBER}.',
            ) from None
    if not found:
        raise DataError(f"{path} holds no labelled pairs.", "Each line is one JSON object.")
    return found


def encoded_pair(model: Model, pair: LabelledPair, length: int) -> dict[str, Any]:
    """What the network takes for one pair: tensors of one row, of at most `length` tokens, special ones included."""
    texts: Sequence[str] = [pair.first, pair.second] if pair.second else [pair.first]
    most = min(length, positions_of(model))
    encoded = model.tokenizer(*texts, truncation=True, max_length=most, return_tensors="pt")
    return {name: tensor.to(model.device) for name, tensor in encoded.items()}
