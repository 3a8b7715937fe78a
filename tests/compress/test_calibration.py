"""Statistics streamed block by block, against hooks on whole passes of the network, before and after it changed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.block_stream import stream_blocks
from fairsqueeze.compress.calibration import calibrate
from fairsqueeze.compress.layer_statistics import STATISTICS
from fairsqueeze.compress.surgery_calibration import token_sequences
from fairsqueeze.errors import DataError, FairsqueezeError, ModelError, NonFinite, UnknownName
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.models.matrices import is_linear
from fairsqueeze.registry import Method
from fairsqueeze.testing.tiny import tiny_model


def inputs_by_layer(network, sequences):
    """All inputs of every linear layer, (tokens, in), by whole passes."""
    seen = {}
    handles = []
    for name, module in network.named_modules():
        if is_linear(module):

            def hook(_, given, name=name):
                seen.setdefault(name, []).append(given[0].detach().reshape(-1, given[0].shape[-1]).double())

            handles.append(module.register_forward_pre_hook(hook))
    with torch.no_grad():
        for ids in sequences:
            network.base_model(input_ids=ids, attention_mask=torch.ones_like(ids))
    for handle in handles:
        handle.remove()
    return {name: torch.cat(parts) for name, parts in seen.items()}


def assert_are_statistics_of(values, inputs):
    torch.testing.assert_close(values["input_norm"].double(), inputs.norm(dim=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(values["input_mean_abs"].double(), inputs.abs().mean(0), rtol=1e-4, atol=1e-6)
    hessian = 2 / len(inputs) * inputs.T @ inputs
    torch.testing.assert_close(values["hessian"].double(), hessian, rtol=1e-4, atol=1e-4 * float(hessian.abs().max()))


def test_statistics_are_those_of_whole_passes(model):
    sequences = token_sequences(model, 3, 24, seed=1)
    before = model.id
    whole = inputs_by_layer(model.network, sequences)
    found = {}
    for statistics in stream_blocks(model.network, sequences, STATISTICS):
        found.update(statistics)
    assert found.keys() == {ref.module for ref in weight_matrices(model.network, "block_linear")}
    for name, values in found.items():
        assert_are_statistics_of(values, whole[name])
    assert model.id == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.network.modules())


def test_later_blocks_see_what_the_changed_ones_put_out(model):
    """Each block is broken after it was looked at; its successors must see the network as it is by then."""
    if "albert" in model.reference:
        pytest.skip("one block")
    changed = copy.deepcopy(model)
    sequences = token_sequences(model, 3, 24, seed=1)
    for statistics in stream_blocks(changed.network, sequences, STATISTICS):
        whole = inputs_by_layer(changed.network, sequences)
        for name, values in statistics.items():
            assert_are_statistics_of(values, whole[name])
            with torch.no_grad():
                changed.network.get_submodule(name).weight.mul_(-0.5)


def test_layers_outside_the_blocks_are_left_alone():
    model = tiny_model("albert", "pair_classifier")
    names = {ref.name for ref in weight_matrices(model.network, "linear")}
    inside = {ref.name for ref in weight_matrices(model.network, "block_linear")}
    assert names - inside == {
        "albert.encoder.embedding_hidden_mapping_in.weight",
        "albert.pooler.weight",
        "classifier.weight",
    }


def test_half_precision_is_summed_in_float32():
    model = tiny_model("llama")
    model.network.to(torch.bfloat16)
    sequences = token_sequences(model, 2, 24, seed=1)
    whole = inputs_by_layer(model.network, sequences)
    first = next(stream_blocks(model.network, sequences, STATISTICS))
    for name, values in first.items():
        assert {value.dtype for value in values.values()} == {torch.float32}
        torch.testing.assert_close(values["input_norm"].double(), whole[name].norm(dim=0), rtol=1e-2, atol=1e-2)
    result = compress(model, "wanda", sparsity=0.5, sequences=2, length=24)
    assert {p.dtype for p in result.network.parameters()} == {torch.bfloat16}


def test_the_calibration_is_named_in_the_provenance_and_hangs_on_the_seed(tmp_path):
    model = tiny_model("bert")
    measured = compress(model, "wanda", sparsity=0.5, sequences=2, length=24).provenance["steps"][-1]["measured"]
    assert measured["calibration"].items() >= {"text": "package", "sequences": 2, "length": 24}.items()
    assert len(measured["calibration"]["sha256"]) == 64
    first, again, other = (calibrate(model, sequences=4, length=24, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.sequences, again.sequences, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.sequences, other.sequences, strict=True))
    path = tmp_path / "text.txt"
    path.write_text("The old man grows apples, and the farmer is angry. " * 20)
    assert calibrate(model, calibration=str(path), sequences=1, length=24, seed=0).text == str(path)


def test_texts_that_are_not_there_say_which_there_are(tmp_path):
    model = tiny_model("bert")
    with pytest.raises(DataError, match=r"nowhere\.txt") as refused:
        compress(model, "wanda", sparsity=0.5, calibration=str(tmp_path / "nowhere.txt"))
    assert "wikitext2" in refused.value.remedy
    (tmp_path / "short.txt").write_text("Too short.")
    with pytest.raises(DataError, match="fewer than one sequence of"):
        compress(model, "wanda", sparsity=0.5, calibration=str(tmp_path / "short.txt"))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["wikitext2", "c4", "wiki"])
def test_named_texts_are_the_catalogues(name, shared_datasets, monkeypatch):
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))
    found = calibrate(tiny_model("bert"), calibration=name, sequences=2, length=64, seed=0)
    assert [ids.shape for ids in found.sequences] == [(1, 64), (1, 64)]
    assert found.text == name


def test_a_network_that_works_between_its_blocks_is_refused():
    model = tiny_model("bert")
    layers = model.network.bert.encoder.layer
    layers[1].register_forward_pre_hook(lambda _, given: (given[0] * 2, *given[1:]))
    with pytest.raises(ModelError, match="changes hidden states between its blocks") as refused:
        compress(model, "wanda", sparsity=0.5, sequences=2, length=24)
    assert "magnitude.linear" in refused.value.remedy


def test_blocks_in_turns_are_refused_and_shared_blocks_count_all_their_runs():
    model = tiny_model("albert")
    model.network.config.num_hidden_layers = model.network.albert.encoder.config.num_hidden_layers = 4
    sequences = token_sequences(model, 2, 24, seed=1)
    (statistics,) = list(stream_blocks(model.network, sequences, {"input_norm"}))
    whole = inputs_by_layer(model.network, sequences)
    for name, values in statistics.items():
        assert len(whole[name]) == 4 * 2 * 24
        torch.testing.assert_close(values["input_norm"].double(), whole[name].norm(dim=0), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        group = model.network.albert.encoder.albert_layer_groups[0]
        group.albert_layers.append(copy.deepcopy(group.albert_layers[0]))
    with pytest.raises(ModelError, match="comes back to a block"):
        list(stream_blocks(model.network, sequences, {"input_norm"}))


def test_inputs_that_are_no_numbers_are_loud():
    model = tiny_model("bert")
    with torch.no_grad():
        model.network.bert.embeddings.word_embeddings.weight.fill_(float("nan"))
    with pytest.raises(NonFinite, match=r"input_norm of bert\.encoder\.layer\.0"):
        list(stream_blocks(model.network, token_sequences(model, 2, 24, seed=1), {"input_norm"}))


def test_unknown_statistics_and_layers_that_see_nothing_are_refused():
    model = tiny_model("bert")
    sequences = token_sequences(model, 2, 24, seed=1)
    with pytest.raises(UnknownName, match="input_nrm"):
        next(stream_blocks(model.network, sequences, {"input_nrm"}))
    model.network.bert.encoder.layer[0].spare = nn.Linear(32, 32)
    with pytest.raises(ModelError, match=r"layer\.0\.spare saw no token"):
        next(stream_blocks(model.network, sequences, {"input_norm"}))


def test_a_method_with_needs_names_its_calibration():
    with pytest.raises(FairsqueezeError, match="needs input_norm"):
        Method("broken", "weight", lambda weight: weight, "block_linear", frozenset({"input_norm"}), "here", "nothing")
