"""The checkpoint id stands for the weights and config in memory, and for nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_families import EVERY, FIRST, built
from transformers import AutoConfig, AutoModelForMaskedLM

from fairsqueeze.errors import ModelError
from fairsqueeze.models.fingerprint import fingerprint
from fairsqueeze.models.load import load


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_saving_and_loading_keep_it(architecture, kind, stored):
    loaded = load(stored(architecture, kind))
    assert loaded.kind == kind
    assert loaded.id == built(architecture, kind).id


@pytest.mark.parametrize(("architecture", "kind"), FIRST)
def test_it_does_not_depend_on_where_or_how_the_network_was_made(architecture, kind, tiny):
    network = tiny(architecture, kind).network
    expected = fingerprint(network)
    network.config._name_or_path = "/somewhere/else"
    network.config.architectures = ["Whatever"]
    network.config.use_cache = False
    network.train()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    assert fingerprint(network) == expected


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_one_changed_weight_anywhere_changes_it(data):
    import copy

    architecture, kind = data.draw(st.sampled_from(FIRST))
    network = copy.deepcopy(built(architecture, kind).network)
    before = fingerprint(network)
    parameters = list(network.parameters())
    chosen = parameters[data.draw(st.integers(0, len(parameters) - 1))].data.view(-1)
    place = data.draw(st.integers(0, chosen.numel() - 1))
    old = chosen[place].item()
    chosen[place] = torch.nextafter(chosen[place], torch.tensor(float("inf")))
    assert fingerprint(network) != before
    chosen[place] = old
    assert fingerprint(network) == before


def test_a_changed_config_entry_changes_it(tiny):
    model = tiny("bert")
    before = model.id
    model.network.config.layer_norm_eps = 1e-6
    assert model.id != before


def test_swapped_weights_of_equal_shape_change_it(tiny):
    model = tiny("llama")
    before = model.id
    first, second = model.network.model.layers
    first.mlp.up_proj.weight, second.mlp.up_proj.weight = second.mlp.up_proj.weight, first.mlp.up_proj.weight
    assert model.id != before


def test_minus_zero_is_another_weight_and_nan_has_an_id(tiny):
    model = tiny("gpt2")
    weight = model.network.transformer.h[0].attn.c_attn.weight
    ids = set()
    for value in (0.0, -0.0, float("nan"), float("inf")):
        weight.data[0, 0] = value
        ids.add(model.id)
    assert len(ids) == 4


def test_precision_is_part_of_it(tiny):
    model = tiny("llama")
    full = model.id
    model.network.to(torch.bfloat16)
    half = model.id
    model.network.to(torch.float32)
    assert len({full, half, model.id}) == 3


def test_strides_play_no_part(tiny):
    model = tiny("bert")
    before = model.id
    layer = model.network.bert.encoder.layer[0].intermediate.dense
    layer.weight.data = layer.weight.data.T.contiguous().T
    assert not layer.weight.is_contiguous()
    assert model.id == before


def test_untying_changes_it_even_if_the_numbers_stay(tiny):
    model = tiny("gpt2")
    before = model.id
    model.network.lm_head.weight = torch.nn.Parameter(model.network.lm_head.weight.detach().clone())
    assert model.id != before


def test_a_weight_without_data_is_an_error_that_names_it():
    config = AutoConfig.for_model("bert", hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)
    with torch.device("meta"):
        network = AutoModelForMaskedLM.from_config(config)
    with pytest.raises(ModelError, match=r"embeddings\.LayerNorm\.bias has no data"):
        fingerprint(network)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_plays_no_part(tiny):
    model = tiny("llama")
    before = model.id
    model.network.to("cuda")
    assert model.id == before
