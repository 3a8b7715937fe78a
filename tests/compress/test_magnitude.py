"""Magnitude pruning against torch.nn.utils.prune, and the cases that are easy to get wrong."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from fairsqueeze.compress.apply import compress, pipeline
from fairsqueeze.compress.cut import drop_count
from fairsqueeze.compress.magnitude_all import magnitude_all
from fairsqueeze.compress.magnitude_linear import magnitude_linear
from fairsqueeze.compress.random_linear import random_linear
from fairsqueeze.spec import Spec
from fairsqueeze.testing.tiny import tiny_model

MODELS = [("roberta", "pair_classifier"), ("bert", "masked"), ("distilbert", "pair_regressor"), ("llama", "causal")]


def made(modules: list[nn.Module]) -> None:
    for module in modules:
        prune.remove(module, "weight")


def weighted(network: nn.Module) -> list[nn.Module]:
    """Every module with a .weight, each parameter once, as the study's code walks over them."""
    seen: set[int] = set()
    found = []
    for module in network.modules():
        weight = module._parameters.get("weight")
        if weight is not None and id(weight) not in seen:
            seen.add(id(weight))
            found.append(module)
    return found


def assert_same_weights(ours: nn.Module, theirs: nn.Module) -> None:
    want = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, want[name]), name


@pytest.mark.parametrize(("architecture", "kind"), MODELS)
@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.93])
def test_all_is_torchs_l1_unstructured_on_every_weight(architecture, kind, sparsity):
    model = tiny_model(architecture, kind)
    reference = copy.deepcopy(model.network)
    untie(reference)
    modules = weighted(reference)
    for module in modules:
        prune.l1_unstructured(module, "weight", sparsity)
    made(modules)
    assert_same_weights(compress(model, "magnitude.all", sparsity=sparsity).network, reference)


@pytest.mark.parametrize(("architecture", "kind"), MODELS[:1] + MODELS[2:])
def test_linear_is_torchs_l1_unstructured_on_every_linear_layer(architecture, kind):
    model = tiny_model(architecture, kind)
    reference = copy.deepcopy(model.network)
    modules = [m for m in reference.modules() if isinstance(m, nn.Linear)]
    for module in modules:
        prune.l1_unstructured(module, "weight", 0.4)
    made(modules)
    assert_same_weights(compress(model, "magnitude.linear", sparsity=0.4).network, reference)


@pytest.mark.parametrize(("architecture", "kind"), MODELS)
@pytest.mark.parametrize("sparsity", [0.1, 0.8])
def test_global_is_torchs_global_unstructured(architecture, kind, sparsity):
    model = tiny_model(architecture, kind)
    reference = copy.deepcopy(model.network)
    untie(reference)
    modules = weighted(reference)
    prune.global_unstructured([(m, "weight") for m in modules], prune.L1Unstructured, amount=sparsity)
    made(modules)
    assert_same_weights(compress(model, "magnitude.global", sparsity=sparsity).network, reference)


def untie(network: nn.Module) -> None:
    """torch's prune gives a tied head a weight of its own; leave it out instead, so that it is one matrix here too."""
    head = network.get_output_embeddings()
    if head is not None and head.weight is network.get_input_embeddings().weight:
        del head._parameters["weight"]
        object.__setattr__(head, "weight", None)


@pytest.mark.parametrize(
    ("architecture", "pattern"), [("roberta", "query key value"), ("llama", "q_proj k_proj v_proj")]
)
def test_global_attention_is_torchs_global_unstructured_on_query_key_and_value(architecture, pattern):
    model = tiny_model(architecture)
    reference = copy.deepcopy(model.network)
    modules = [m for name, m in reference.named_modules() if name.split(".")[-1] in pattern.split()]
    assert len(modules) == 6
    prune.global_unstructured([(m, "weight") for m in modules], prune.L1Unstructured, amount=0.5)
    made(modules)
    assert_same_weights(compress(model, "magnitude.global_attention", sparsity=0.5).network, reference)


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "phi3"])
def test_a_fused_query_key_value_matrix_counts_as_a_whole_and_the_output_does_not(architecture):
    model = tiny_model(architecture)
    result = compress(model, "magnitude.global_attention", sparsity=0.5)
    changed = [
        name
        for (name, was), now in zip(model.network.named_parameters(), result.network.parameters(), strict=True)
        if not torch.equal(was, now)
    ]
    fused = {"gpt2": "attn.c_attn.weight", "gpt_neox": "attention.query_key_value.weight", "phi3": "qkv_proj.weight"}
    assert len(changed) == 2
    assert all(name.endswith(fused[architecture]) for name in changed)
    rows = sum(n for n in [dict(model.network.named_parameters())[name].numel() for name in changed])
    assert result.provenance["steps"][-1]["measured"]["weights"] == rows


