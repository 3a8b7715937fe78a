"""Loading: every weight that is used came from the files, or there is an error that says which did not."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from model_families import ARCHITECTURES, EVERY, built
from safetensors.torch import load_file, save_file

from fairsqueeze.errors import BadSetting, ModelError, UnknownName
from fairsqueeze.models.converted import converted
from fairsqueeze.models.load import kind_of, load


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))


def edit_weights(folder: Path, change) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def refused(reference, match: str, **options) -> ModelError:
    """The error of loading `reference`: one message that matches, a remedy, exit code 2."""
    with pytest.raises(ModelError, match=match) as problem:
        load(reference, **options)
    assert problem.value.exit_code == 2
    assert problem.value.remedy
    assert "\n" not in problem.value.message
    return problem.value


# What is loaded


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_the_loaded_network_answers_as_the_stored_one(architecture, kind, stored):
    folder = stored(architecture, kind)
    model = load(str(folder))
    original = built(architecture, kind)
    batch = original.tokenizer("The doctor grows plums.", return_tensors="pt")
    with torch.no_grad():
        expected, found = original.network(**batch)[0], model.network(**batch)[0]
    # Not always to the bit: memory that is mapped from a file is aligned differently.
    assert torch.allclose(expected, found, rtol=1e-6, atol=1e-6)
    assert (model.kind, model.reference, model.absent, model.ignored) == (kind, str(folder), (), ())
    assert kind_of(folder) == kind
    assert model.provenance["source"] == "folder"
    assert model.network.dtype == torch.float32
    assert not model.network.training


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_model_loads_as_an_encoder_with_the_same_hidden_states(architecture, stored):
    model = load(stored(architecture), kind="encoder")
    original = built(architecture)
    batch = original.tokenizer("The doctor grows plums.", return_tensors="pt")
    with torch.no_grad():
        expected = original.network(**batch, output_hidden_states=True).hidden_states[-1]
        found = model.network(**batch).last_hidden_state
    assert torch.allclose(expected, found, rtol=1e-6, atol=1e-6)


def test_heads_that_an_encoder_has_no_use_for_are_listed(stored):
    model = load(stored("bert"), kind="encoder")
    assert model.absent == ("pooler",)
    assert model.network.pooler is None
    assert "cls.predictions.transform.dense.weight" in model.ignored
    assert load(stored("bert", "pair_classifier"), kind="encoder").ignored == ("classifier.bias", "classifier.weight")


def test_an_encoder_without_a_pooler_has_one_id(stored):
    folder = stored("bert")
    assert load(folder, kind="encoder").id == load(folder, kind="encoder").id


def test_precision_is_what_was_asked_for(stored):
    model = load(stored("llama"), dtype="bfloat16")
    assert {p.dtype for p in model.network.parameters()} == {torch.bfloat16}


def test_files_in_shards(stored, tmp_path):
    original = built("llama")
    original.network.save_pretrained(tmp_path / "shards", max_shard_size="60KB")
    original.tokenizer.save_pretrained(tmp_path / "shards")
    shards = sorted((tmp_path / "shards").glob("model-*.safetensors"))
    assert len(shards) > 1
    assert load(tmp_path / "shards").id == original.id
    shards[0].unlink()
    refused(tmp_path / "shards", f"lacks {shards[0].name}")


def test_nan_weights_load(stored):
    folder = stored("gpt2")
    edit_weights(folder, lambda w: w["transformer.ln_f.weight"].fill_(float("nan")))
    assert load(folder).network.transformer.ln_f.weight.isnan().all()


def test_the_second_head_of_pretraining_is_ignored(stored):
    folder = stored("bert")
    edit_config(folder, architectures=["BertForPreTraining"])
    edit_weights(folder, lambda w: w.update({"cls.seq_relationship.weight": torch.zeros(2, 32)}))
    model = load(folder)
    assert (model.kind, model.ignored) == ("masked", ("cls.seq_relationship.weight",))


# What does not fit


def test_a_distilbert_folder_that_calls_itself_bert_is_refused(stored):
    """Study 6 of papers.md: with BERT's classes all weights of DistilBERT stay random, and only a warning says so."""
    folder = stored("distilbert")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    for architecture in ("DistilBertForMaskedLM", "BertForMaskedLM", "BertModel"):
        edit_config(folder, model_type="bert", architectures=[architecture], **sizes)
        problem = refused(folder, "missing from the files")
        assert "embeddings.word_embeddings.weight" in problem.message or "more" in problem.message
    refused(folder, "missing from the files", kind="encoder")


