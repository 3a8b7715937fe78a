"""Anatomy against expectations written by hand, and against what the network does when a part is taken out."""

from __future__ import annotations

import pytest
import torch
from model_families import ARCHITECTURES, EVERY, built
from transformers import AutoConfig, AutoModel

from fairsqueeze.errors import ModelError, UnknownName
from fairsqueeze.models.anatomy import anatomy, part_of, weight_matrices
from fairsqueeze.models.references import make_reference

# Relative names within a block: query, key, value, output; up, gate, down. Then: block list, n_kv heads, head layers.
BERT = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
LLAMA = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
GATED = ("mlp.up_proj", "mlp.gate_proj", "mlp.down_proj")
EXPECTED = {
    "bert": (BERT, ("intermediate.dense", None, "output.dense"), "bert.encoder.layer", 4),
    "roberta": (BERT, ("intermediate.dense", None, "output.dense"), "roberta.encoder.layer", 4),
    "distilbert": (
        ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        ("ffn.lin1", None, "ffn.lin2"),
        "distilbert.transformer.layer",
        4,
    ),
    "albert": (
        ("attention.query", "attention.key", "attention.value", "attention.dense"),
        ("ffn", None, "ffn_output"),
        "albert.encoder.albert_layer_groups.0.albert_layers",
        4,
    ),
    "gpt2": (("attn.c_attn",) * 3 + ("attn.c_proj",), ("mlp.c_fc", None, "mlp.c_proj"), "transformer.h", 4),
    "gpt_neox": (
        ("attention.query_key_value",) * 3 + ("attention.dense",),
        ("mlp.dense_h_to_4h", None, "mlp.dense_4h_to_h"),
        "gpt_neox.layers",
        4,
    ),
    "opt": ((*LLAMA[:3], "self_attn.out_proj"), ("fc1", None, "fc2"), "model.decoder.layers", 4),
    "llama": (LLAMA, GATED, "model.layers", 2),
    "qwen2": (LLAMA, GATED, "model.layers", 2),
    "gemma": (LLAMA, GATED, "model.layers", 1),
    "phi": ((*LLAMA[:3], "self_attn.dense"), ("mlp.fc1", None, "mlp.fc2"), "model.layers", 4),
    "phi3": (
        ("self_attn.qkv_proj",) * 3 + ("self_attn.o_proj",),
        ("mlp.gate_up_proj", "mlp.gate_up_proj", "mlp.down_proj"),
        "model.layers",
        2,
    ),
}
HEADS = {
    "bert": ("cls.predictions.transform.dense", "cls.predictions.decoder"),
    "roberta": ("lm_head.dense", "lm_head.decoder"),
    "distilbert": ("vocab_transform", "vocab_projector"),
    "albert": ("predictions.dense", "predictions.decoder"),
}
TIED = {"bert", "roberta", "distilbert", "albert", "gpt2", "opt", "qwen2", "gemma"}


def indices(part) -> list[int]:
    return list(part.index)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_blocks_and_their_parts(architecture):
    attention_names, forward_names, blocks, n_kv = EXPECTED[architecture]
    found = anatomy(built(architecture).network)
    shared = architecture == "albert"
    assert [block.name for block in found.blocks] == [f"{blocks}.{i}" for i in range(1 if shared else 2)]
    assert found.n_layers == 2
    assert found.shared is shared
    for block in found.blocks:
        attention, forward = block.attention, block.feed_forward
        parts = (attention.query, attention.key, attention.value, attention.output)
        assert [p.module for p in parts] == [f"{block.name}.{name}" for name in attention_names]
        assert (attention.n_heads, attention.n_kv_heads, attention.head_dim) == (4, n_kv, 8)
        assert [len(p.index) for p in parts] == [32, 8 * n_kv, 8 * n_kv, 32]
        assert [p.side for p in parts] == ["out", "out", "out", "in"]
        ups = [None if p is None else p.module for p in (forward.up, forward.gate, forward.down)]
        assert ups == [None if name is None else f"{block.name}.{name}" for name in forward_names]
        assert forward.width == (128 if architecture == "gpt2" else 64)
        assert block.runs == (2 if shared else 1)