@pytest.mark.parametrize("rule", [magnitude_all, magnitude_linear])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type_is_pruned_in_its_own_type(rule, dtype):
    torch.manual_seed(0)
    weight = torch.randn(9, 11).to(dtype)
    result = rule(weight, sparsity=0.5)
    assert result.dtype == dtype
    assert int((result == 0).sum()) == drop_count(0.5, 99)
    assert result.abs()[result != 0].min() >= weight.abs()[result == 0].max()


def test_weights_that_are_zero_already_count():
    weight = torch.tensor([[0.0, 5.0, 0.0, 4.0], [3.0, 0.0, 2.0, 1.0]])
    assert magnitude_linear(weight, sparsity=0.5).tolist() == [[0, 5, 0, 4], [3, 0, 2, 0]]
    assert torch.equal(magnitude_linear(weight, sparsity=0.25), weight), "three of eight are zero: nothing to add"
    for seed in range(20):
        result = random_linear(weight, sparsity=0.5, seed=seed)
        assert int((result == 0).sum()) == 4
        assert bool((result[weight == 0] == 0).all())


def test_random_zeroes_every_weight_equally_often():
    weight = torch.ones(4, 5)
    zeroed = sum((random_linear(weight, sparsity=0.3, seed=seed) == 0).double() for seed in range(2000)) / 2000
    # 20 cells, each Binomial(2000, 0.3): standard error 0.0102; five of these leave one false alarm in 10^5.
    assert float((zeroed - 0.3).abs().max()) < 0.052


def test_random_draws_differ_between_layers_of_one_shape():
    result = compress(tiny_model("bert"), "random.linear", sparsity=0.5).network.bert.encoder.layer[0].attention.self
    assert not torch.equal(result.query.weight == 0, result.key.weight == 0)


def test_a_tied_head_is_pruned_once_and_stays_tied(tmp_path):
    for architecture in ("gpt2", "qwen2", "bert"):
        network = compress(tiny_model(architecture), "magnitude.all", sparsity=0.5).network
        head, embedding = network.get_output_embeddings().weight, network.get_input_embeddings().weight
        assert head is embedding
        assert int((head == 0).sum()) == drop_count(0.5, head.numel())


def test_linear_leaves_a_tied_head_alone():
    model = tiny_model("gpt2")
    result = compress(model, "magnitude.linear", sparsity=0.5)
    assert torch.equal(result.network.lm_head.weight, model.network.lm_head.weight)


def test_layers_that_albert_shares_are_pruned_once():
    result = compress(tiny_model("albert"), "magnitude.linear", sparsity=0.5)
    layer = result.network.albert.encoder.albert_layer_groups[0].albert_layers[0]
    assert int((layer.ffn.weight == 0).sum()) == drop_count(0.5, layer.ffn.weight.numel())
    # Embedding projection, query, key, value, output, ffn up and down, and the head's transform; its decoder is tied.
    assert result.provenance["steps"][-1]["measured"]["matrices"] == 8


def test_conv1d_is_a_linear_layer():
    result = compress(tiny_model("gpt2"), "magnitude.linear", sparsity=0.5)
    for block in result.network.transformer.h:
        for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj):
            assert int((layer.weight == 0).sum()) == drop_count(0.5, layer.weight.numel())


def test_steps_in_sequence_add_up_and_are_recorded_in_order():
    model = tiny_model("llama")
    steps = [Spec("magnitude.linear", {"sparsity": 0.3}), {"name": "random.linear", "parameters": {"sparsity": "0.5"}}]
    result = pipeline(model, steps, seed=5)
    recorded = result.provenance["steps"]
    assert [(s["name"], s["seed"]) for s in recorded] == [("magnitude.linear", None), ("random.linear", 5)]
    assert recorded[1]["parameters"] == {"sparsity": 0.5}
    assert recorded[1]["measured"]["zeros_before"] == recorded[0]["measured"]["zeros"]
    alone = compress(compress(model, "magnitude.linear", sparsity=0.3), "random.linear", seed=5, sparsity=0.5)
    assert result.id == alone.id
    assert result.provenance == alone.provenance
