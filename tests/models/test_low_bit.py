"""Changes of a weight in 4 bits: nearest codes, exact to unpack, added to the rows they name and to no other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fairsqueeze.errors import ModelError
from fairsqueeze.models.delta import merge_
from fairsqueeze.models.low_bit import GROUP, packed, unpacked


def test_multiples_of_a_scale_come_back_exactly() -> None:
    change = torch.arange(-7, 8).repeat(18)[: 2 * GROUP].reshape(1, -1).float() * 0.25
    codes, scales = packed(change)
    assert (codes.shape, codes.dtype, scales.shape) == ((1, GROUP), torch.uint8, (1, 2))
    assert torch.equal(unpacked(codes, scales), change.double())
    assert int(codes[0, 0]) == (-7 + 8) | (-6 + 8) << 4


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1e-3, 1.0]))
def test_no_entry_is_off_by_more_than_half_a_step_of_the_widest_scale_or_what_clipping_takes(seed: int, size: float):
    change = torch.randn(5, 2 * GROUP, generator=torch.Generator().manual_seed(seed)).double() * size
    back = unpacked(*packed(change))
    widest = change.reshape(5, 2, GROUP).abs().amax(-1, keepdim=True)
    off = (back - change).reshape(5, 2, GROUP).abs()
    assert bool((off <= 0.4 * widest * 1.01 + 2e-8).all())
    plain = ((change.reshape(5, 2, GROUP) / (widest / 7)).round() * (widest / 7)).reshape(change.shape)
    assert float((back - change).square().sum()) <= float((plain - change).square().sum()) * 1.01 + 1e-12


def test_a_group_without_change_stays_without() -> None:
    codes, scales = packed(torch.zeros(2, GROUP))
    assert not unpacked(codes, scales).any()


def test_columns_that_make_no_whole_group_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        packed(torch.zeros(1, GROUP + 1))


def test_it_is_added_to_its_rows_together_with_the_low_rank_term_and_rounded_once() -> None:
    network = nn.Linear(GROUP, 4, bias=False)
    before = network.weight.detach().double().clone()
    draw = torch.Generator().manual_seed(0)
    codes, scales = packed(torch.randn(2, GROUP, generator=draw) * 0.01)
    low, high = torch.randn(3, GROUP, generator=draw).half(), torch.randn(4, 3, generator=draw).half()
    tensors = {
        "weight.low_bit_codes": codes,
        "weight.low_bit_scales": scales,
        "weight.low_bit_rows": torch.tensor([3, 1], dtype=torch.int32),
        "weight.low_rank_a": low,
        "weight.low_rank_b": high,
    }
    merge_(network, tensors)
    expected = before + high.double() @ low.double()
    expected[[3, 1]] += unpacked(codes, scales)
    assert torch.equal(network.weight, expected.float())


@pytest.mark.parametrize("rows", [[0, 4], [-1, 0], [0], [1, 1]])
def test_rows_that_do_not_fit_or_stand_twice_are_refused(rows: list[int]) -> None:
    codes, scales = packed(torch.ones(2, GROUP))
    tensors = {"weight.low_bit_codes": codes, "weight.low_bit_scales": scales}
    with pytest.raises(ModelError, match=r"fit|twice"):
        merge_(
            nn.Linear(GROUP, 4, bias=False), {**tensors, "weight.low_bit_rows": torch.tensor(rows, dtype=torch.int32)}
        )
