"""Round to nearest, against loops over single weights and hand-worked bits."""

from __future__ import annotations

import pytest
import torch

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.grid import fit_grid, stored_bits
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.testing.tiny import tiny_model


def slow(row, bits, symmetric):
    """One group, weight by weight, in Python floats."""
    highest = 2 ** (bits - 1) - 1 if symmetric else 2**bits - 1
    low, high = min(0.0, *row), max(0.0, *row)
    raw = max(-low, high) / highest if symmetric else (high - low) / highest
    scale = float(torch.tensor(raw).half())
    zero = 0 if symmetric else round(-low / scale)
    lowest = -highest if symmetric else 0
    return [(min(highest, max(lowest, round(w / scale + zero))) - zero) * scale for w in row]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group", [None, 8])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_weights_are_those_of_the_slow_reference(architecture, group, bits, symmetric):
    model = tiny_model(architecture)
    result = compress(model, "rtn", bits=bits, group=group, symmetric=symmetric)
    old, new = (weight_matrices(m.network, "linear")[0] for m in (model, result))
    was, now = ((r.parameter.T if r.transposed else r.parameter).detach() for r in (old, new))
    size = group or was.shape[1]
    for start in range(0, was.shape[1], size):
        part = slice(start, start + size)
        want = torch.tensor([slow(row, bits, symmetric) for row in was[:6, part].tolist()])
        step = (was[:6, part].abs().amax(1, keepdim=True) * 2 / (2**bits - 2)).max()
        differ = (now[:6, part] - want).abs() > 1e-6
        assert differ.float().mean() < 0.01  # a tie in float32 may fall the other way
        assert (now[:6, part] - want).abs().max() <= step * 1.01
        assert all(len(row.unique()) <= 2**bits for row in now[:, part])


def test_the_rest_stays_and_what_was_measured_is_recorded(model):
    result = compress(model, "rtn", bits=4)
    chosen = {ref.name for ref in weight_matrices(model.network, "linear")}
    was = dict(model.network.named_parameters())
    for name, now in result.network.named_parameters():
        assert torch.equal(now, was[name]) == (name not in chosen), name
    measured = result.provenance["steps"][-1]["measured"]
    assert 0 < measured["mean_relative_error"] <= measured["max_relative_error"] < 0.3
    assert measured["most_values"] <= 15
    assert 4 < measured["bits_per_weight"] <= 5


def test_bits_by_hand():
    assert stored_bits((2, 8), bits=4) == 2 * 8 * 4 + 2 * 16
    assert stored_bits((2, 8), bits=4, group=4, symmetric=False) == 2 * 8 * 4 + 4 * (16 + 4)


def test_more_bits_err_less_and_zeros_stay():
    model = compress(tiny_model("bert"), "magnitude.linear", sparsity=0.5)
    errors = []
    for bits in range(2, 9):
        measured = compress(model, "rtn", bits=bits, symmetric=False).provenance["steps"][-1]["measured"]
        errors.append(measured["mean_relative_error"])
        assert measured["zeros"] >= measured["zeros_before"]
    assert errors == sorted(errors, reverse=True)


def test_a_group_of_zeros_and_one_of_tiny_weights_are_finite():
    weight = torch.tensor([[[0.0, 0.0], [1e-12, -1e-12]]])
    for symmetric in (True, False):
        assert torch.isfinite(fit_grid(weight, 4, symmetric).round(weight)).all()


@pytest.mark.parametrize("bad", [{"bits": 1}, {"bits": 9}, {"group": 0}, {"bits": 2.5}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(BadSetting, match=next(iter(bad))):
        compress(tiny_model("bert"), "rtn", **bad)


def test_a_group_that_does_not_divide_names_layers_and_setting():
    with pytest.raises(BadSetting, match=r"group 24 does not divide 32 input features in .*query\.weight") as refused:
        compress(tiny_model("bert"), "rtn", group=24)
    assert "Set group to a divisor of it such as 16" in refused.value.remedy
