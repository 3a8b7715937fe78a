"""What every registered method promises, on every tiny architecture. Plugins' methods are held to it as well."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.compress.conftest import made

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.cut import drop_count
from fairsqueeze.errors import BadSetting, FairsqueezeError, UnknownName
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.models.checkpoint import save
from fairsqueeze.registry import checked_settings, methods
from fairsqueeze.testing.tiny import tiny_model

SPARSITY = 0.37


SMALL = {"sparsity": SPARSITY, "sequences": 3, "length": 24, "rounds": 2, "steps_per_round": 1, "batch": 2}
PAIRS = Path(__file__).with_name("pairs.jsonl")


def settings_for(method, model):
    known = methods.get(method).settings
    small = {name: value for name, value in SMALL.items() if name in known}
    if "labelled" not in known or not model.kind.startswith("pair"):
        return small
    if method == "magnitude.iterative":  # it learns from all pairs, and says so
        del small["sequences"]
    return small | {"labelled": str(PAIRS)}


@pytest.fixture(autouse=True)
def fitting(request):
    """What learns from a loss has none on an encoder: it must say so."""
    if not {"model", "method"} <= set(request.fixturenames):
        return
    model, method = (request.getfixturevalue(name) for name in ("model", "method"))
    if "labelled" in methods.get(method).settings and model.kind == "encoder":
        with pytest.raises(FairsqueezeError, match="encoder") as refused:
            compress(model, method, **settings_for(method, model))
        assert refused.value.remedy
        pytest.skip(f"{method} refuses {model.reference}, with a reason")


@cache
def compressed(reference, method, seed=3):
    """Made once for all tests: none may change it."""
    _, architecture, kind = reference.split(":")
    model = made(architecture, kind)
    return compress(model, method, seed=seed, **settings_for(method, model))


def test_sparsity_is_exact_and_the_rest_stays(model, method):
    declared = methods.get(method)
    result = compressed(model.reference, method)
    chosen = {id(ref.parameter) for ref in weight_matrices(result.network, declared.selects)}
    totals = [0, 0]
    for (name, was), (_, now) in zip(model.network.named_parameters(), result.network.named_parameters(), strict=True):
        assert now.shape == was.shape, name
        assert now.dtype == was.dtype, name
        if id(now) not in chosen:
            assert declared.trains or torch.equal(now, was), f"{name} is not among what {method} selects"
            continue
        assert not name.endswith("bias"), name
        kept = now != 0
        if not (declared.simulated or declared.updates):  # quantised weights are no longer the old ones
            assert torch.equal(now[kept], was[kept]), f"{name}: what is kept keeps its value"
        zeros = int((now == 0).sum())
        if declared.exact_over == "matrix":
            assert zeros == drop_count(SPARSITY, now.numel()), name
        if declared.exact_over == "row":
            stored_out = type(model.network.get_submodule(name.rpartition(".")[0])).__name__ == "Conv1D"
            rows = now.T if stored_out else now
            assert bool(((rows == 0).sum(1) == drop_count(SPARSITY, rows.shape[1])).all()), name
        totals[0] += zeros
        totals[1] += now.numel()
    if declared.exact_over in ("matrix", "selection"):
        assert abs(totals[0] - SPARSITY * totals[1]) <= (0.5 * len(chosen) if declared.exact_over == "matrix" else 0.5)
    assert totals[1] > 0


@pytest.mark.parametrize(
    "pair", [("bert", "masked"), ("gpt2", "causal"), ("qwen2", "causal"), ("roberta", "pair_classifier")]
)
def test_the_input_is_untouched_and_the_same_seed_gives_the_same_model(pair, method):
    model = made(*pair)
    weights = copy.deepcopy(model.network.state_dict())
    provenance = copy.deepcopy(model.provenance)
    before = model.id
    first = compressed(model.reference, method)
    again = compress(model, method, seed=3, **settings_for(method, model))
    other = compress(model, method, seed=4, **settings_for(method, model))
    assert model.id == before
    assert model.provenance == provenance
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.network.state_dict().items())
    assert first.id == again.id != before
    assert (other.id != first.id) == methods.get(method).seeded


def test_a_saved_model_answers_the_same_in_plain_transformers(model, method, tmp_path):
    result = compressed(model.reference, method)
    save(result, tmp_path / "out")
    reloaded, report = type(result.network).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    want = result.network.state_dict()
    got = reloaded.state_dict()
    assert want.keys() == got.keys()
    assert all(torch.equal(want[name], got[name]) for name in want)
    ids = torch.arange(5, 17)[None]
    with torch.inference_mode():
        ours, theirs = result.network(input_ids=ids)[0], reloaded.eval()(input_ids=ids)[0]
    assert torch.equal(ours, theirs)


def test_provenance_tells_the_step(model, method):
    result = compressed(model.reference, method)
    assert len(result.provenance["steps"]) == len(model.provenance.get("steps", ())) + 1
    step = result.provenance["steps"][-1]
    declared = methods.get(method)
    assert step["name"] == method
    assert step["version"] == declared.version
    assert step["seed"] == (3 if declared.seeded or declared.needs else None)
    assert step["parameters"].keys() == declared.settings.keys()
    measured = step["measured"]
    zeros = sum(int((ref.parameter == 0).sum()) for ref in weight_matrices(result.network, declared.selects))
    assert measured["zeros"] == zeros
    assert measured["sparsity"] == zeros / measured["weights"]
    assert measured["lowest_sparsity"] <= measured["sparsity"] <= measured["highest_sparsity"]


def test_sparsity_zero_is_the_same_model(model, method):
    if "sparsity" not in methods.get(method).settings or methods.get(method).simulated:
        pytest.skip(f"{method} has no sparsity, or changes what it keeps")
    assert compress(model, method, **{**settings_for(method, model), "sparsity": 0}).id == model.id


@pytest.mark.parametrize("bad", [1.5, 1, -0.1, "abc", None, float("nan")])
def test_a_sparsity_out_of_range_is_refused(method, bad):
    if "sparsity" not in methods.get(method).settings:
        pytest.skip(f"{method} has no sparsity")
    with pytest.raises(BadSetting, match="sparsity") as refused:
        compress(tiny_model("bert"), method, sparsity=bad)
    assert "[0, 1)" in refused.value.remedy


def out_of_range():
    """(method, setting, a value just outside, what the remedy must name) of everything that is declared."""
    for declared in methods:
        for setting in declared.settings.values():
            if setting.range is not None:
                step = 1 if setting.type is int else 0.5
                for value in (setting.range.low - step, setting.range.high + step):
                    yield declared.name, setting.name, value, str(setting.range)
            if setting.choices:
                yield declared.name, setting.name, "nothing like it", repr(setting.choices[0])


@pytest.mark.parametrize(("method", "setting", "value", "named"), list(out_of_range()))
def test_a_value_out_of_range_is_refused_with_the_range(method, setting, value, named):
    declared = methods.get(method)
    needed = {s.name: valid(s) for s in declared.settings.values() if s.required}
    with pytest.raises(BadSetting, match=setting) as refused:
        checked_settings(declared, {**needed, setting: value})
    assert named in refused.value.remedy
    assert repr(value) in refused.value.message


def valid(setting):
    return setting.range.high / 2 if setting.range else "text"


def test_unknown_and_missing_settings_are_refused_with_the_right_ones(method):
    with pytest.raises(BadSetting, match="sparsty") as refused:
        compress(tiny_model("bert"), method, sparsty=0.5)
    if "sparsity" in methods.get(method).settings:
        assert "sparsity" in refused.value.remedy
        with pytest.raises(BadSetting, match="needs sparsity"):
            compress(tiny_model("bert"), method)


def test_an_unknown_method_is_refused_with_its_neighbours():
    with pytest.raises(UnknownName, match=r"magnitude\.linear"):
        compress(tiny_model("bert"), "magnitude.liner", sparsity=0.5)


def test_every_built_in_method_has_a_file_of_its_own_name():
    modules = {m.name: m.function.__module__ for m in methods if m.function.__module__.startswith("fairsqueeze.")}
    assert modules == {name: f"fairsqueeze.compress.{name.replace('.', '_')}" for name in modules}
    assert len(set(modules.values())) == len(modules) > 0


def test_every_declaration_is_complete(method):
    declared = methods.get(method)
    assert declared.source
    assert declared.saves
    assert declared.family
    assert declared.summary.endswith(".")
    for section in ("Args:", "Source:"):
        assert section in declared.doc
    for name in declared.settings:
        assert f"{name}:" in declared.doc, f"{name} is not explained"
