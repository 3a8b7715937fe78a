"""Methods that pack weights for real kernels: torchao's own output, bytes in memory, saving and loading, refusals."""

from __future__ import annotations

import copy
import json
import sys
import warnings

import pytest
import torch
from tests.compress.conftest import made

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.footprint import footprint
from fairsqueeze.compress.torchao_int4_weight_only import check_group
from fairsqueeze.errors import BadSetting, ModelError, NonFinite
from fairsqueeze.models.anatomy import WeightRef, weight_matrices
from fairsqueeze.models.checkpoint import save
from fairsqueeze.models.finite import check_finite
from fairsqueeze.models.load import load
from fairsqueeze.models.packed import floats_of, inner_tensors, is_packed
from fairsqueeze.registry import methods
from fairsqueeze.study.audit import audit
from fairsqueeze.testing.tiny import tiny_model

IDS = torch.arange(5, 17)[None]
PACKING = [m.name for m in methods if m.packs]
TORCHAO = [name for name in PACKING if name.startswith("torchao.")]
SETTINGS = {"torchao.int4_weight_only": {"group": 32}}
STORABLE = ["torchao.int8_weight_only", "torchao.int8_dynamic"]


@pytest.fixture(params=PACKING)
def packing(request):
    if request.param.startswith("torchao."):
        pytest.importorskip("torchao")
    return request.param


def packed(model, method):
    """The model packed by the method; where it refuses the model by design, the test has nothing more to ask."""
    if "gpt2" in model.reference and method.startswith("torchao."):
        with pytest.raises(ModelError, match="no torch Linear"):
            compress(model, method, **SETTINGS.get(method, {}))
        pytest.skip("torchao packs no Conv1D, and says so")
    if "gemma" in model.reference and method == "torchao.int4_weight_only":  # keys have 8 outputs
        with pytest.raises(ModelError, match="does not run here"):
            compress(model, method, **SETTINGS[method])
        pytest.skip("the kernel takes outputs by the sixteen")
    return compress(model, method, **SETTINGS.get(method, {}))


@pytest.fixture
def result(model, packing):
    return packed(model, packing)


@torch.inference_mode()
def answer(network):
    return network(input_ids=IDS, attention_mask=torch.ones_like(IDS))[0]


def test_what_is_in_memory_is_what_is_counted(model, result, packing):
    measured = result.provenance["steps"][-1]["measured"]
    dense, packed = footprint(model), footprint(result)
    refs = weight_matrices(model.network, "block_linear")
    assert measured["matrices"] == len(refs)
    assert measured["weights"] == sum(ref.parameter.numel() for ref in refs)
    assert packed["parameters"] == dense["parameters"] == result.parameters
    assert packed["linear"]["parameters"] == dense["linear"]["parameters"]
    assert packed["flops_per_token"]["dense"] == dense["flops_per_token"]["dense"]
    saved = dense["bytes_dense"] - packed["bytes_dense"]
    assert saved == pytest.approx(measured["weights"] * (32 - measured["bits_per_weight"]) / 8)
    assert measured["bits_per_weight"] < 10
    others = {id(p) for name, p in result.network.named_parameters() if not is_packed(p)}
    assert len(others) + len(refs) == len(list(result.network.parameters()))
    assert json.dumps(measured)
    assert (answer(result.network) - answer(model.network)).abs().max() < 4.0


def test_the_input_is_untouched_and_the_id_is_its_own(model, packing):
    before = model.id
    results = [packed(model, packing) for _ in range(2)]
    assert results[0].id == results[1].id != before == model.id
    assert torch.equal(answer(results[0].network), answer(results[1].network))
    assert results[0].id == copy.deepcopy(results[0]).id


def test_ids_tell_the_methods_apart():
    pytest.importorskip("torchao")
    model = made("llama", "causal")
    ids = [compress(model, name, **SETTINGS.get(name, {})).id for name in PACKING]
    assert len({*ids, model.id}) == len(PACKING) + 1


@pytest.mark.parametrize("method", STORABLE)
def test_saved_and_loaded_it_is_the_same(model, method, tmp_path):
    pytest.importorskip("torchao")
    result = packed(model, method)
    save(result, tmp_path / "out")
    again = load(tmp_path / "out")
    assert again.id == result.id, "the same weights, bit for bit"
    # int8 tensors move what lies behind them in the file off its alignment: kernels then add in another order
    torch.testing.assert_close(answer(again.network), answer(result.network), rtol=0, atol=1e-6)
    assert torch.equal(answer(copy.deepcopy(again.network)), answer(result.network)), "aligned again, bit for bit"
    plain = type(result.network).from_pretrained(tmp_path / "out").eval()
    assert torch.equal(answer(plain), answer(again.network))
    with pytest.raises(ModelError, match="can't change"):
        compress(again, "magnitude.linear", sparsity=0.5)


