"""What is refused: models that can't be pruned, methods that don't keep their word, steps checked too late."""

from __future__ import annotations

import doctest

import pytest
import torch

from fairsqueeze.compress import apply
from fairsqueeze.compress.apply import compress, layer_seed, oriented, pipeline
from fairsqueeze.errors import BadSetting, ModelError, NonFinite, UnknownName
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.registry import Method, methods
from fairsqueeze.spec import Spec
from fairsqueeze.testing.tiny import tiny_model


def declare(monkeypatch, function, grain="weight", **more):
    """Register `function` as the method "broken" for one test."""
    declared = Method("broken", grain, function, "linear", frozenset(), "here", "nothing", **more)
    methods.names()
    monkeypatch.setitem(methods._by_name, "broken", declared)


def test_a_rule_that_removes_too_little_is_caught(monkeypatch):
    def rule(weight, *, sparsity: float):
        """Zero all but one of what was asked."""
        result = weight.clone()
        result.view(-1)[: round(sparsity * weight.numel()) - 1] = 0
        return result

    declare(monkeypatch, rule, exact_over="matrix")
    with pytest.raises(ModelError, match=r"511 zeros of 1,024 weights \(a matrix\) where sparsity 0\.5 means 512"):
        compress(tiny_model("bert"), "broken", sparsity=0.5)


def test_rows_are_checked_one_by_one_also_where_a_layer_is_stored_transposed(monkeypatch):
    def rows(weight, *, sparsity: float):
        """The first weights of every row."""
        result = weight.clone()
        result[:, : round(sparsity * weight.shape[1])] = 0
        return result

    def columns(weight, *, sparsity: float):
        """The right number of every column, which is the wrong number of every row."""
        return rows(weight.T, sparsity=sparsity).T

    for architecture in ("bert", "gpt2"):
        declare(monkeypatch, rows, exact_over="row")
        measured = compress(tiny_model(architecture), "broken", sparsity=0.25).provenance["steps"][-1]["measured"]
        assert measured["sparsity"] == 0.25
        declare(monkeypatch, columns, exact_over="row")
        with pytest.raises(ModelError, match=r"a row"):
            compress(tiny_model(architecture), "broken", sparsity=0.25)


def test_a_selection_is_checked_as_a_whole(monkeypatch):
    def rule(model, *, sparsity: float):
        """Zero one weight."""
        next(iter(weight_matrices(model.network, "linear"))).parameter.view(-1)[0] = 0

    declare(monkeypatch, rule, grain="model", exact_over="selection")
    with pytest.raises(ModelError, match=r"the selection has 1 zeros"):
        compress(tiny_model("bert"), "broken", sparsity=0.5)


@pytest.mark.parametrize("spoil", [lambda w: w[:, :-1], lambda w: w.double(), lambda w: w.T[None]])
def test_a_rule_that_changes_shape_or_type_is_caught(monkeypatch, spoil):
    def rule(weight):
        """Not what was handed over."""
        return spoil(weight)

    declare(monkeypatch, rule)
    with pytest.raises(ModelError, match="must keep shape and type"):
        compress(tiny_model("bert"), "broken")


def test_quantised_weights_are_refused():
    model = tiny_model("bert")
    layer = model.network.bert.encoder.layer[0].attention.self.query
    layer.weight = torch.nn.Parameter(layer.weight.data.to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match=r"query.*torch\.int8") as refused:
        compress(model, "magnitude.linear", sparsity=0.5)
    assert "before quantising" in refused.value.remedy


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_model_is_refused(value):
    model = tiny_model("bert")
    with torch.no_grad():
        model.network.bert.encoder.layer[1].output.dense.weight[3, 4] = value
    with pytest.raises(NonFinite, match=r"layer\.1\.output\.dense"):
        compress(model, "magnitude.linear", sparsity=0.5)


def test_all_steps_are_checked_before_the_first_is_applied(monkeypatch):
    import copy

    model = tiny_model("bert")
    monkeypatch.setattr(copy, "deepcopy", lambda _: pytest.fail("copied before the settings were checked"))
    first = Spec("magnitude.linear", {"sparsity": 0.5})
    with pytest.raises(BadSetting, match=r"magnitude\.all: sparsity is 2"):
        pipeline(model, [first, Spec("magnitude.all", {"sparsity": 2})])
    with pytest.raises(UnknownName, match="nothing_like_it"):
        pipeline(model, [first, Spec("nothing_like_it")])


def test_a_compressed_model_says_so_in_its_reference():
    model = tiny_model("bert")
    result = compress(model, "magnitude.linear", sparsity=0.5)
    assert result.reference == "tiny:bert:masked → magnitude.linear(sparsity=0.5)"
    assert (result.kind, result.tokenizer, result.absent, result.ignored) == (
        model.kind,
        model.tokenizer,
        model.absent,
        model.ignored,
    )


def test_half_precision_models_keep_their_type():
    model = tiny_model("llama")
    model.network.to(torch.bfloat16)
    for name in ("magnitude.all", "magnitude.global", "random.linear"):
        result = compress(model, name, sparsity=0.5)
        assert {p.dtype for p in result.network.parameters()} == {torch.bfloat16}


def test_weights_are_handed_over_as_out_by_in():
    network = tiny_model("gpt2").network
    shapes = {tuple(oriented(ref).shape) for ref in weight_matrices(network, "linear")}
    assert shapes == {(96, 32), (32, 32), (64, 32), (32, 64)} or shapes == {(96, 32), (32, 32), (128, 32), (32, 128)}


def test_layer_seeds_are_fixed_and_differ_by_seed_and_name():
    assert layer_seed(0, "a.weight") == layer_seed(0, "a.weight")
    assert len({layer_seed(s, n) for s in range(5) for n in ("a.weight", "b.weight")}) == 10
    # Worked by hand from sha256('[0,"a.weight"]'): a change would change every random model ever published.
    assert layer_seed(0, "a.weight") == EXPECTED_SEED


EXPECTED_SEED = int("bc4228da9aaa6a8d", 16) >> 1


def test_the_example_in_the_documentation_runs():
    outcome = doctest.testmod(apply)
    assert outcome.attempted >= 3
    assert outcome.failed == 0
