"""Foreign spans: words of another axis and the same length, which make a sentence that a competent model finds odd."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable

ByLength = dict[int, dict[int, list[str]]]


class ForeignSpans:
    """For each axis, the spans that occur in other axes and never in it, by number of words and of characters.

    Args:
        spans: (axis, text) of every span of the whole data set, in any order, repeats allowed. Since the choice is made
            from all of them, it depends neither on the order of the items nor on a sample of them.
    """

    def __init__(self, spans: Iterable[tuple[str, str]]) -> None:
        self._by_axis: dict[str, dict[str, str]] = defaultdict(dict)
        for axis, text in sorted(set(spans)):
            if text:
                self._by_axis[axis].setdefault(text.casefold(), text)
        self._foreign: dict[str, ByLength] = {}

    def choose(self, key: str, axis: str, side: tuple[str, str]) -> str | None:
        """A foreign span as long as the two texts of `side` are on average; None if no other axis has any.

        First the number of words (the mean, halves rounded up, at least 1), then the number of characters is matched
        as nearly as it can be; among equals the sha256 of `key`, the texts of `side` (in any order) and the candidate
        decides. An empty text of `side` counts with no words.
        """
        by_words = self._pool(axis)
        if not by_words:
            return None
        n_words = max(1, math.floor(sum(len(text.split()) for text in side) / 2 + 0.5))
        by_characters = by_words[min(by_words, key=lambda n: (abs(n - n_words), n))]
        wanted = sum(len(text) for text in side) / 2
        nearest = min(abs(n - wanted) for n in by_characters)
        candidates = [text for n, texts in by_characters.items() if abs(n - wanted) == nearest for text in texts]
        salt = "\0".join([key, *sorted(text.casefold() for text in side)])
        return min(candidates, key=lambda text: hashlib.sha256(f"{salt}\0{text}".encode()).digest())

    def _pool(self, axis: str) -> ByLength:
        if axis not in self._foreign:
            own = self._by_axis.get(axis, {})
            texts: dict[str, str] = {}
            for other in sorted(set(self._by_axis) - {axis}):
                for folded, text in self._by_axis[other].items():
                    if folded not in own:
                        texts.setdefault(folded, text)
            pool: ByLength = defaultdict(lambda: defaultdict(list))
            for text in texts.values():
                pool[len(text.split())][len(text)].append(text)
            self._foreign[axis] = pool
        return self._foreign[axis]


def capitalised(text: str) -> str:
    """`text` with its first character in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]
