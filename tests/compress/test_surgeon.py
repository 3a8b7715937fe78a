"""SparseGPT, GPTQ and AWQ against slow references: float64, one column at a time, every inverse taken afresh."""

from __future__ import annotations

import pytest
import torch

from fairsqueeze.compress.apply import compress, pipeline
from fairsqueeze.compress.awq import awq
from fairsqueeze.compress.cut import drop_count
from fairsqueeze.compress.gptq import gptq
from fairsqueeze.compress.grid import fit_grid
from fairsqueeze.compress.rtn import rtn
from fairsqueeze.compress.sparsegpt import sparsegpt
from fairsqueeze.compress.sparsegpt_nm import sparsegpt_nm
from fairsqueeze.compress.sparsegpt_quantised import sparsegpt_quantised
from fairsqueeze.compress.surgeon import inverse_factor
from fairsqueeze.errors import BadSetting, ModelError, NonFinite
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.testing.tiny import tiny_model

DAMPING = 0.01


def layer(out=6, features=40, seed=0, tokens=300):
    """A weight and the Hessian of correlated inputs, float64."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(features, features, generator=generator, dtype=torch.float64)
    inputs = torch.randn(tokens, features, generator=generator, dtype=torch.float64) @ mix
    weight = torch.randn(out, features, generator=generator, dtype=torch.float64)
    return weight, 2 / tokens * inputs.T @ inputs


def output_error(weight, result, hessian):
    change = (result - weight).double()
    return float((change @ hessian.double() * change).sum())


def slow_surgeon(weight, hessian, settle):
    """Column by column: settle it, then move all later ones by the inverse of the Hessian of what is left.

    settle(column, weights now, cost of one unit of change in each column) -> the column's new values.
    """
    features = weight.shape[1]
    damped = hessian + DAMPING * hessian.diagonal().mean() * torch.eye(features, dtype=torch.float64)
    unit_cost = torch.tensor([1 / torch.linalg.inv(damped[p:, p:])[0, 0] for p in range(features)])
    now = weight.clone()
    for column in range(features):
        inverse = torch.linalg.inv(damped[column:, column:])
        kept = settle(column, now, unit_cost)
        error = (now[:, column] - kept) / inverse[0, 0]
        now[:, column] = kept
        now[:, column + 1 :] -= error[:, None] * inverse[0, 1:][None]
    return now


def slow_sparsegpt(weight, hessian, sparsity, rounded=lambda column: column):
    """`rounded`: what happens to kept weights of a column as soon as it is settled."""
    gone = torch.zeros_like(weight, dtype=torch.bool)

    def settle(column, now, cost):
        if column % 128 == 0:
            stop = min(column + 128, weight.shape[1])
            score = now[:, column:stop] ** 2 * cost[column:stop]
            count = round(sparsity * weight.shape[0] * stop) - round(sparsity * weight.shape[0] * column)
            order = score.flatten().argsort(stable=True)[:count]
            block = torch.zeros(score.numel(), dtype=torch.bool)
            block[order] = True
            gone[:, column:stop] = block.reshape(score.shape)
        return rounded(now[:, column]).masked_fill(gone[:, column], 0.0)

    return slow_surgeon(weight, hessian, settle)


@pytest.mark.parametrize("features", [40, 200])
@pytest.mark.parametrize("bits", [3, 4])
def test_pruning_and_rounding_at_once_is_the_slow_surgeon(features, bits):
    weight, hessian = layer(features=features)
    highest = 2 ** (bits - 1) - 1
    scale = (weight.abs().amax(1) / highest).half().double()
    want = slow_sparsegpt(weight, hessian, 0.5, lambda w: (w / scale).round().clamp(-highest, highest) * scale)
    result = sparsegpt_quantised(weight, hessian=hessian, sparsity=0.5, bits=bits, damping=DAMPING)
    torch.testing.assert_close(result, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("features", [40, 200])
@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.71])
def test_sparsegpt_is_the_slow_surgeon(features, sparsity):
    weight, hessian = layer(features=features)
    want = slow_sparsegpt(weight, hessian, sparsity)
    result = sparsegpt(weight, hessian=hessian, sparsity=sparsity, damping=DAMPING)
    torch.testing.assert_close(result, want, rtol=1e-6, atol=1e-8)
    assert int((result == 0).sum()) == drop_count(sparsity, weight.numel())
    single = sparsegpt(weight.float(), hessian=hessian.float(), sparsity=sparsity, damping=DAMPING)
    assert (single.double() - want).abs().mean() < 0.02 * want.abs().mean()  # a tie may fall the other way


@pytest.mark.parametrize("pattern", [(2, 4), (4, 8), (1, 4)])
def test_sparsegpt_by_groups_is_the_slow_surgeon(pattern):
    keep, of = pattern
    weight, hessian = layer(features=144)
    gone = torch.zeros_like(weight, dtype=torch.bool)

    def settle(column, now, cost):
        if column % of == 0:
            group = slice(column, column + of)
            for row in range(len(now)):
                score = (now[row, group] ** 2 * cost[group]).tolist()
                for least in sorted(range(of), key=lambda i: score[i])[: of - keep]:
                    gone[row, column + least] = True
        return now[:, column].masked_fill(gone[:, column], 0.0)

    want = slow_surgeon(weight, hessian, settle)
    result = sparsegpt_nm(weight, hessian=hessian, keep=keep, of=of, damping=DAMPING)
    torch.testing.assert_close(result, want, rtol=1e-6, atol=1e-8)
    assert bool(((result.reshape(-1, of) != 0).sum(1) == keep).all())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("features", "group"), [(40, None), (160, None), (48, 8), (144, 48), (320, 160)])
def test_gptq_is_the_slow_surgeon(features, group, symmetric):
    weight, hessian = layer(features=features)
    size = group or features
    grids = {}

    def settle(column, now, _):
        if column % size == 0:
            grids[column // size] = fit_grid(now[:, None, column : column + size], 4, symmetric)
        return grids[column // size].round(now[:, column, None, None]).flatten()

    want = slow_surgeon(weight, hessian, settle)
    result = gptq(weight, hessian=hessian, bits=4, group=group, symmetric=symmetric, damping=DAMPING)
    torch.testing.assert_close(result, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("group", [None, 8])
def test_gptq_by_order_of_inputs_is_the_slow_surgeon_on_sorted_columns(group):
    weight, hessian = layer(features=48)
    order = sorted(range(48), key=lambda i: -float(hessian[i, i]))
    grid = fit_grid(weight.float().reshape(6, -1, group or 48), 4, True)

    def settle(column, now, _):
        return grid.only(order[column] // (group or 48)).round(now[:, column, None, None]).flatten()

    want = torch.empty_like(weight)
    want[:, order] = slow_surgeon(weight[:, order], hessian[order][:, order], settle)
    result = gptq(weight, hessian=hessian, bits=4, group=group, act_order=True, damping=DAMPING)
    torch.testing.assert_close(result, want, rtol=1e-6, atol=1e-8)


def test_making_up_for_errors_makes_outputs_err_less():
    weight, hessian = (tensor.float() for tensor in layer(out=32, features=96, tokens=500))
    for bits in (2, 3, 4):
        plain = output_error(weight, rtn(weight, bits=bits), hessian)
        assert output_error(weight, gptq(weight, hessian=hessian, bits=bits), hessian) < 0.8 * plain
    masked = weight * (sparsegpt(weight, hessian=hessian, sparsity=0.5) != 0)
    made_up_for = output_error(weight, sparsegpt(weight, hessian=hessian, sparsity=0.5), hessian)
    assert made_up_for < 0.8 * output_error(weight, masked, hessian)
    joint = sparsegpt_quantised(weight, hessian=hessian, sparsity=0.5, bits=4)
    assert made_up_for < output_error(weight, joint, hessian) < output_error(weight, masked, hessian)
    assert all(len(row.unique()) <= 15 for row in joint)


def test_the_factor_is_that_of_the_damped_inverse_and_dead_inputs_count_as_one():
    _, hessian = layer(features=12)
    hessian[3], hessian[:, 3] = 0, 0
    factor = inverse_factor(hessian, 0.05)
    filled = hessian.clone()
    filled[3, 3] = 1
    filled += 0.05 * filled.diagonal().mean() * torch.eye(12, dtype=torch.float64)
    torch.testing.assert_close(factor.T @ factor, torch.linalg.inv(filled))
    assert torch.equal(factor, factor.triu())
    with pytest.raises(ModelError, match="not positive definite") as refused:
        inverse_factor(-hessian, 0.01)
    assert "damping" in refused.value.remedy


def test_inputs_that_are_always_zero_go_first_however_small_the_others_are():
    weight, hessian = layer(features=40)
    hessian *= 1e-4  # the dead ones' stand-in of 1 lies far above
    hessian[[3, 30]], hessian[:, [3, 30]] = 0, 0
    weight[0, 3] = weight[1, 5] = 0
    for sparsity in (0.06, 0.3):
        for result in (
            sparsegpt(weight, hessian=hessian, sparsity=sparsity),
            sparsegpt_quantised(weight.float(), hessian=hessian.float(), sparsity=sparsity, bits=8),
        ):
            assert bool((result[:, [3, 30]] == 0).all())
            assert bool((result[weight == 0] == 0).all())
    by_groups = sparsegpt_nm(weight, hessian=hessian, keep=3, of=4)
    assert bool((by_groups[:, [3, 30]] == 0)[[0, 2, 3, 4, 5]].all())
    assert bool((by_groups[weight == 0] == 0).all())
    assert bool((by_groups.reshape(-1, 4) != 0).sum(1).eq(3).all()), "no more than must go"


def test_zeros_stay_zeros_and_count():
    weight, hessian = layer(out=8, features=260)
    weight[torch.rand(weight.shape, generator=torch.Generator().manual_seed(3)) < 0.4] = 0
    weight[:, :30] = 0  # more than its share in the first block of columns
    before = int((weight == 0).sum())
    for sparsity in (0.3, 0.5, 0.8):
        result = sparsegpt(weight, hessian=hessian, sparsity=sparsity)
        assert bool((result[weight == 0] == 0).all())
        assert int((result == 0).sum()) == max(before, drop_count(sparsity, weight.numel()))
    groups = sparsegpt_nm(weight, hessian=hessian)
    assert bool((groups[weight == 0] == 0).all())
    assert int((groups.reshape(-1, 4) != 0).sum(1).max()) == 2
    for rounded in (gptq(weight, hessian=hessian), gptq(weight, hessian=hessian, act_order=True)):
        assert bool((rounded[weight == 0] == 0).all())


@pytest.mark.parametrize("symmetric", [True, False])
def test_awq_is_the_best_of_its_scales_and_never_worse_than_rounding(symmetric):
    weight, hessian = (tensor.float() for tensor in layer(out=16, features=32, seed=4))
    mean = torch.rand(32, generator=torch.Generator().manual_seed(1)) * 3
    mean[5] = 0.0
    errors = {}
    for step in range(10):
        scale = mean.double().pow(step / 10).clamp(min=1e-4)
        scale = (scale / (scale.max() * scale.min()).sqrt()).half().double()
        scaled = (weight.double() * scale).float()
        candidate = fit_grid(scaled[:, None], 3, symmetric).round(scaled[:, None])[:, 0].double() / scale
        errors[step] = output_error(weight, candidate, hessian)
    result = awq(weight, input_mean_abs=mean, hessian=hessian, bits=3, symmetric=symmetric, steps=10)
    assert output_error(weight, result, hessian) == pytest.approx(min(errors.values()), rel=0.02)
    assert errors[0] == pytest.approx(output_error(weight, rtn(weight, bits=3, symmetric=symmetric), hessian), rel=1e-3)


def test_what_is_measured_counts_scales():
    model = tiny_model("llama")
    small = {"sequences": 3, "length": 24}
    plain = compress(model, "gptq", bits=4, group=16, **small).provenance["steps"][-1]["measured"]
    assert plain["bits_per_weight"] == pytest.approx(4 + 16 / 16)
    assert plain["most_values"] <= 15
    assert 0 < plain["mean_relative_output_error"] < plain["mean_relative_error"]
    scaled = compress(model, "awq", bits=4, group=16, **small).provenance["steps"][-1]["measured"]
    refs = weight_matrices(model.network, "block_linear")
    inputs = sum(ref.parameter.shape[1] for ref in refs)
    assert scaled["bits_per_weight"] == pytest.approx(5 + 16 * inputs / sum(ref.parameter.numel() for ref in refs))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_awq_returns_no_unrounded_weights_where_it_can_not_compare(value):
    weight, hessian = layer()
    with pytest.raises(NonFinite, match="NaN or infinite"):
        awq(weight, input_mean_abs=torch.ones(40, dtype=torch.float64), hessian=torch.full_like(hessian, value))


def test_pruned_then_quantised_keeps_its_zeros():
    small = {"sequences": 3, "length": 24}
    steps = [
        {"name": "sparsegpt", "parameters": {"sparsity": 0.5, **small}},
        {"name": "gptq", "parameters": {"bits": 4, **small}},
    ]
    result = pipeline(tiny_model("qwen2"), steps)
    first, second = (step["measured"] for step in result.provenance["steps"])
    assert first["sparsity"] == 0.5
    assert second["zeros"] >= second["zeros_before"] == first["zeros"]


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_a_group_that_does_not_divide_is_refused_before_the_calibration(method):
    with pytest.raises(BadSetting, match=r"group 24 does not divide 32 input features in .*query\.weight"):
        compress(tiny_model("bert"), method, group=24, calibration="/nowhere")
    with pytest.raises(BadSetting, match="bits"):
        compress(tiny_model("bert"), method, bits=9)


def test_settings_of_the_last_step_are_checked_before_the_first_is_applied(monkeypatch):
    def applied(*_):
        raise AssertionError("a step was applied")

    monkeypatch.setattr("fairsqueeze.compress.apply._apply", applied)
    steps = [
        {"name": "sparsegpt", "parameters": {"sparsity": 0.5}},
        {"name": "gptq", "parameters": {"group": 24}},
    ]
    with pytest.raises(BadSetting, match="group 24 does not divide"):
        pipeline(tiny_model("bert"), steps)


def test_half_precision_weights_stay_in_their_type():
    model = tiny_model("llama")
    model.network.to(torch.bfloat16)
    for method in ("sparsegpt", "gptq", "awq", "sparsegpt.nm"):
        settings = {"sparsity": 0.5} if method == "sparsegpt" else {}
        result = compress(model, method, sequences=3, length=24, **settings)
        assert {p.dtype for p in result.network.parameters()} == {torch.bfloat16}
