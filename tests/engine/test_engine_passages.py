"""Rows: trees of tokens in which common beginnings stand once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.engine.passages import Passage, alone, row_of, shared

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12).map(tuple), min_size=1, max_size=30)


def passages_of(sequences: list[tuple[int, ...]]) -> list[Passage]:
    return list(dict.fromkeys(Passage(ids, ((len(ids) - 1, 7),)) for ids in sequences))


def test_a_row_by_hand():
    #  5 - 6 - 7      nodes 0 1 2
    #       \\ 8 - 9   nodes     3 4
    #  4              node  5 in the order of the ids: it comes first
    row = row_of(passages_of([(4,), (5, 6), (5, 6, 7), (5, 6, 8, 9)]))
    assert row.ids == (4, 5, 6, 7, 8, 9)
    assert row.parents == (-1, -1, 1, 2, 2, 4)
    assert row.depths == [0, 0, 1, 2, 2, 3]
    assert row.nodes == ((0,), (1, 2), (1, 2, 3), (1, 2, 4, 5))
    sees = {node: set(np.flatnonzero(line)) for node, line in enumerate(row.ancestors())}
    assert sees == {0: {0}, 1: {1}, 2: {1, 2}, 3: {1, 2, 3}, 4: {1, 2, 4}, 5: {1, 2, 4, 5}}
    assert not row.is_chain
    assert row_of(passages_of([(5, 6), (5, 6, 7)])).is_chain


@given(SEQUENCES)
def test_every_passage_keeps_its_own_tokens_and_sees_nothing_else(sequences):
    passages = passages_of(sequences)
    for rows in (shared(passages, width=8), shared(passages, width=500), alone(passages)):
        assert sorted(p.ids for row in rows for p in row.passages) == sorted(p.ids for p in passages)
        for row in rows:
            sees, depths = row.ancestors(), row.depths
            for passage, nodes in zip(row.passages, row.nodes, strict=True):
                assert tuple(row.ids[node] for node in nodes) == passage.ids
                assert [depths[node] for node in nodes] == list(range(len(nodes)))
                for at, node in enumerate(nodes):
                    assert set(np.flatnonzero(sees[node])) == set(nodes[: at + 1])


@given(SEQUENCES, st.randoms())
def test_rows_do_not_depend_on_the_order(sequences, random):
    passages = passages_of(sequences)
    turned = random.sample(passages, len(passages))
    assert [row.passages for row in shared(passages, 32)] == [row.passages for row in shared(turned, 32)]


@given(SEQUENCES)
def test_a_wide_model_computes_every_common_beginning_once(sequences):
    rows = shared(passages_of(sequences), width=100_000)
    beginnings = {ids[:end] for ids in sequences for end in range(1, len(ids) + 1)}
    assert sum(len(row) for row in rows) == len(beginnings)


@given(SEQUENCES)
def test_halves_hold_the_same_passages(sequences):
    row = row_of(sorted(passages_of(sequences), key=lambda passage: passage.ids))
    halves = row.halves()
    assert sum((half.passages for half in halves), ()) == row.passages
    assert len(halves) == (1 if len(row.passages) == 1 else 2)


def test_a_long_common_beginning_is_shared_in_a_long_row():
    beginning = tuple(range(100, 700))
    rows = shared(passages_of([(*beginning, last) for last in range(5)]), width=64)
    assert [len(row) for row in rows] == [605]


def test_little_in_common_is_not_worth_a_long_row():
    many = [(1, *(100 * n + k for k in range(50))) for n in range(40)]
    rows = shared(passages_of(many), width=64)
    assert max(len(row) for row in rows) <= 102
