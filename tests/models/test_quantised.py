"""Models whose config says that they are quantised: one clear message where they can't be loaded."""

from __future__ import annotations

import copy
import importlib.util
import json
from dataclasses import replace

import pytest

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.footprint import footprint
from fairsqueeze.errors import ModelError
from fairsqueeze.models.checkpoint import save
from fairsqueeze.models.load import load
from fairsqueeze.testing.tiny import save_tiny, tiny_model

LIBRARIES = {"bitsandbytes": "bitsandbytes", "gptq": "optimum", "awq": "gptqmodel"}


def folder_with(tmp_path, entry):
    folder = save_tiny(tiny_model("llama"), tmp_path / "model")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": entry}))
    return folder


@pytest.mark.parametrize(
    ("entry", "method"),
    [
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes"),
        ({"load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq", "bits": 4}, "awq"),
    ],
)
def test_a_missing_library_is_named(entry, method, tmp_path):
    library = LIBRARIES[method]
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    with pytest.raises(ModelError, match=f"quantised by {method} .*{library}") as refused:
        load(folder_with(tmp_path, entry))
    assert "install what is named" in refused.value.remedy


def test_a_quantisation_that_transformers_does_not_know_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no quantisation called 'homemade'") as refused:
        load(folder_with(tmp_path, {"quant_method": "homemade"}))
    assert "torchao" in refused.value.remedy


def llama_of_whole_blocks():
    """Tiny, with layers of 64 inputs: bitsandbytes' 4 bits share a scale by 64, and its CPU kernels take no fewer."""
    import torch
    from transformers import LlamaForCausalLM

    tiny = tiny_model("llama")
    config = copy.deepcopy(tiny.network.config)
    config.update({"hidden_size": 64, "intermediate_size": 128, "head_dim": 16})
    torch.manual_seed(0)
    return replace(tiny, network=LlamaForCausalLM(config).eval())


@pytest.mark.parametrize("entry", [{"load_in_8bit": True}, {"load_in_4bit": True}])
def test_bitsandbytes_models_are_loaded_and_their_bytes_counted(entry, tmp_path):
    pytest.importorskip("bitsandbytes")
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dense = llama_of_whole_blocks()
    plain = save_tiny(dense, tmp_path / "plain")
    packed = AutoModelForCausalLM.from_pretrained(plain, quantization_config=BitsAndBytesConfig(**entry))
    save_tiny(replace(dense, network=packed), tmp_path / "packed")
    model = load(tmp_path / "packed")
    ids = torch.arange(5, 17)[None]
    with torch.no_grad():
        wanted, found = packed(ids).logits, model.network(ids).logits
    torch.testing.assert_close(found, wanted)
    assert not torch.allclose(found.float(), dense.network(ids).logits, atol=1e-3), "it is quantised"
    weighed = footprint(model)
    assert 0 < weighed["bytes_dense"] < footprint(dense)["bytes_dense"]
    assert (weighed["parameters"] is None) == ("load_in_4bit" in entry)


def test_packed_weights_load_as_their_own_kind_only(tmp_path):
    pytest.importorskip("torchao")
    save(compress(tiny_model("llama"), "torchao.int8_dynamic"), tmp_path / "out")
    assert load(tmp_path / "out", dtype="bfloat16").kind == "causal"
    with pytest.raises(ModelError, match="quantised by torchao and can't be loaded as encoder") as refused:
        load(tmp_path / "out", kind="encoder")
    assert "own kind" in refused.value.remedy
