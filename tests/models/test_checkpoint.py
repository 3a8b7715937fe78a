"""Checkpoints on disk: whole or not there, proved, and readable by plain transformers."""

from __future__ import annotations

import json
import os

import pytest
import torch
from model_families import EVERY, built
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from fairsqueeze.errors import ModelError
from fairsqueeze.models.checkpoint import RECORD, check_target, read_record, save
from fairsqueeze.models.load import load


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_a_saved_model_comes_back_with_its_id_kind_and_provenance(architecture, kind, tiny, tmp_path):
    model = tiny(architecture, kind)
    model.provenance["steps"] = [{"name": "magnitude.linear", "parameters": {"sparsity": 0.5}, "measured": 0.5}]
    with torch.no_grad():
        next(iter(model.network.parameters())).mul_(0.5)
    identity = save(model, tmp_path / "checkpoint")
    loaded = load(tmp_path / "checkpoint")
    assert identity == model.id == loaded.id
    assert loaded.kind == kind
    assert loaded.provenance["steps"] == model.provenance["steps"]


def test_plain_transformers_reads_it(tiny, tmp_path):
    model = tiny("llama")
    save(model, tmp_path / "checkpoint")
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    batch = tokenizer("The doctor grows plums.", return_tensors="pt")
    with torch.no_grad():
        assert torch.allclose(network(**batch).logits, model.network(**batch).logits, rtol=1e-6, atol=1e-6)


def test_the_record_says_what_it_is(tiny, tmp_path):
    model = tiny("bert")
    save(model, tmp_path / "checkpoint")
    raw = json.loads((tmp_path / "checkpoint" / RECORD).read_text())
    assert raw["schema"] == "fairsqueeze.checkpoint/1"
    assert raw["parameters"] == model.parameters
    assert {"torch", "transformers"} <= set(raw["versions"])
    record = read_record(tmp_path / "checkpoint")
    assert (record.id, record.kind, record.dtype) == (model.id, "masked", "float32")


def test_a_weight_changed_on_disk_is_an_error_for_every_kind(tiny, tmp_path):
    save(tiny("bert"), tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / "model.safetensors"
    weights = load_file(path)
    weights["cls.predictions.bias"][3] += 1
    save_file(weights, path, metadata={"format": "pt"})
    for kind in (None, "encoder"):
        with pytest.raises(ModelError, match=r"but its fairsqueeze\.json says"):
            load(tmp_path / "checkpoint", kind=kind)


def test_half_precision_is_proved_as_stored_and_then_converted(tiny, tmp_path):
    model = tiny("llama")
    model.network.to(torch.bfloat16)
    save(model, tmp_path / "checkpoint")
    assert load(tmp_path / "checkpoint", dtype="bfloat16").id == model.id
    wide = load(tmp_path / "checkpoint")
    assert {p.dtype for p in wide.network.parameters()} == {torch.float32}


def test_as_an_encoder(tiny, tmp_path):
    save(tiny("bert"), tmp_path / "checkpoint")
    encoder = load(tmp_path / "checkpoint", kind="encoder")
    assert (encoder.kind, encoder.absent) == ("encoder", ("pooler",))
    save(encoder, tmp_path / "encoder")
    assert load(tmp_path / "encoder").id == encoder.id


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": "fairsqueeze.checkpoint/9"}', '{"schema": "fairsqueeze.checkpoint/1"}']
)
def test_a_damaged_record(text, tiny, tmp_path):
    save(tiny("bert"), tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / RECORD).write_text(text)
    with pytest.raises(ModelError, match=r"fairsqueeze\.json (is damaged|has schema)"):
        load(tmp_path / "checkpoint")


def test_our_own_folder_is_replaced_and_nothing_else_is_left(tiny, tmp_path):
    save(tiny("bert"), tmp_path / "checkpoint")
    other = tiny("llama")
    save(other, tmp_path / "checkpoint")
    assert load(tmp_path / "checkpoint").id == other.id
    assert os.listdir(tmp_path) == ["checkpoint"]


def test_a_foreign_folder_is_left_alone(tiny, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    for check in (lambda: save(tiny("bert"), tmp_path), lambda: check_target(tmp_path)):
        with pytest.raises(ModelError, match="not empty"):
            check()
    assert os.listdir(tmp_path) == ["precious.txt"]
    with pytest.raises(ModelError, match="is a file"):
        save(tiny("bert"), tmp_path / "precious.txt")
    with pytest.raises(ModelError, match="can't be written"):
        check_target(tmp_path / "precious.txt" / "below")


def test_an_empty_folder_and_missing_parents_are_fine(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    save(tiny("bert"), tmp_path / "empty")
    save(tiny("bert"), tmp_path / "a" / "b" / "c")
    assert load(tmp_path / "empty").id == load(tmp_path / "a" / "b" / "c").id == built("bert").id


def test_when_writing_fails_the_old_checkpoint_stays_and_no_rest(tiny, tmp_path, monkeypatch):
    first = tiny("bert")
    save(first, tmp_path / "checkpoint")
    second = tiny("llama")

    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(second.tokenizer, "save_pretrained", fails)
    with pytest.raises(ModelError, match="No space left"):
        save(second, tmp_path / "checkpoint")
    assert os.listdir(tmp_path) == ["checkpoint"]
    assert load(tmp_path / "checkpoint").id == first.id


def test_what_was_written_is_read_back_before_it_counts(tiny, tmp_path, monkeypatch):
    model = tiny("bert")
    write = model.network.save_pretrained

    def writes_something_else(folder):
        write(folder)
        path = folder / "model.safetensors"
        weights = load_file(path)
        weights["cls.predictions.bias"][0] += 1
        save_file(weights, path, metadata={"format": "pt"})

    monkeypatch.setattr(model.network, "save_pretrained", writes_something_else)
    with pytest.raises(ModelError, match="holds weights with id"):
        save(model, tmp_path / "checkpoint")
    assert os.listdir(tmp_path) == []
