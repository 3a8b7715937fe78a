from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.items import Item, sample


def items(sizes: dict[str, int]) -> list[Item]:
    return [Item(f"{axis}-{k}", axis, "g", "c", {}) for axis, size in sizes.items() for k in range(size)]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1),
    st.integers(1, 120),
    st.integers(0, 3),
)
def test_a_sample_has_the_asked_size_keeps_order_and_gives_every_axis_its_share(
    sizes: dict[str, int], limit: int, seed: int
) -> None:
    everything = items(sizes)
    chosen = sample(everything, limit, seed)
    total = len(everything)
    assert len(chosen) == min(limit, total)
    assert [i.id for i in chosen] == [i.id for i in everything if i in chosen]
    counts = Counter(i.axis for i in chosen)
    for axis, size in sizes.items():
        if limit >= len(sizes):
            assert counts[axis] >= 1
        assert abs(counts[axis] - min(limit, total) * size / total) <= len(sizes)


def test_the_draw_does_not_depend_on_the_order_of_the_items() -> None:
    everything = items({"a": 50, "b": 20})
    mixed = everything[:]
    random.Random(5).shuffle(mixed)
    assert {i.id for i in sample(everything, 20, 7)} == {i.id for i in sample(mixed, 20, 7)}


def test_it_is_not_the_first_n_and_another_seed_is_another_sample() -> None:
    everything = items({"a": 100})
    first = [i.id for i in sample(everything, 20, 0)]
    assert first != [i.id for i in everything[:20]]
    assert first == [i.id for i in sample(everything, 20, 0)]
    assert first != [i.id for i in sample(everything, 20, 1)]


def test_without_a_limit_everything_is_used() -> None:
    everything = items({"a": 3})
    assert sample(everything, None, 0) == everything
    assert sample(everything, 3, 0) == everything


def test_shared_controls_without_an_axis_are_a_stratum_of_their_own() -> None:
    mixed = [*items({"a": 10}), *[Item(f"control-{k}", None, "g", "c", {}) for k in range(10)]]
    assert Counter(i.axis for i in sample(mixed, 10, 0)) == {"a": 5, None: 5}
