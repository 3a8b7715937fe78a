"""Foreign spans: from another axis, as long, and always the same for the same item."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.stimuli.foreign import ForeignSpans, capitalised

SPANS = [
    ("age", "kelp"),
    ("age", "sea kelp"),
    ("age", "shared"),
    ("gender", "Shared"),
    ("gender", "moss"),
    ("gender", "reed"),
    ("gender", "bog moss"),
    ("gender", "bullrushes"),
    ("religion", "fern"),
    ("religion", "sphagnum"),
]


def test_the_choice_comes_from_another_axis_and_never_occurs_in_ones_own() -> None:
    foreign = ForeignSpans(SPANS)
    for key in map(str, range(40)):
        assert foreign.choose(key, "age", ("leaf", "stem")) in {"moss", "reed", "fern"}
        assert foreign.choose(key, "gender", ("leafed", "shared")) in {"sphagnum", "kelp", "fern"}  # never `shared`


def test_words_are_matched_before_characters() -> None:
    foreign = ForeignSpans(SPANS)
    assert foreign.choose("0", "age", ("a very", "b")) == "bog moss"  # 1.5 words are 2
    assert foreign.choose("0", "age", ("enormously", "x" * 10)) == "bullrushes"
    assert foreign.choose("0", "gender", ("one two three", "one two three")) == "sea kelp"  # the nearest there is
    assert foreign.choose("0", "age", ("", "stem")) in {"moss", "reed", "fern"}  # half a word is 1


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_depends_neither_on_order_nor_on_repeats(seed: int) -> None:
    shuffled = SPANS * 2
    random.Random(seed).shuffle(shuffled)
    for key in map(str, range(20)):
        for axis in ("age", "gender", "religion"):
            side = ("stem", "leaf")
            assert ForeignSpans(SPANS).choose(key, axis, side) == ForeignSpans(shuffled).choose(key, axis, side)


def test_items_differ_in_what_they_get() -> None:
    foreign = ForeignSpans(SPANS)
    assert len({foreign.choose(str(key), "age", ("leaf", "stem")) for key in range(40)}) == 3


@given(st.text("ab ", max_size=8), st.text("ab ", max_size=8))
def test_the_order_of_the_two_sides_does_not_matter(first: str, second: str) -> None:
    foreign = ForeignSpans(SPANS)
    assert foreign.choose("7", "age", (first, second)) == foreign.choose("7", "age", (second, first))


def test_there_is_none_without_another_axis() -> None:
    assert ForeignSpans([("age", "kelp")]).choose("0", "age", ("leaf", "stem")) is None
    assert ForeignSpans([("age", "kelp"), ("gender", "Kelp")]).choose("0", "age", ("leaf", "stem")) is None


def test_capitalised_leaves_the_rest_alone() -> None:
    assert capitalised("sea Kelp") == "Sea Kelp"