def test_fused_projections_by_hand():
    one, two, three = (anatomy(built(a).network).blocks[1] for a in ("gpt2", "gpt_neox", "phi3"))
    assert indices(one.attention.query) == list(range(32))
    assert indices(one.attention.key) == list(range(32, 64))
    assert indices(one.attention.value) == list(range(64, 96))
    # GPT-NeoX: head by head, each with its query, key and value
    assert indices(two.attention.query) == [24 * h + d for h in range(4) for d in range(8)]
    assert indices(two.attention.key) == [24 * h + 8 + d for h in range(4) for d in range(8)]
    assert indices(two.attention.value_head(2)) == list(range(64, 72))
    # Phi-3: four query heads, two key heads, two value heads; gate before up
    assert indices(three.attention.query) == list(range(32))
    assert indices(three.attention.key) == list(range(32, 48))
    assert indices(three.attention.value) == list(range(48, 64))
    assert indices(three.feed_forward.gate) == list(range(64))
    assert indices(three.feed_forward.up) == list(range(64, 128))
    assert [three.attention.kv_head_of(h) for h in range(4)] == [0, 0, 1, 1]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_heads_embeddings_and_ties(architecture):
    network = built(architecture).network
    found = anatomy(network)
    assert found.head == HEADS.get(architecture, ("lm_head",))
    assert bool(found.tied) == (architecture in TIED)
    assert any(found.input_embedding + ".weight" in group for group in found.tied) == (architecture in TIED)
    assert found.input_embedding in found.embeddings
    assert network.get_submodule(found.input_embedding) is network.get_input_embeddings()
    assert all(network.get_submodule(name).weight.ndim == 1 for name in found.norms)
    assert len(found.norms) >= 2
    layer = found.linears[found.blocks[0].attention.output.module]
    assert (layer.in_features, layer.out_features, layer.transposed) == (32, 32, architecture == "gpt2")


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_it_is_the_same_for_every_kind_and_leaves_the_network_as_it_was(architecture, kind):
    model = built(architecture, kind)
    before = model.id
    model.network.train()
    parts = [
        (b.attention.query.index, b.attention.value.index, b.feed_forward.up.index)
        for b in anatomy(model.network).blocks
    ]
    assert model.network.training
    model.network.eval()
    assert model.id == before
    assert not any(m._forward_hooks for m in model.network.modules())
    first = anatomy(built(architecture).network).blocks
    assert parts == [(b.attention.query.index, b.attention.value.index, b.feed_forward.up.index) for b in first]


def captured(model, module: str, text: str = "The nurse said that he was late.") -> torch.Tensor:
    """What `module` gets as its input."""
    seen = []
    handle = model.network.get_submodule(module).register_forward_hook(
        lambda _, arguments, __: seen.append(arguments[0])
    )
    with torch.no_grad():
        model.network(**model.tokenizer(text, return_tensors="pt"))
    handle.remove()
    return seen[0].reshape(-1, seen[0].shape[-1])


def silence(network, part) -> None:
    """Zero the output features that `part` names, weights and biases."""
    module = network.get_submodule(part.module)
    rows = list(part.index)
    with torch.no_grad():
        if type(module).__name__ == "Conv1D":
            module.weight[:, rows] = 0
        else:
            module.weight[rows] = 0
        if module.bias is not None:
            module.bias[rows] = 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_silenced_value_head_silences_the_heads_that_read_it_and_no_other(architecture, tiny):
    model = tiny(architecture)
    attention = anatomy(model.network).blocks[0].attention
    last = attention.n_kv_heads - 1
    silence(model.network, attention.value_head(last))
    given = captured(model, attention.output.module)
    for head in range(attention.n_heads):
        silent = bool((given[:, indices(attention.output_head(head))] == 0).all())
        assert silent == (attention.kv_head_of(head) == last)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("role", ["query", "key"])
