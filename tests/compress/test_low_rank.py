"""Low rank, against the optimum that other routes find, and hand-counted factors."""

from __future__ import annotations

import pytest
import torch

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.low_rank import measured_rank
from fairsqueeze.compress.low_rank_activation import low_rank_activation
from fairsqueeze.compress.low_rank_svd import low_rank_svd
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.testing.tiny import tiny_model


def layer(out=12, features=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(features, features, generator=generator, dtype=torch.float64)
    inputs = torch.randn(400, features, generator=generator, dtype=torch.float64) @ mix
    return torch.randn(out, features, generator=generator, dtype=torch.float64), 2 / 400 * inputs.T @ inputs


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_svd_leaves_the_largest_singular_values(shape):
    weight, _ = layer(*shape)
    sizes = torch.linalg.svdvals(weight)
    for rank, kept in ((0.25, 3), (0.5, 6), (0.01, 1), (1.0, 12)):
        result = low_rank_svd(weight, rank=rank)
        assert measured_rank(result.float()) == kept
        error = torch.linalg.matrix_norm(result - weight)
        assert float(error) == pytest.approx(float(sizes[kept:].square().sum().sqrt()), abs=1e-4)


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_activation_is_the_whitened_svd_of_the_paper(shape):
    """SVD-LLM's own route: Cholesky factor S of XXᵀ, SVD of W S, cut, S undone."""
    weight, hessian = layer(*shape)
    whitening = torch.linalg.cholesky(hessian)
    left, sizes, right = torch.linalg.svd(weight @ whitening, full_matrices=False)
    for rank, kept in ((0.25, 3), (0.5, 6)):
        want = left[:, :kept] * sizes[:kept] @ right[:kept] @ torch.linalg.inv(whitening)
        result = low_rank_activation(weight, hessian=hessian, rank=rank)
        torch.testing.assert_close(result, want, rtol=1e-6, atol=1e-8)
        assert measured_rank(result) == kept
        plain = low_rank_svd(weight, rank=rank) - weight
        ours = result - weight
        assert float((ours @ hessian * ours).sum()) < float((plain @ hessian * plain).sum())


def test_energy_is_the_least_rank_that_reaches_it():
    weight = torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0]))  # squares 16, 9, 4, 1 of 30
    for energy, kept in ((0.5, 1), (16 / 30, 1), (0.54, 2), (25 / 30, 2), (0.9, 3), (1.0, 4)):
        assert measured_rank(low_rank_svd(weight, energy=energy)) == kept, energy
        assert measured_rank(low_rank_activation(weight, hessian=torch.eye(4), energy=energy)) == kept, energy
    # Inputs of the last feature are ten times as large: its output is 10² · 1 of 129.
    hessian = torch.diag(torch.tensor([1.0, 1.0, 1.0, 100.0]))
    result = low_rank_activation(weight, hessian=hessian, energy=0.7)
    torch.testing.assert_close(result, torch.diag(torch.tensor([0.0, 0.0, 0.0, 1.0])))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rank_is_measured_through_the_rounding_of_every_type(dtype):
    weight = torch.randn(64, 96, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert measured_rank(low_rank_svd(weight, rank=0.25)) == 16
    assert measured_rank(weight) == 64
    assert measured_rank(torch.zeros(4, 4)) == 0


def test_factors_are_counted(model):
    measured = compress(model, "low_rank.svd", rank=0.25).provenance["steps"][-1]["measured"]
    refs = weight_matrices(model.network, "block_linear")
    shapes = [tuple(ref.parameter.shape) for ref in refs]
    numbers = sum(min(round(0.25 * min(s)) * sum(s), s[0] * s[1]) for s in shapes)
    assert measured["factor_parameters"] == numbers
    assert measured["factor_share"] == numbers / sum(a * b for a, b in shapes)
    assert measured["mean_rank_share"] == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [{"rank": 0}, {"rank": 1.1}, {"energy": 0}, {"energy": 2}])
@pytest.mark.parametrize("method", ["low_rank.svd", "low_rank.activation"])
def test_bad_settings_are_refused(method, bad):
    with pytest.raises(BadSetting, match=next(iter(bad))):
        compress(tiny_model("bert"), method, **bad)
