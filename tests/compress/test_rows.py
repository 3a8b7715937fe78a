"""Pruning by row and by group of neighbours, against loops over single weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.magnitude_nm import magnitude_nm
from fairsqueeze.compress.magnitude_row import magnitude_row
from fairsqueeze.compress.rows import prove_groups
from fairsqueeze.compress.wanda import wanda
from fairsqueeze.compress.wanda_nm import wanda_nm
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.testing.tiny import tiny_model


def slow_row(weights, norms, n_drop):
    """One row in Python floats: zeros first, then the least score, of equal ones the first."""
    order = sorted(range(len(weights)), key=lambda i: (weights[i] != 0, abs(weights[i]) * norms[i], i))
    return [0.0 if i in order[:n_drop] else w for i, w in enumerate(weights)]


small = st.integers(-3, 3).map(float)
matrices = st.integers(1, 4).flatmap(
    lambda rows: st.lists(st.lists(small, min_size=8, max_size=8), min_size=rows, max_size=rows)
)
norms = st.lists(st.integers(0, 3).map(float), min_size=8, max_size=8)


@settings(deadline=None, max_examples=60)
@given(matrices, norms, st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.63, 0.95]))
def test_wanda_is_the_loop_ties_and_zeros_included(weight, norm, sparsity):
    result = wanda(torch.tensor(weight), input_norm=torch.tensor(norm), sparsity=sparsity)
    assert result.tolist() == [slow_row(row, norm, round(sparsity * 8)) for row in weight]
    plain = magnitude_row(torch.tensor(weight), sparsity=sparsity)
    assert plain.tolist() == [slow_row(row, [1.0] * 8, round(sparsity * 8)) for row in weight]


@settings(deadline=None, max_examples=60)
@given(matrices, norms, st.sampled_from([(2, 4), (4, 8), (1, 4), (1, 2), (3, 8)]))
def test_groups_are_the_loop(weight, norm, pattern):
    keep, of = pattern

    def slow(row, norms):
        groups = range(0, 8, of)
        return [v for g in groups for v in slow_row(row[g : g + of], norms[g : g + of], of - keep)]

    result = wanda_nm(torch.tensor(weight), input_norm=torch.tensor(norm), keep=keep, of=of)
    assert result.tolist() == [slow(row, norm) for row in weight]
    assert magnitude_nm(torch.tensor(weight), keep=keep, of=of).tolist() == [slow(row, [1.0] * 8) for row in weight]


def test_wanda_by_hand():
    # Scores: 1·4=4, 3·1=3, 2·2=4, 5·0=0: the dead input goes first, then the weight of 3.
    weight = torch.tensor([[1.0, 3.0, -2.0, 5.0]])
    result = wanda(weight, input_norm=torch.tensor([4.0, 1.0, 2.0, 0.0]), sparsity=0.5)
    assert result.tolist() == [[1.0, 0.0, -2.0, 0.0]]
    assert weight.tolist() == [[1.0, 3.0, -2.0, 5.0]]


@pytest.mark.parametrize("method", ["magnitude.nm", "wanda.nm"])
@pytest.mark.parametrize("pattern", [(2, 4), (4, 8)])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_every_group_of_a_model_keeps_what_it_may(method, pattern, architecture):
    keep, of = pattern
    model = tiny_model(architecture)
    more = {"sequences": 2, "length": 24} if method == "wanda.nm" else {}
    result = compress(model, method, keep=keep, of=of, **more)
    select = "block_linear" if method == "wanda.nm" else "linear"
    groups = 0
    for ref in weight_matrices(result.network, select):
        rows = ref.parameter.T if ref.transposed else ref.parameter
        for row in rows.tolist():
            for start in range(0, len(row), of):
                assert sum(w != 0 for w in row[start : start + of]) == keep
                groups += 1
    measured = result.provenance["steps"][-1]["measured"]
    assert (measured["groups"], measured["keep"], measured["of"]) == (groups, keep, of)
    assert measured["sparsity"] == 0.5


def test_a_broken_group_is_found():
    model = compress(tiny_model("gpt2"), "magnitude.nm")
    refs = weight_matrices(model.network, "linear")
    with torch.no_grad():
        refs[3].parameter[:4, 5] = 1.0
    with pytest.raises(ModelError, match=r"keeps 4 weights of 4 in a group, not 2"):
        prove_groups(refs, keep=2, of=4)


def test_patterns_that_do_not_fit_are_refused():
    model = tiny_model("bert")
    with pytest.raises(BadSetting, match="keep is 4 of 4"):
        compress(model, "magnitude.nm", keep=4, of=4)
    with pytest.raises(BadSetting, match=r"of=5 does not divide the input features of bert\.encoder.* more layers"):
        compress(model, "magnitude.nm", keep=2, of=5)
    with pytest.raises(BadSetting, match=r"keep"):
        compress(model, "wanda.nm", keep=0)


def test_a_second_step_keeps_the_zeros_of_the_first():
    first = compress(tiny_model("llama"), "magnitude.row", sparsity=0.25)
    second = compress(first, "wanda", sparsity=0.5, sequences=2, length=24)
    zeros = {ref.name: ref.parameter == 0 for ref in weight_matrices(first.network, "block_linear")}
    for ref in weight_matrices(second.network, "block_linear"):
        assert bool((ref.parameter[zeros[ref.name]] == 0).all())
    assert second.provenance["steps"][-1]["measured"]["sparsity"] == 0.5
