"""What the tokeniser does to a text, as far as scores depend on it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROLES = ("bos", "eos", "unk", "mask", "pad", "cls", "sep")
_PROBE = "Anna"


def tokenizer_facts(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Plain JSON facts, recorded with every result.

    `class`; `vocabulary` (tokens, added ones included); `bos`, `eos`, `unk`, `mask`, `pad`, `cls`, `sep` (the token's
    text or None); `adds_bos` (a start token, BOS or CLS, stands in front of a text by default); `adds_eos` (one stands
    behind it); `lower_case` (capitals are lost); `sha256` of the serialised form.
    """
    ids = tokenizer(_PROBE).input_ids
    starts = {tokenizer.bos_token_id, tokenizer.cls_token_id} - {None}
    ends = {tokenizer.eos_token_id, tokenizer.sep_token_id} - {None}
    return {
        "class": type(tokenizer).__name__,
        "vocabulary": len(tokenizer),
        **{role: _text(getattr(tokenizer, f"{role}_token")) for role in _ROLES},
        "adds_bos": bool(ids) and ids[0] in starts,
        "adds_eos": len(ids) > 1 and ids[-1] in ends,
        "lower_case": _lower_cases(tokenizer),
        "sha256": tokenizer_sha256(tokenizer),
    }


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """64 hex digits over the serialised tokeniser (of a slow one: its vocabulary) and its special tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        body = json.dumps(sorted(tokenizer.get_vocab().items()))
    else:
        # Padding and truncation are switched by every call and change no token.
        state = json.loads(backend.to_str())
        state["padding"] = state["truncation"] = None
        body = json.dumps(state, sort_keys=True)
    special = json.dumps({role: _text(getattr(tokenizer, f"{role}_token")) for role in _ROLES})
    return hashlib.sha256(f"{body}\n{special}".encode()).hexdigest()


def start_token_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The token that stands before a text with nothing before it: BOS, else EOS, else CLS, else None."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id):
        if token is not None:
            return token
    return None


def _lower_cases(tokenizer: PreTrainedTokenizerBase) -> bool:
    capital, small = (tokenizer(text, add_special_tokens=False).input_ids for text in (_PROBE, _PROBE.lower()))
    return capital == small and tokenizer.unk_token_id not in capital


def _text(token: Any) -> str | None:
    return None if token is None else str(token)
