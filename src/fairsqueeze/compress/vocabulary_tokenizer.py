"""A tokeniser with fewer tokens that still encodes a given text in the same pieces."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_DICTIONARIES = ("BPE", "WordPiece", "WordLevel")
_REMEDY = "Trimming knows the BPE, WordPiece, WordLevel and Unigram models of the tokenizers library."


def used_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> set[int]:
    """Ids of all tokens in the text as a whole and in each of its lines alone."""
    encodings = _backend(tokenizer).encode_batch(_pieces(text), add_special_tokens=False)
    return {i for encoding in encodings for i in encoding.ids}


def same_pieces(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase, text: str) -> bool:
    """Whether both turn the text as a whole, and each of its lines, into the same strings, special tokens included."""
    first, second = (_backend(tokenizer).encode_batch(_pieces(text)) for tokenizer in (one, other))
    return all(a.tokens == b.tokens for a, b in zip(first, second, strict=True))


def _pieces(text: str) -> list[str]:
    return [text, *dict.fromkeys(line.strip() for line in text.splitlines() if line.strip())]


def kept_tokens(tokenizer: PreTrainedTokenizerBase, used: Iterable[int]) -> list[int]:
    """Ids to keep, ascending: those `used`, all special and added ones, bytes and single characters (so that other
    texts can still be written, in more pieces), and of BPE what the used ones are merged from.

    Raises ModelError for a tokeniser of another kind.
    """
    state = _state(tokenizer)
    model, vocabulary = state["model"], _vocabulary(state)
    keep = {*used, *(token["id"] for token in state["added_tokens"]), *tokenizer.all_special_ids}
    keep |= {i for token, i in vocabulary.items() if _is_letter(token, model)}
    keep |= {i for token, i in vocabulary.items() if token == model.get("unk_token")}
    if model["type"] == "Unigram" and model["unk_id"] is not None:
        keep.add(model["unk_id"])
    if model["type"] == "BPE":
        ranks = {pair: rank for rank, pair in enumerate(_merges(model))}
        text_of = {i: token for token, i in vocabulary.items()}
        for i in sorted(keep & text_of.keys()):
            keep |= {vocabulary[part] for part in _parts(text_of[i], ranks, vocabulary)}
    return sorted(keep)


def _is_letter(token: str, model: Mapping[str, Any]) -> bool:
    prefix = model.get("continuing_subword_prefix") or ""
    return len(token.removeprefix(prefix)) == 1 or bool(_BYTE.fullmatch(token))


def _parts(token: str, ranks: Mapping[tuple[str, str], int], vocabulary: Mapping[str, int]) -> set[str]:
    """What BPE puts together on its way to `token`: within a longer text it takes the same way, since no merge that
    was made there crossed the token's ends."""
    symbols = list(token)
    made: set[str] = set()
    while True:
        pairs = [(ranks[pair], i) for i, pair in enumerate(pairwise(symbols)) if pair in ranks]
        if not pairs:
            return {part for part in made | set(token) if part in vocabulary}
        _, i = min(pairs)
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
        made.add(symbols[i])


def trimmed_tokenizer(tokenizer: PreTrainedTokenizerBase, kept: list[int]) -> PreTrainedTokenizerBase:
    """A copy whose token i is the old token `kept[i]`, and that has no others.

    Raises ModelError for a tokeniser of another kind than BPE, WordPiece, WordLevel or Unigram.
    """
    from tokenizers import Tokenizer

    state = _state(tokenizer)
    new_id = {old: new for new, old in enumerate(kept)}
    model = state["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
        model["unk_id"] = None if model["unk_id"] is None else new_id[model["unk_id"]]
    else:
        model["vocab"] = {token: new_id[old] for token, old in model["vocab"].items() if old in new_id}
    if model["type"] == "BPE":
        left = model["vocab"]
        model["merges"] = [[a, b] for a, b in _merges(model) if a in left and b in left and a + b in left]
    for token in state["added_tokens"]:
        token["id"] = new_id[token["id"]]
    state["post_processor"] = _renumbered(state["post_processor"], new_id)
    state["padding"] = state["truncation"] = None  # set at every call
    result = copy.deepcopy(tokenizer)
    result._tokenizer = Tokenizer.from_str(json.dumps(state))
    return result


def _renumbered(processor: Any, new_id: Mapping[int, int]) -> Any:
    """A post-processor with new ids: its templates' `{"ids": […]}`, and the `[token, id]` of BERT's and RoBERTa's."""
    if isinstance(processor, list):
        return [_renumbered(entry, new_id) for entry in processor]
    if not isinstance(processor, dict):
        return processor
    changed = {key: _renumbered(value, new_id) for key, value in processor.items()}
    for end in ("sep", "cls"):
        if isinstance(processor.get(end), list):
            token, old = processor[end]
            changed[end] = [token, new_id[old]]
    if isinstance(processor.get("ids"), list) and "tokens" in processor:
        changed["ids"] = [new_id[old] for old in processor["ids"]]
    return changed


def _state(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(_backend(tokenizer).to_str())
    kind = state["model"].get("type")
    if kind not in (*_DICTIONARIES, "Unigram"):
        raise ModelError(f"The tokeniser is a {kind}, which can't be trimmed.", _REMEDY)
    if kind == "BPE" and (state["model"]["continuing_subword_prefix"] or state["model"]["end_of_word_suffix"]):
        raise ModelError("The tokeniser is a BPE with marks inside or behind words, which can't be trimmed.", _REMEDY)
    return state


def _backend(tokenizer: PreTrainedTokenizerBase) -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"A {type(tokenizer).__name__} is not of the tokenizers library.", _REMEDY)
    copied = copy.deepcopy(backend)
    copied.no_padding()
    copied.no_truncation()
    return copied


def _vocabulary(state: Mapping[str, Any]) -> dict[str, int]:
    vocabulary = state["model"]["vocab"]
    if state["model"]["type"] == "Unigram":
        return {token: i for i, (token, _) in enumerate(vocabulary)}
    return dict(vocabulary)


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Merges by rank; older files write each as "a b"."""
    return [tuple(pair.split(" ", 1)) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]  # type: ignore[misc]
