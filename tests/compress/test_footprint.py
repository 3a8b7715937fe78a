"""The footprint, against files, hand counts and torch's own counter."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.flops import flops_per_token
from fairsqueeze.compress.footprint import footprint
from fairsqueeze.compress.layers import typed_parameters
from fairsqueeze.models.checkpoint import save
from fairsqueeze.testing.tiny import tiny_model


def test_counts_add_up_and_are_json(model):
    found = footprint(model)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["parameters"] == model.parameters
    for key in ("parameters", "nonzeros", "zeros"):
        assert sum(layer[key] for layer in found["layers"].values()) == found[key]
    assert found["parameters"] == found["nonzeros"] + found["zeros"]
    assert found["dtypes"] == {"float32": found["parameters"]}
    assert {"embedding", "attention", "feed_forward", "norm"} <= found["layers"].keys()
    assert "other" not in found["layers"]
    assert "neither time nor memory" in found["note"]


def test_dense_bytes_are_those_of_the_saved_file(model, tmp_path):
    save(model, tmp_path / "out")
    stored = 0
    for path in (tmp_path / "out").glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            stored += sum(file.get_tensor(k).nbytes for k in file.keys())  # noqa: SIM118 (no mapping)
        assert path.stat().st_size - stored < 50_000
    assert footprint(model)["bytes_dense"] == stored


def test_pruning_shows_in_every_count_but_the_dense_ones():
    model = tiny_model("llama")
    dense, pruned = footprint(model), footprint(compress(model, "magnitude.linear", sparsity=0.75))
    assert pruned["bytes_dense"] == dense["bytes_dense"]
    assert pruned["linear"]["sparsity"] == 0.75
    assert dense["linear"]["sparsity"] == 0
    assert pruned["layers"]["attention"]["sparsity"] == 0.75
    assert pruned["layers"]["embedding"] == dense["layers"]["embedding"]
    assert pruned["bytes_sparse"] < dense["bytes_sparse"] == dense["bytes_dense"]
    assert pruned["bytes_zstd"] < dense["bytes_zstd"]
    assert pruned["bits_per_weight"]["dense"] == 32
    assert pruned["flops_per_token"]["dense"] == dense["flops_per_token"]["dense"]
    assert pruned["flops_per_token"]["skipping_zeros"] == pytest.approx(
        dense["flops_per_token"]["skipping_zeros"] * 0.25, rel=1e-6
    )


def test_weights_that_are_packed_in_an_unknown_way_are_not_counted():
    """As bitsandbytes' 4 bits (two codes in a byte, a parameter) and GPTQ's words (a buffer) lie in memory."""
    for pack in ("parameter", "buffer"):
        model = tiny_model("llama")
        layer = model.network.model.layers[0].mlp.up_proj
        if pack == "parameter":
            layer.weight = torch.nn.Parameter(torch.zeros(1024, 1, dtype=torch.uint8), requires_grad=False)
        else:
            del layer.weight
            layer.register_buffer("qweight", torch.zeros(4, 64, dtype=torch.int32))
        found = footprint(model)
        assert found["parameters"] is found["sparsity"] is found["linear"]["zeros"] is None
        assert found["bits_per_weight"]["dense"] is None
        assert "up_proj" in found["note"]
        floats = sum(p.numel() for p in model.network.parameters() if p.is_floating_point())
        assert found["bytes_dense"] == 4 * floats + 1024
        assert json.loads(json.dumps(found)) == found


def test_sparse_bytes_by_hand():
    model = tiny_model("llama")
    pruned = compress(model, "magnitude.linear", sparsity=0.5)
    expected = 0
    for _, parameter, _ in typed_parameters(pruned.network):
        n, left = parameter.numel(), int((parameter != 0).sum())
        expected += min(4 * n, (n + 7) // 8 + 4 * left)
    assert footprint(pruned)["bytes_sparse"] == expected


@pytest.mark.parametrize(
    ("architecture", "kind", "expected"),
    [
        ("bert", "masked", {"head": {"cls"}, "embedding": {"bert.embeddings"}}),
        ("roberta", "pair_classifier", {"head": {"classifier"}, "embedding": {"roberta.embeddings"}}),
        ("llama", "causal", {"head": {"lm_head"}, "embedding": {"model.embed_tokens"}}),
        ("gpt2", "causal", {"embedding": {"transformer.wte", "transformer.wpe"}}),
    ],
)
def test_every_parameter_has_its_layer_type(architecture, kind, expected):
    found: dict[str, set[str]] = {}
    for name, _, layer in typed_parameters(tiny_model(architecture, kind).network):
        found.setdefault(layer, set()).add(name)
    for layer in ("head", "embedding"):
        prefixes = expected.get(layer, set())
        assert all(any(name.startswith(p) for p in prefixes) for name in found.get(layer, ())), found.get(layer)
        assert bool(found.get(layer)) == bool(prefixes)
    attention = ("attention", "self_attn", "attn")
    assert all(any(f".{a}." in name for a in attention) for name in found["attention"])
    assert any(name.endswith("bias") for name in found["attention"]) == (architecture != "llama")
    assert all("norm" in name.lower() or ".ln_" in name for name in found["norm"])


def test_flops_are_torchs_count_of_the_products_with_weights(model):
    network = model.network
    mine = flops_per_token(network, {})
    ids = torch.zeros((1, 16), dtype=torch.int64) + 3
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(input_ids=ids, attention_mask=torch.ones_like(ids))
    by_operation = counter.get_flop_counts()["Global"]
    products = sum(n for op, n in by_operation.items() if op.__name__.split(".")[0] in ("mm", "addmm"))
    assert products > 0
    assert mine.dense * 16 == pytest.approx(products)
    assert 0.99 * mine.dense <= mine.skipping_zeros <= mine.dense  # the padding token's row is zero


def test_flops_of_a_llama_by_hand():
    # Blocks: q 32·32, k and v 16·32 each (2 of 4 heads), o 32·32, gate, up and down 64·32 each; head: vocabulary·32.
    model = tiny_model("llama")
    block = 32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 64 * 32
    vocabulary = model.network.lm_head.weight.shape[0]
    assert flops_per_token(model.network, {}).dense == 2 * (2 * block + vocabulary * 32)


def test_a_footprint_leaves_no_hook_behind():
    model = tiny_model("gpt2")
    footprint(model)
    assert not any(m._forward_hooks for m in model.network.modules())
