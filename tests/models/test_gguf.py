"""GGUF files are converted once, to the network that they hold."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from model_families import built

import fairsqueeze.models.gguf as conversion
from fairsqueeze.errors import ModelError
from fairsqueeze.models.load import kind_of, load
from fairsqueeze.models.model import Model
from fairsqueeze.testing.tokenizers import TOKENIZERS

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in llama.cpp's order: the halves of a rotary head take turns."""
    out, width = weight.shape
    return weight.reshape(heads, 2, out // heads // 2, width).swapaxes(1, 2).reshape(out, width)


def written(model: Model, path: Path, kind: str = "Q8_0") -> Path:
    """A tiny Llama as a GGUF file: matrices in this type, the rest in float32; a byte-level tokeniser."""
    packing = gguf.GGMLQuantizationType[kind]
    config = model.network.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    state = json.loads(TOKENIZERS["gpt2"]().backend_tokenizer.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    tokens += [f"<unused{i}>" for i in range(config.vocab_size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges([" ".join(pair) for pair in state["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_unk_token_id(0)
    for name, parameter in model.network.named_parameters():
        stem = name.removesuffix(".weight")
        values = parameter.detach().numpy()
        if stem in TOP:
            target = TOP[stem]
        else:
            _, _, block, inner = stem.split(".", 3)
            target = f"blk.{block}.{NAMES[inner]}"
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(NAMES[inner])
            values = values if heads is None else interleaved(values, heads)
        if values.ndim == 2:
            writer.add_tensor(f"{target}.weight", gguf.quantize(values, packing), raw_dtype=packing)
        else:
            writer.add_tensor(f"{target}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "cache"))


def test_the_network_is_the_one_that_was_written_but_for_its_rounding(tmp_path):
    original = built("llama")
    path = written(original, tmp_path / "tiny.gguf")
    model = load(path)
    assert (model.kind, kind_of(path)) == ("causal", "causal")
    ids = torch.tensor([[5, 60, 7, 200, 31]])
    with torch.no_grad():
        expected, found = original.network(ids).logits, model.network(ids).logits
    assert torch.corrcoef(torch.stack([expected.flatten(), found.flatten()]))[0, 1] > 0.999
    assert not torch.equal(expected, found)
    assert model.tokenizer.decode(model.tokenizer("The nurse, she").input_ids) == "The nurse, she"
    facts = model.provenance["gguf"]
    assert facts["quantisation"] == {"F32": 5, "Q8_0": 16}
    assert facts["file"] == "tiny.gguf"


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("F16", 0.0005),
        ("BF16", 0.004),
        ("Q4_0", 1 / 7),
        ("Q4_1", 1 / 7),
        ("Q5_0", 1 / 15),
        ("Q5_1", 1 / 15),
        ("Q8_0", 1 / 127),
    ],
)
def test_every_type_that_can_be_written_is_read_as_what_it_stands_for(tmp_path, kind, step):
    """`step`: the width of its grid against the largest weight of a group."""
    original = built("llama")
    model = load(written(original, tmp_path / "tiny.gguf", kind))
    assert model.provenance["gguf"]["quantisation"][kind] == 16
    for (name, was), (_, now) in zip(
        original.network.named_parameters(), model.network.named_parameters(), strict=True
    ):
        limit = 1.01 * step * was.abs().max() if was.ndim == 2 else 0.0
        assert (was - now).abs().max() <= limit, name
        expected = (
            gguf.dequantize(
                gguf.quantize(was.detach().numpy(), gguf.GGMLQuantizationType[kind]), gguf.GGMLQuantizationType[kind]
            )
            if was.ndim == 2
            else was.detach().numpy()
        )
        np.testing.assert_allclose(now.detach().numpy(), expected, atol=1e-6)


def test_it_is_converted_once_and_has_one_id(tmp_path, monkeypatch):
    path = written(built("llama"), tmp_path / "tiny.gguf")
    first = load(path)

    def again(*_):
        raise AssertionError("converted twice")

    monkeypatch.setattr(conversion, "_write_plain", again)
    assert load(path).id == first.id
    assert load(f"reference:random:{path}").id != first.id


def test_a_conversion_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    path = written(built("llama"), tmp_path / "tiny.gguf")

    def breaks(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "_storage_types", breaks)
        with pytest.raises(KeyboardInterrupt):
            load(path)
    assert list((tmp_path / "cache" / "converted").iterdir()) == []
    assert load(path).kind == "causal"


@pytest.mark.parametrize("content", [b"", b"GGML0000", b"GGUF", b"GGUF" + b"\x03\x00\x00\x00" + b"\xff" * 60])
def test_files_that_are_none(content, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"is not a GGUF file|can't be converted") as problem:
        load(path)
    assert problem.value.remedy
    assert "\n" not in problem.value.message


def test_a_truncated_file(tmp_path):
    path = written(built("llama"), tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ModelError, match="can't be converted"):
        load(path)
