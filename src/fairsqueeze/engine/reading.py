"""Reader: turns texts into token ids with their places in the text, and refuses what a model can't take in whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

import numpy as np

from fairsqueeze.engine.limits import positions_limit
from fairsqueeze.errors import DataError, ModelError
from fairsqueeze.models.matrices import weight_of
from fairsqueeze.models.model import Model


@dataclass(frozen=True)
class Tokens:
    """A tokenised text: ids, character spans (start, end) in the text, and which tokens the tokeniser added itself.

    `spans` is empty where the tokeniser doesn't tell them.
    """

    text: str
    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    added: tuple[bool, ...]

    @property
    def own(self) -> list[int]:
        """Positions of the tokens that stand for the text, in order; the unknown token is one of them."""
        return [position for position, added in enumerate(self.added) if not added]

    def bytes_of(self, positions: Sequence[int]) -> int:
        """UTF-8 length of what the tokens at these positions cover.

        A token covers what follows the token before it up to its own end, so that blanks go to the word they
        precede, a character split over several tokens is counted once, and all tokens together cover the text.
        """
        return int(sum(self._covered[position] for position in positions))

    @cached_property
    def _covered(self) -> np.ndarray:
        own = self.own
        covered = np.zeros(len(self.ids), dtype=np.int64)
        if not own:
            return covered
        if not self.spans:
            covered[own[0]] = len(self.text.encode())
            return covered
        sizes = [len(character.encode()) for character in self.text]
        until = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        ends = list(accumulate((self.spans[position][1] for position in own), max))
        ends[-1] = len(self.text)
        covered[own] = np.diff(until[ends], prepend=0)
        return covered


@dataclass(frozen=True)
class Joint:
    """What stands before, between and after the two halves of a pair: token ids, and the type of each region.

    `types` (before, first, between, second, after) is None where the tokeniser gives no types.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[tuple[int, ...], int, tuple[int, ...], int, tuple[int, ...]] | None

    @property
    def added(self) -> int:
        """How many tokens come on top of the halves."""
        return len(self.before) + len(self.between) + len(self.after)

    def join(self, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids and types of the pair, as `Reader.read_pair` gives them."""
        ids = (*self.before, *first, *self.between, *second, *self.after)
        if self.types is None:
            return ids, ()
        before, of_first, between, of_second, after = self.types
        return ids, (*before, *(of_first,) * len(first), *between, *(of_second,) * len(second), *after)


def _learned(
    pair: tuple[tuple[int, ...], tuple[int, ...]], first: tuple[int, ...], second: tuple[int, ...]
) -> Joint | Literal[False]:
    """The parts of a pair around its halves; False where the halves are not in it, in order and only once."""
    ids, types = pair
    starts = [k for k in range(len(ids)) if ids[k : k + len(first)] == first]
    if not first or not second or not starts:
        return False
    begin, end = starts[0], starts[0] + len(first)
    then = [k for k in range(end, len(ids)) if ids[k : k + len(second)] == second]
    if not then:
        return False
    last, stop = then[-1], then[-1] + len(second)
    regions = None
    if types:
        regions = (types[:begin], types[begin], types[end:last], types[last], types[stop:])
    return Joint(ids[:begin], ids[end:last], ids[stop:], regions)


class Reader:
    """The tokeniser of a model, used the same way by every request."""

    def __init__(self, model: Model) -> None:
        self.tokenizer = model.tokenizer
        self.reference = model.reference
        self.limit = positions_limit(model.network)
        self._rows = int(weight_of(model.network.get_input_embeddings()).shape[0])
        self._halves: dict[str, tuple[int, ...]] = {}
        self._joint: Joint | Literal[False] | None = None
        self._config_padding = getattr(model.network.config, "pad_token_id", None)

    def read(self, text: str, *, special: bool) -> Tokens:
        """Tokens of `text`, with the special tokens that the tokeniser adds where `special`.

        Raises DataError for a text that isn't Unicode (a lone surrogate).
        """
        _check_unicode(text)
        spans = bool(self.tokenizer.is_fast)
        encoded = self.tokenizer(
            text,
            add_special_tokens=special,
            return_offsets_mapping=spans,
            return_special_tokens_mask=special,
            return_attention_mask=False,
            verbose=False,
        )
        ids = self._known(encoded["input_ids"], text)
        places = tuple(tuple(span) for span in encoded["offset_mapping"]) if spans else ()
        added = tuple(bool(mark) for mark in encoded["special_tokens_mask"]) if special else (False,) * len(ids)
        return Tokens(text, ids, places, added)

    def read_pair(self, first: str, second: str | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids of a sentence pair, and their token types (empty where the tokeniser gives none).

        `second` None: of `first` as a single sequence.
        """
        for text in (first, second):
            _check_unicode(text or "")
        encoded = self.tokenizer(first, second, return_attention_mask=False, verbose=False)
        return self._known(encoded["input_ids"], first), tuple(encoded.get("token_type_ids") or ())

    def half(self, text: str) -> tuple[int, ...]:
        """Token ids of one sentence of a pair, without anything that joins it to the other; remembered."""
        if text not in self._halves:
            _check_unicode(text)
            encoded = self.tokenizer(text, add_special_tokens=False, return_attention_mask=False, verbose=False)
            self._halves[text] = self._known(encoded["input_ids"], text)
        return self._halves[text]

    def _known(self, ids: Sequence[int], text: str) -> tuple[int, ...]:
        """`ids` as they are. Raises ModelError where the network has no embedding for one: a token that was added to
        the tokeniser and never to the network."""
        strange = next((token for token in ids if token >= self._rows), None)
        if strange is not None:
            raise ModelError(
                f"The tokeniser of {self.reference} gives the token {strange} for {beginning(text)!r}; the network has "
                f"{self._rows}.",
                "Tokens were added to the tokeniser and not to the network; restore its own tokeniser.",
            )
        return tuple(ids)

    def joint(self, first: str, second: str) -> Joint | None:
        """How this tokeniser joins two sentences, learned from this pair once; None if not by joining their halves."""
        if self._joint is None:
            self._joint = _learned(self.read_pair(first, second), self.half(first), self.half(second))
        if self._joint and self._joint.join(self.half(first), self.half(second)) != self.read_pair(first, second):
            self._joint = False
        return self._joint or None

    def check_fits(self, length: int, text: str) -> None:
        """Raises ModelError if the model has no positions for `length` tokens; nothing is ever cut off silently."""
        if self.limit is not None and length > self.limit:
            raise ModelError(
                f"{self.reference} takes {self.limit} tokens at most; the text {beginning(text)!r} has {length}.",
                "Leave this item out, shorten it, or use a model with more positions.",
            )

    @property
    def start(self) -> int:
        """The token before the first: BOS, else EOS, else the tokeniser's CLS."""
        for name in ("bos_token_id", "eos_token_id", "cls_token_id"):
            token = getattr(self.tokenizer, name, None)
            if token is not None:
                return int(token)
        raise ModelError(
            f"The tokeniser of {self.reference} has no start token (BOS, EOS or CLS).",
            "Its first tokens can't be scored; use a measure that doesn't need them, or set bos_token.",
        )

    @property
    def mask(self) -> int:
        """The mask token."""
        token = self.tokenizer.mask_token_id
        if token is None:
            raise ModelError(
                f"The tokeniser of {self.reference} has no mask token, so it can't answer as a masked model.",
                "Load it with its own tokeniser, or as another kind.",
            )
        return int(token)

    @property
    def padding(self) -> int:
        """A token to fill rows with: the one by which the network itself knows padding, where it has one."""
        names = ("pad_token_id", "eos_token_id", "unk_token_id")
        for token in (self._config_padding, *(getattr(self.tokenizer, name, None) for name in names)):
            if isinstance(token, int) and 0 <= token < self._rows:
                return token
        return 0

    def unknown(self, ids: Sequence[int]) -> int:
        """How many of these are the unknown token."""
        unknown = self.tokenizer.unk_token_id
        return 0 if unknown is None else sum(token == unknown for token in ids)


def beginning(text: str, length: int = 60) -> str:
    """The first characters of `text`, for messages."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"The text {beginning(text)!r} is not Unicode: a lone surrogate at character {error.start}.",
            "Read the file it came from with its right encoding.",
        ) from None