def test_a_missing_weight_is_named(stored):
    folder = stored("llama")
    edit_weights(folder, lambda w: w.pop("model.layers.1.mlp.up_proj.weight"))
    refused(folder, r"1 weights missing from the files: model\.layers\.1\.mlp\.up_proj\.weight\.")


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_every_weight_is_missed(architecture, kind, stored):
    """Of each model, one weight at a time is taken away; each is missed, or its twin that it is tied to is there."""
    folder = stored(architecture, kind)
    names = sorted(load_file(folder / "model.safetensors"))
    whole = (folder / "model.safetensors").read_bytes()
    for name in names[:: max(1, len(names) // 4)]:
        (folder / "model.safetensors").write_bytes(whole)
        edit_weights(folder, lambda w, name=name: w.pop(name))
        if "pooler" in name and kind == "encoder" and "weight" in name:
            continue  # half a pooler: the other half keeps it
        with pytest.raises(ModelError, match="missing from the files"):
            load(folder)


def test_an_unexpected_weight_of_the_trunk_is_named(stored):
    folder = stored("bert")
    edit_config(folder, num_hidden_layers=1)
    problem = refused(folder, "16 weights without a place in the network: bert.encoder.layer.1")
    assert "and 8 more" in problem.message


def test_an_unknown_name_is_no_head(stored):
    folder = stored("bert")
    edit_weights(folder, lambda w: w.update({"adapter.weight": torch.zeros(2)}))
    refused(folder, "without a place in the network: adapter.weight")


def test_a_weight_of_the_wrong_shape_is_named_with_both(stored):
    folder = stored("llama")
    edit_weights(folder, lambda w: w.update({"model.norm.weight": torch.ones(31)}))
    refused(folder, r"of the wrong shape: model\.norm\.weight \(file \(31,\), network \(32,\)\)")


def test_a_bare_trunk_has_no_head_for_masks(stored):
    folder = stored("bert", "encoder")
    refused(folder, "can't be loaded as masked", kind="masked")
    edit_config(folder, architectures=...)
    refused(folder, "cls.predictions", kind="masked")


@pytest.mark.parametrize(
    ("architecture", "own", "asked"),
    [("gpt2", "causal", "masked"), ("bert", "masked", "causal"), ("bert", "masked", "pair_classifier")],
)
def test_a_kind_that_does_not_fit(architecture, own, asked, stored):
    refused(stored(architecture), f"is a {own} model .* can't be loaded as {asked}", kind=asked)


# Files that can't be used


def test_no_such_folder():
    refused("./no-such-model", "No such model")


def test_a_folder_without_weights(stored):
    folder = stored("bert")
    (folder / "model.safetensors").unlink()
    refused(folder, "has no weights")


def test_a_folder_without_a_config(stored):
    folder = stored("bert")
    (folder / "config.json").unlink()
    refused(folder, r"has no config\.json")
    (folder / "adapter_config.json").write_text("{}")
    assert "merge" in refused(folder, r"has no config\.json").remedy


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hidden_size": 3}', '{"model_type": 5}', "\x00"])
def test_a_malformed_config(text, stored):
    folder = stored("bert")
    (folder / "config.json").write_text(text)
    refused(folder, r"config\.json (is not JSON|names no model_type)")


def test_sizes_that_make_no_network(stored):
    folder = stored("bert")
    edit_config(folder, num_attention_heads=5)
    refused(folder, "can't be loaded as masked|attention heads")


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.999])
def test_truncated_safetensors(share, stored):
    folder = stored("bert")
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(folder, "cut short")


def test_safetensors_with_too_many_bytes_or_none_of_its_own(stored):
    folder = stored("bert")
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    refused(folder, "bytes too many")
    path.write_bytes(struct.pack("<Q", 4) + b"nope" + b"0" * 100)
    refused(folder, "not a safetensors file")


