"""Exact selection of the smallest magnitudes, against sorting."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairsqueeze.compress.cut import Cut, below, cut_at, drop_count, zero_smallest

VALUES = st.sampled_from([0.0, -0.0, 1e-45, -1e-30, 0.25, -0.25, 0.5, 1.0, -1.0, 3.5, -65504.0])


@given(st.lists(st.lists(VALUES, min_size=1, max_size=9), min_size=1, max_size=4), st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cut_takes_exactly_what_a_stable_sort_puts_first(dtype, rows, data):
    tensors = [torch.tensor(row, dtype=dtype) for row in rows]
    joined = torch.cat(tensors).abs()
    count = data.draw(st.integers(1, len(joined)))
    cut = cut_at(tensors, count)
    taken = []
    for tensor in tensors:
        mask, used = below(tensor, cut)
        cut = Cut(cut.value, cut.ties - used)
        taken.append(mask)
    expected = torch.zeros(len(joined), dtype=torch.bool)
    expected[joined.argsort(stable=True)[:count]] = True
    assert torch.equal(torch.cat(taken), expected)
    assert cut.ties == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_cut_is_the_order_statistic_in_every_float_type(dtype):
    torch.manual_seed(0)
    tensors = [torch.randn(300, 7).to(dtype), torch.randn(11).to(dtype)]
    order = torch.cat([t.reshape(-1) for t in tensors]).abs().double().sort().values
    for count in (1, 2, 1000, 2110, 2111):
        assert cut_at(tensors, count).value == order[count - 1].item()


def test_a_cut_crosses_the_pieces_of_a_large_tensor():
    torch.manual_seed(1)
    large = torch.randn((1 << 22) + 5)
    count = 3_000_000
    assert cut_at([large], count).value == large.abs().kthvalue(count).values.item()


def test_a_count_outside_the_scores_is_refused():
    with pytest.raises(ValueError, match="there are 3 scores"):
        cut_at([torch.ones(3)], 4)
    with pytest.raises(ValueError, match="count is 0"):
        cut_at([torch.ones(3)], 0)


def test_the_smallest_go_and_of_equal_ones_the_first():
    weight = torch.tensor([[2.0, -1.0, 1.0], [-1.0, 0.5, -3.0]])
    assert zero_smallest(weight, weight, 3).tolist() == [[2.0, 0.0, 0.0], [-1.0, 0.0, -3.0]]
    assert weight[1, 1] == 0.5, "the input stays as it was"


def test_nothing_to_drop_changes_no_bit():
    weight = torch.tensor([0.0, -0.0, 1.0])
    result = zero_smallest(weight, weight, 0)
    assert torch.equal(result.view(torch.int32), weight.view(torch.int32))
    assert result is not weight


def test_counts_are_rounded_not_truncated():
    assert drop_count(0.29, 100) == 29
    assert [drop_count(s, 10) for s in (0.0, 0.05, 0.15, 0.25, 0.96)] == [0, 0, 2, 2, 10]


def test_weights_of_several_float_types_are_cut_at_one_value():
    """A cut between two neighbouring float32 numbers, both of which bfloat16 rounds to the same."""
    exact = torch.tensor([1.0, 1.001, 1.002, 3.0])
    rough = torch.tensor([1.0, 2.0]).to(torch.bfloat16)
    cut = cut_at([rough, exact], 4)
    assert [below(each, cut)[0].tolist() for each in (rough, exact)] == [[True, False], [True, True, True, False]]
