"""Where two sentences differ: spans of characters, found by comparing words and punctuation marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

PIECE = re.compile(r"\w+|[^\w\s]")
"""A word, or one punctuation mark: so that `husband.` and `wife.` differ in one word and share the full stop."""

Slice = tuple[int, int]


@dataclass(frozen=True)
class Difference:
    """Two spans in the same place of two sentences: character slices (start, end), one of them maybe empty."""

    first: Slice
    second: Slice


def differences(first: str, second: str) -> list[Difference]:
    """The spans in which two sentences differ, in order; empty for sentences with the same words and marks.

    Neighbouring changed pieces make one span. A piece that only one sentence has makes an empty slice in the other,
    in front of the piece that follows there.
    """
    a, b = _pieces(first), _pieces(second)
    return [
        Difference(_slice(a, i1, i2, len(first)), _slice(b, j1, j2, len(second)))
        for tag, i1, i2, j1, j2 in _opcodes(first, a, second, b)
        if tag != "equal"
    ]


def skeleton(first: str, second: str) -> str:
    """What two sentences share, lower case, one blank between pieces, ` _ ` where they differ."""
    a, b = _pieces(first), _pieces(second)
    parts = []
    for tag, i1, i2, _, _ in _opcodes(first, a, second, b):
        parts += [first[start:end].lower() for start, end in a[i1:i2]] if tag == "equal" else ["_"]
    return " ".join(parts)


def replaced(text: str, spans: Sequence[Slice], words: Sequence[str]) -> str:
    """`text` with each of its `spans` (in order, not overlapping) replaced; an empty one gets a blank, too."""
    parts, done = [], 0
    for (start, end), word in zip(spans, words, strict=True):
        parts.append(text[done:start])
        if start < end or not word:
            parts.append(word)
        elif text[start : start + 1].isalnum():
            parts.append(f"{word} ")
        else:
            parts.append(f" {word}")
        done = end
    return "".join([*parts, text[done:]])


def is_initial(text: str, span: Slice) -> bool:
    """Whether no word stands before `span` in `text`."""
    return not any(c.isalnum() for c in text[: span[0]])


def with_lead(text: str, span: Slice) -> str:
    """The span with the blank before it, if there is one; an empty span stays empty."""
    start, end = span
    lead = " " if start < end and text[start - 1 : start].isspace() else ""
    return lead + text[start:end]


def _pieces(text: str) -> list[Slice]:
    return [match.span() for match in PIECE.finditer(text)]


def _opcodes(first: str, a: list[Slice], second: str, b: list[Slice]) -> Sequence[tuple[str, int, int, int, int]]:
    words_a, words_b = [first[i:j] for i, j in a], [second[i:j] for i, j in b]
    return SequenceMatcher(None, words_a, words_b, autojunk=False).get_opcodes()


def _slice(pieces: list[Slice], begin: int, end: int, length: int) -> Slice:
    if begin < end:
        return pieces[begin][0], pieces[end - 1][1]
    at = pieces[begin][0] if begin < len(pieces) else length
    return at, at