def test_pickles_are_refused_with_the_way_out(stored):
    folder = stored("bert")
    (folder / "model.safetensors").unlink()
    marker = folder / "ran"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (marker,))

    torch.save(Bomb(), folder / "pytorch_model.bin")
    assert "save_pretrained" in refused(folder, "can run code").remedy
    assert not marker.exists()


def test_code_from_the_model_is_never_run(stored):
    folder = stored("bert")
    marker = folder / "ran"
    (folder / "code.py").write_text(f"open({str(marker)!r}, 'w')")
    remote = {"AutoConfig": "code.Config", "AutoModelForMaskedLM": "code.Model"}
    edit_config(folder, model_type="strange", auto_map=remote)
    refused(folder, "code from its own repository")
    assert not marker.exists()
    edit_config(folder, model_type="bert")
    assert load(folder).kind == "masked"
    assert not marker.exists()


def test_an_unknown_type(stored):
    folder = stored("bert")
    edit_config(folder, model_type="bertt")
    refused(folder, "no model of type 'bertt'")


@pytest.mark.parametrize("architectures", [["BertForQuestionAnswering"], ["BertForMaskedLM", "BertModel"], []])
def test_a_kind_that_the_config_leaves_open(architectures, stored):
    folder = stored("bert")
    edit_config(folder, architectures=architectures)
    refused(folder, "kind")
    with pytest.raises(ModelError, match="kind"):
        kind_of(folder)


def test_without_architectures_the_kind_can_be_given(stored):
    folder = stored("bert")
    edit_config(folder, architectures=...)
    assert load(folder, kind="masked").id == built("bert").id


def test_no_tokeniser(stored):
    folder = stored("bert")
    (folder / "tokenizer.json").unlink()
    refused(folder, "has no tokeniser")


def test_a_damaged_tokeniser(stored):
    folder = stored("bert")
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "tokeniser in .* can't be loaded")


def test_the_tokeniser_of_another_model(stored, tmp_path):
    folder = stored("albert")
    shutil.copy(stored("bert") / "tokenizer.json", folder / "tokenizer.json")
    refused(folder, r"\d+ tokens, the network only \d+")


@pytest.mark.parametrize("options", [{"dtype": "int8"}, {"device": "tpu9"}, {"device": "nonsense"}])
def test_bad_options(options, stored):
    with pytest.raises(BadSetting):
        load(stored("bert"), **options)


def test_an_unknown_builtin_gets_near_names():
    with pytest.raises(UnknownName, match="minilm"):
        load("builtin:minilmm")
    with pytest.raises(UnknownName, match="minilm"):
        kind_of("reference:random:builtin:minilmm")


def test_the_kind_of_a_builtin_needs_no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path))
    monkeypatch.delenv("FAIRSQUEEZE_DATA", raising=False)
    assert kind_of("builtin:smollm2-135m") == "causal"
    assert kind_of("reference:destroyed:builtin:minilm") == "encoder"


@pytest.mark.parametrize("device", ["meta", "xpu", "mps", "quantum", ""])
def test_a_device_that_is_not_here_is_refused_before_the_weights_are_read(device, tmp_path):
    if device in ("xpu", "mps") and getattr(torch, device).is_available():
        pytest.skip("it is here")
    with pytest.raises(BadSetting, match="device is"):
        load(tmp_path, device=device)


@pytest.mark.parametrize("changes", [{"architectures": 5}, {"architectures": "LlamaForCausalLM"}])
def test_architectures_that_are_no_list_are_refused(stored, changes):
    folder = stored("llama", "causal")
    edit_config(folder, **changes)
    refused(folder, "architectures is")


def test_a_config_of_wrong_types_is_refused(stored):
    folder = stored("llama", "causal")
    edit_config(folder, num_attention_heads="four")
    refused(folder, "num_attention_heads")


def test_a_finished_conversion_is_read_without_the_lock(tmp_path, monkeypatch):
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path))
    (tmp_path / "converted" / "key").mkdir(parents=True)
    (tmp_path / "converted" / "key" / "facts.json").write_text('{"made": 1}')
    folder, facts = converted("key", "facts.json", lambda _: pytest.fail("built again"))
    assert (folder, facts) == (tmp_path / "converted" / "key", {"made": 1})
    assert not (tmp_path / "locks").exists()
