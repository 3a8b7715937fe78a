"""Reference models: random, constant, destroyed."""

from __future__ import annotations

import pytest
import torch
from model_families import EVERY, FIRST, built

from fairsqueeze.models.fingerprint import fingerprint
from fairsqueeze.models.load import load
from fairsqueeze.models.references import make_reference, random

TEXTS = (
    "The nurse said that she was tired.",
    "My neighbour grows 12 roses and plums, but he is not at all happy!",
    "A",
)


def hidden(model, text: str) -> torch.Tensor:
    batch = model.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        return model.network(**batch, output_hidden_states=True).hidden_states[-1][0]


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
@pytest.mark.parametrize("which", ["random", "constant", "destroyed"])
def test_is_another_model_of_the_same_build_and_leaves_the_original_alone(architecture, kind, which):
    original = built(architecture, kind)
    before = original.id
    made = make_reference(original, which)
    assert original.id == before != made.id
    assert {n: p.shape for n, p in made.network.named_parameters()} == {
        n: p.shape for n, p in original.network.named_parameters()
    }
    assert (made.kind, made.tokenizer) == (kind, original.tokenizer)
    assert not made.network.training
    assert made.provenance["reference_model"] == {
        "which": which,
        "of": original.reference,
        "of_id": before,
        "seed": 0,
    }
    assert make_reference(original, which).id == made.id
    if which != "constant":
        assert make_reference(original, which, seed=1).id != made.id


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_the_constant_model_says_the_same_of_everything_exactly(architecture, kind):
    model = make_reference(built(architecture, kind), "constant")
    rows = torch.cat([hidden(model, text) for text in TEXTS])
    assert len(rows.unique(dim=0)) == 1
    assert (rows != 0).any()
    if kind != "encoder":
        for text in TEXTS:
            with torch.no_grad():
                logits = model.network(**model.tokenizer(text, return_tensors="pt")).logits
            assert logits.unique().numel() == 1
    static = model.network.get_input_embeddings().weight
    assert len(static.unique(dim=0)) == 1


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_mean_pooled_vectors_of_the_constant_model_have_one_direction_exactly(architecture, kind):
    model = make_reference(built(architecture, kind), "constant")
    directions = []
    for text in TEXTS:
        vector = hidden(model, text).mean(0).double()
        directions.append(vector / vector.norm())
    assert all(torch.equal(d, directions[0]) for d in directions)


@pytest.mark.parametrize(("architecture", "kind"), FIRST)
def test_the_destroyed_model_keeps_the_numbers_of_every_matrix_and_loses_their_order(architecture, kind):
    original = built(architecture, kind)
    destroyed = dict(make_reference(original, "destroyed").network.named_parameters())
    for name, parameter in original.network.named_parameters():
        if parameter.ndim < 2:
            assert torch.equal(destroyed[name], parameter), name
        else:
            assert torch.equal(destroyed[name].flatten().sort().values, parameter.flatten().sort().values), name
            moved = (destroyed[name] != parameter).float().mean()
            assert moved > 0.5, name


@pytest.mark.parametrize(("architecture", "kind"), FIRST)
def test_the_random_model_is_as_its_own_initialiser_makes_it(architecture, kind):
    original = built(architecture, kind)
    network = make_reference(original, "random").network
    width = original.network.config.initializer_range
    embedding = network.get_input_embeddings().weight
    assert 0.8 * width < embedding.std() < 1.2 * width
    state = torch.random.get_rng_state()
    make_reference(original, "random", seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_ties_stay():
    for which in ("random", "constant", "destroyed"):
        network = make_reference(built("gpt2"), which).network
        assert network.lm_head.weight is network.transformer.wte.weight


def test_an_encoder_without_a_pooler_gets_none(stored):
    encoder = load(stored("bert"), kind="encoder")
    assert make_reference(encoder, "random").network.pooler is None


def test_precision_stays(stored):
    model = load(stored("llama"), dtype="bfloat16")
    for which in ("random", "constant", "destroyed"):
        assert {p.dtype for p in make_reference(model, which).network.parameters()} == {torch.bfloat16}


def test_by_reference(stored):
    folder = stored("llama")
    made = load(f"reference:destroyed:{folder}")
    assert made.reference == f"reference:destroyed:{folder}"
    assert made.id == make_reference(load(folder), "destroyed").id


@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_a_slimmed_network_gets_its_own_sizes_drawn_like_the_others(architecture, tiny):
    network = tiny(architecture).network
    first, last = {
        "bert": ("encoder.layer.0.intermediate.dense", "encoder.layer.0.output.dense"),
        "llama": ("layers.0.mlp.up_proj", "layers.0.mlp.gate_proj"),
    }[architecture]
    linears = {first: [24, 32], last: [32, 24]} if architecture == "bert" else {first: [24, 32], last: [24, 32]}
    network.config.fairsqueeze_slimmed = {"linears": linears, "numbers": {}}
    fresh = random(network, 3)
    assert type(fresh) is type(network)
    for name, shape in linears.items():
        weight = fresh.base_model.get_submodule(name).weight
        assert list(weight.shape) == shape
        assert 0.8 * 0.2 < weight.std() < 1.2 * 0.2  # the tiny models' initializer_range is 0.2
    assert fingerprint(random(network, 3)) == fingerprint(fresh) != fingerprint(random(network, 4))