def test_a_head_without_query_or_key_attends_evenly(architecture, role, tiny):
    """All its logits are then equal: the last token gets the mean of all values."""
    model = tiny(architecture)
    attention = anatomy(model.network).blocks[0].attention
    silence(model.network, attention.query_head(1) if role == "query" else attention.key_head(attention.kv_head_of(1)))
    module = attention.value.module
    outputs = []
    handle = model.network.get_submodule(module).register_forward_hook(lambda *a: outputs.append(a[-1]))
    given = captured(model, attention.output.module)
    handle.remove()
    values = outputs[0].reshape(-1, outputs[0].shape[-1])[:, indices(attention.value_head(attention.kv_head_of(1)))]
    mixed = given[-1, indices(attention.output_head(1))]
    assert torch.allclose(mixed, values.mean(0), atol=1e-5)
    if role == "query" or attention.kv_head_of(3) != attention.kv_head_of(1):
        other = outputs[0].reshape(values.shape[0], -1)[:, indices(attention.value_head(attention.kv_head_of(3)))]
        assert not torch.allclose(given[-1, indices(attention.output_head(3))], other.mean(0), atol=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_silenced_neuron_is_one_input_of_the_down_projection(architecture, tiny):
    model = tiny(architecture)
    forward = anatomy(model.network).blocks[0].feed_forward
    before = captured(model, forward.down.module)
    silence(model.network, forward.up.take(5, 6))
    after = captured(model, forward.down.module)
    assert (after[:, 5] == 0).all()
    assert (before[:, 5] != 0).any()
    others = [i for i in range(forward.width) if i != 5]
    assert torch.allclose(before[:, others], after[:, others], atol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "phi3", "gemma"])
def test_the_gate_is_the_factor_with_the_activation(architecture, tiny):
    model = tiny(architecture)
    forward = anatomy(model.network).blocks[0].feed_forward
    before = captured(model, forward.down.module)
    with torch.no_grad():
        model.network.get_submodule(forward.up.module).weight[indices(forward.up)] *= -3.0
    assert torch.allclose(captured(model, forward.down.module), -3.0 * before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("state", ["constant", "nan", "bfloat16"])
def test_it_does_not_depend_on_the_weights(architecture, state, tiny):
    model = tiny(architecture)
    expected = anatomy(model.network)
    if state == "constant":
        model = make_reference(model, "constant")
    elif state == "nan":
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.fill_(float("nan"))
    else:
        model.network.to(torch.bfloat16)
    assert anatomy(model.network) == expected


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("falcon", {"num_kv_heads": 2, "new_decoder_architecture": True}),
        ("bloom", {"n_layer": 2, "n_head": 4}),
        ("qwen3", {"num_key_value_heads": 2, "head_dim": 8}),
        ("olmo2", {"num_key_value_heads": 2}),
        ("gpt_bigcode", {"n_embd": 32, "n_layer": 2, "n_head": 4}),
        ("deberta", {}),
    ],
)
def test_architectures_that_nobody_wrote_down(architecture, settings):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = AutoConfig.for_model(architecture, **{**sizes, **settings}, vocab_size=99, pad_token_id=0)
    found = anatomy(AutoModel.from_config(config, dtype=torch.float32).eval())
    assert [b.attention.n_heads for b in found.blocks] == [4, 4]
    n_kv = {"falcon": 2, "qwen3": 2, "olmo2": 2, "gpt_bigcode": 1}.get(architecture, 4)
    assert found.blocks[0].attention.n_kv_heads == n_kv
    if architecture == "falcon":  # per key-value head: its two query heads, its key, its value
        assert indices(found.blocks[0].attention.key) == [*range(16, 24), *range(48, 56)]


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("mixtral", {"num_key_value_heads": 2, "num_local_experts": 2}),
        ("codegen", {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4}),
    ],
)
def test_what_no_hypothesis_explains_is_an_error_and_no_guess(architecture, settings):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = AutoConfig.for_model(architecture, **{**sizes, **settings}, vocab_size=99, pad_token_id=0)
    network = AutoModel.from_config(config, dtype=torch.float32).eval()
    with pytest.raises(ModelError, match=r"layouts|feed-forward"):
        anatomy(network)
    assert weight_matrices(network, "linear")