@pytest.mark.parametrize("method", [name for name in PACKING if name not in STORABLE])
def test_what_has_no_file_format_is_not_saved(method, tmp_path):
    if method in TORCHAO:
        pytest.importorskip("torchao")
    result = compress(made("llama", "causal"), method, **SETTINGS.get(method, {}))
    with pytest.raises(ModelError, match="can't be saved") as refused:
        save(result, tmp_path / "out")
    assert "before this step" in refused.value.remedy
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", STORABLE)
def test_torchao_schemes_are_torchaos_own(method):
    quantization = pytest.importorskip("torchao.quantization")
    config = {
        "torchao.int8_weight_only": quantization.Int8WeightOnlyConfig,
        "torchao.int8_dynamic": quantization.Int8DynamicActivationInt8WeightConfig,
    }[method]
    model = tiny_model("llama")
    network = copy.deepcopy(model.network)
    quantization.quantize_(network.model.layers, config())
    assert torch.equal(answer(compress(model, method).network), answer(network))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_int4_is_torchaos_own_and_near_the_weights(dtype):
    workflow = pytest.importorskip("torchao.prototype.quantization.int4.inference_workflow")
    quantization = pytest.importorskip("torchao.quantization")
    model = tiny_model("llama")
    model.network.to(dtype)
    network = copy.deepcopy(model.network)
    quantization.quantize_(network.model.layers, workflow.PrototypeInt4WeightOnlyConfig(group_size=32))
    result = compress(model, "torchao.int4_weight_only", group=32)
    assert torch.equal(answer(result.network), answer(network))
    old, new = model.network.model.layers[0].mlp.up_proj.weight, result.network.model.layers[0].mlp.up_proj.weight
    step = (old.amax(1) - old.amin(1)) / 15
    assert bool(((floats_of(new) - old).abs() <= 0.55 * step[:, None] + 0.02).all())
    assert len(inner_tensors(new)) == 2


@pytest.mark.parametrize("architecture", ["bert", "qwen2"])
def test_dynamic_int8_is_torchs_quantize_dynamic(architecture):
    model = tiny_model(architecture)
    blocks = {"bert": lambda n: n.bert.encoder, "qwen2": lambda n: n.model.layers}[architecture]
    network = copy.deepcopy(model.network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_dynamic = pytest.importorskip("torch.ao.quantization").quantize_dynamic
        quantize_dynamic(blocks(network), {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
        wanted = answer(network)
    torch.testing.assert_close(answer(compress(model, "dynamic_int8").network), wanted, rtol=1e-5, atol=1e-5)


def test_a_scale_for_each_output_errs_less():
    model = tiny_model("llama")
    with torch.no_grad():
        model.network.model.layers[0].mlp.up_proj.weight[3] *= 50
    wanted = model.network.model.layers[0].mlp.up_proj.weight
    errors = []
    for per_channel in (False, True):
        layer = compress(model, "dynamic_int8", per_channel=per_channel).network.model.layers[0].mlp.up_proj
        errors.append((layer.weight * layer.scale[:, None] - wanted)[:3].abs().max())
        assert errors[-1] <= layer.scale.max()
    assert errors[1] < 0.1 * errors[0]


def test_what_can_not_be_packed_is_refused_with_a_remedy():
    for name in TORCHAO:
        pytest.importorskip("torchao")
        with pytest.raises(ModelError, match="no torch Linear") as refused:
            compress(made("gpt2", "causal"), name, **SETTINGS.get(name, {}))
        assert "rtn" in refused.value.remedy
    with pytest.raises(BadSetting, match="group 128 does not divide the input features of"):
        compress(made("llama", "causal"), "torchao.int4_weight_only", group=128)
    half = tiny_model("llama")
    half.network.to(torch.bfloat16)
    with pytest.raises(ModelError, match="bfloat16"):
        compress(half, "dynamic_int8")


def test_a_group_that_no_layer_has_is_refused_with_one_that_helps():
    model = tiny_model("llama")
    with pytest.raises(BadSetting, match="group 64") as refused:
        compress(model, "torchao.int4_weight_only", group=64)
    assert refused.value.remedy == "Set group to 32."
    narrow = [WeightRef("narrow.weight", torch.nn.Parameter(torch.ones(8, 48)), False, "narrow")]
    with pytest.raises(BadSetting, match="group 32") as refused:
        check_group(narrow, group=32)
    assert "rtn" in refused.value.remedy


def test_without_torchao_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(ModelError, match="torchao is not installed") as refused:
        compress(made("llama", "causal"), "torchao.int8_dynamic")
    assert "pip install" in refused.value.remedy


def test_every_declaration_is_complete(packing):
    declared = methods.get(packing)
    assert declared.source
    assert declared.saves
    for section in ("Args:", "Returns:", "Source:"):
        assert section in declared.doc
    for name in declared.settings:
        assert f"{name}:" in declared.doc
    with pytest.raises(BadSetting, match="grop"):
        compress(made("llama", "causal"), packing, grop=3)


def test_packed_models_are_audited_as_others_are(packing):
    model = compress(made("llama", "causal"), packing, **SETTINGS.get(packing, {}))
    found = audit(model, tasks=[{"perplexity": {"text": "package", "context": 32, "stride": 32}}], timing=False)
    (perplexity,) = [e for e in found.estimates if e.statistic == "perplexity"]
    assert perplexity.value > 1
    assert found.footprint["parameters"] == model.parameters
    with torch.no_grad():
        model.network.model.norm.weight[0] = float("nan")
    with pytest.raises(NonFinite, match=r"model\.norm\.weight"):
        check_finite(model)


def test_the_command_line_refuses_what_can_not_be_written_before_a_model_is_loaded(tmp_path):
    from fairsqueeze.study.compress import compress_to

    with pytest.raises(BadSetting, match="no file format") as refused:
        compress_to("/nowhere", "dynamic_int8", {}, tmp_path / "out")
    assert "study" in refused.value.remedy
