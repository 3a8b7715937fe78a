"""What every method that removes things physically promises, on every tiny architecture."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from tests.compress.conftest import made
from tests.compress.structured import STRUCTURED, answer, refuses, settings_for

from fairsqueeze.compress.apply import compress
from fairsqueeze.errors import BadSetting, FairsqueezeError
from fairsqueeze.models.anatomy import anatomy
from fairsqueeze.models.checkpoint import save
from fairsqueeze.models.load import load
from fairsqueeze.models.slimmed import KEY
from fairsqueeze.registry import methods

IDS = torch.arange(5, 17)[None]


@pytest.fixture(params=STRUCTURED)
def removing(request):
    return request.param


@cache
def compressed(architecture, kind, method, folder):
    """Made once for all tests: none may change it."""
    model = made(architecture, kind)
    return compress(model, method, seed=3, **settings_for(method, model, folder))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("settings")


@pytest.fixture
def result(model, removing, folder):
    """The model after a method, where they go together; where they don't, the method must say so."""
    _, architecture, kind = model.reference.split(":")
    if refuses(removing, model):
        with pytest.raises(FairsqueezeError) as refused:
            compressed(architecture, kind, removing, folder)
        assert refused.value.message
        assert refused.value.remedy
        pytest.skip(f"{removing} refuses {model.reference}, with a reason")
    return compressed(architecture, kind, removing, folder)


def neuron_runs(told):
    """ "0-3,7" of each block as [["0", "3"], ["7"]]."""
    return [[run.split("-") for run in block.split(",")] for block in told]


def test_less_is_left_as_the_provenance_says(model, result, removing):
    step = result.provenance["steps"][-1]
    measured, kind = step["measured"], methods.get(removing).removes
    assert step["name"] == removing
    assert step["parameters"].keys() == methods.get(removing).settings.keys()
    assert measured["parameters"] == result.parameters
    assert measured["parameters_before"] == model.parameters
    assert measured[f"{kind}_before"] - measured[f"{kind}_removed"] == measured[kind]
    assert 0 <= measured["max_difference"] <= 1e-4
    if kind in ("heads", "blocks"):
        gone = measured["removed"] if kind == "blocks" else [head for block in measured["removed"] for head in block]
        assert len(gone) == measured[f"{kind}_removed"] > 0
    if kind == "neurons":
        lengths = {sum(int(run[-1]) - int(run[0]) + 1 for run in runs) for runs in neuron_runs(measured["removed"])}
        assert lengths == {measured["neurons_removed"] // len(measured["removed"])}
    assert (result.parameters < model.parameters) == (measured[f"{kind}_removed"] > 0)
    assert {p.dtype for p in result.network.parameters()} == {torch.float32}
    assert anatomy(result.network).tied == anatomy(model.network).tied


@pytest.mark.parametrize("pair", [("bert", "masked"), ("qwen2", "causal"), ("roberta", "pair_classifier")])
def test_the_input_is_untouched_and_the_same_seed_gives_the_same_model(pair, removing, folder):
    model = made(*pair)
    if refuses(removing, model):
        pytest.skip(f"{removing} refuses {model.reference}, with a reason")
    weights = copy.deepcopy(model.network.state_dict())
    before = model.id
    again = compress(model, removing, seed=3, **settings_for(removing, model, folder))
    assert again.id == compressed(*pair, removing, folder).id
    assert model.id == before
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.network.state_dict().items())


def test_saved_and_reloaded_it_answers_the_same_and_plain_transformers_does_or_stops(result, tmp_path):
    identity = save(result, tmp_path / "out")
    again = load(tmp_path / "out")
    assert again.id == identity == result.id
    wanted = answer(result.network, IDS)
    assert (answer(again.network, IDS) - wanted).abs().max() <= 1e-6
    assert type(again.network) is type(result.network)
    encoder = load(tmp_path / "out", kind="encoder")
    assert (answer(encoder.network, IDS) - answer(result.network.base_model, IDS)).abs().max() <= 1e-6
    if getattr(result.network.config, KEY, None) is None:
        plain = type(result.network).from_pretrained(tmp_path / "out").eval()
        assert (answer(plain, IDS) - wanted).abs().max() <= 1e-6
    else:
        with pytest.raises(RuntimeError, match="mismatch"):
            type(result.network).from_pretrained(tmp_path / "out")


def test_a_second_step_applies_to_what_the_first_left(result):
    zeroed = compress(result, "magnitude.linear", sparsity=0.5)
    assert zeroed.parameters == result.parameters
    assert zeroed.provenance["steps"][-1]["measured"]["sparsity"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("bad", [1.5, 1, -0.1, "abc", None])
def test_a_share_out_of_range_is_refused(removing, bad):
    if "share" not in methods.get(removing).settings:
        pytest.skip(f"{removing} has no share")
    with pytest.raises(BadSetting, match="share"):
        compress(made("bert", "masked"), removing, share=bad)


def test_a_share_of_nothing_leaves_the_model_as_it_is(removing):
    if "share" not in methods.get(removing).settings:
        pytest.skip(f"{removing} has no share")
    model = made("bert", "masked")
    more = {"sequences": 2, "length": 16} if "sequences" in methods.get(removing).settings else {}
    assert compress(model, removing, share=0, **more).id == model.id


def test_every_declaration_is_complete(removing):
    declared = methods.get(removing)
    assert declared.source
    assert declared.saves
    assert declared.summary.endswith(".")
    for section in ("Args:", "Source:"):
        assert section in declared.doc
    for name in declared.settings:
        assert f"{name}:" in declared.doc, f"{name} is not explained"