def test_layers_that_differ_in_size_are_looked_at_one_by_one(tiny):
    """As after structured pruning: the second block has half the neurons."""
    network = tiny("bert").network
    block = network.bert.encoder.layer[1]
    block.intermediate.dense = torch.nn.Linear(32, 24)
    block.output.dense = torch.nn.Linear(24, 32)
    assert [b.feed_forward.width for b in anatomy(network).blocks] == [64, 24]


@pytest.mark.parametrize(("architecture", "transposed"), [("gpt2", True), ("gpt_neox", False)])
def test_part_of_gives_rows_or_columns_of_the_oriented_weight(architecture, transposed):
    network = built(architecture).network
    attention = anatomy(network).blocks[0].attention
    weight = network.get_submodule(attention.value.module).weight
    oriented = weight.T if transposed else weight
    assert torch.equal(part_of(network, attention.value_head(3)), oriented[indices(attention.value_head(3))])
    output = network.get_submodule(attention.output.module).weight
    oriented = output.T if transposed else output
    assert torch.equal(part_of(network, attention.output_head(3)), oriented[:, 24:32])


# Which weights a method gets


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_selections(architecture, kind):
    network = built(architecture, kind).network
    chosen = {
        s: weight_matrices(network, s) for s in ("all", "linear", "attention", "attention_output", "feed_forward")
    }
    names = {select: {ref.name for ref in refs} for select, refs in chosen.items()}
    parameters = dict(network.named_parameters())
    everything = {n for n in parameters if n.endswith(".weight")}
    assert names["all"] == everything
    embeddings = {n for n in everything if isinstance(network.get_submodule(n[:-7]), torch.nn.Embedding)}
    assert names["linear"] == {n for n in everything - embeddings if parameters[n].ndim == 2}
    assert not names["attention"] & names["attention_output"]
    assert not (names["attention"] | names["attention_output"]) & names["feed_forward"]
    assert names["attention"] | names["attention_output"] | names["feed_forward"] <= names["linear"]
    for refs in chosen.values():
        assert len({id(r.parameter) for r in refs}) == len(refs)
        for ref in refs:
            assert ref.parameter is parameters[ref.name]
            assert ref.module == ref.name[: -len(".weight")]
            assert ref.transposed == (type(network.get_submodule(ref.module)).__name__ == "Conv1D")


def test_a_tied_output_head_is_the_embedding_and_an_untied_one_a_linear_layer():
    tied = {r.name for r in weight_matrices(built("gpt2").network, "linear")}
    untied = {r.name for r in weight_matrices(built("llama").network, "linear")}
    assert "lm_head.weight" not in tied
    assert "transformer.wte.weight" not in tied
    assert "lm_head.weight" in untied
    assert "classifier.weight" in {r.name for r in weight_matrices(built("bert", "pair_classifier").network, "linear")}


def test_attention_is_query_key_and_value_as_in_the_study():
    found = [r.name for r in weight_matrices(built("bert").network, "attention")]
    projections = ("query", "key", "value")
    assert found == [f"bert.encoder.layer.{i}.attention.self.{p}.weight" for i in (0, 1) for p in projections]
    assert [r.name for r in weight_matrices(built("gpt2").network, "attention")] == [
        "transformer.h.0.attn.c_attn.weight",
        "transformer.h.1.attn.c_attn.weight",
    ]


def test_an_unknown_selection_gets_near_names():
    with pytest.raises(UnknownName, match="attention"):
        weight_matrices(built("bert").network, "atention")
