"""Taylor and movement scores against losses that are worked out anew."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest
import torch

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.examples import examples_for
from fairsqueeze.compress.weight_gradients import loss_and_gradients, only_these_learn, prune_by_score_
from fairsqueeze.errors import BadSetting, FairsqueezeError, ModelError
from fairsqueeze.models.anatomy import WeightRef, weight_matrices
from fairsqueeze.testing.tiny import tiny_model

SMALL = {"sequences": 3, "length": 24}


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "qwen2", "albert"])
def test_taylor_is_the_change_of_the_loss_to_first_order(architecture):
    """Backward passes of our own, with every weight learning, one example after the other."""
    model = tiny_model(architecture)
    model.network.to(torch.float64)
    network = copy.deepcopy(model.network)
    scores = {}
    for loss in examples_for(model, sequences=3, length=24, seed=5).losses:
        network.zero_grad()
        loss(network).backward()
        for ref in weight_matrices(network, "linear"):
            scores[ref.name] = scores.get(ref.name, 0) + (ref.parameter * ref.parameter.grad).detach().abs()
    result = compress(model, "taylor", sparsity=0.4, seed=5, **SMALL)
    for ref in weight_matrices(result.network, "linear"):
        count = round(0.4 * ref.parameter.numel())
        least = scores[ref.name].flatten().argsort()[:count]
        assert set((ref.parameter.flatten() == 0).nonzero().flatten().tolist()) == set(least.tolist())


def test_the_gradient_times_the_weight_predicts_what_removing_it_does():
    model = tiny_model("llama")
    model.network.to(torch.float64)
    (loss,) = examples_for(model, sequences=1, length=24, seed=0).losses
    refs = weight_matrices(model.network, "linear")
    with only_these_learn(model.network, refs):
        before, gradients = loss_and_gradients(model.network, refs, loss)
    weight = refs[4].parameter.detach().view(-1)
    place = int((weight * gradients[4].flatten()).abs().argmax())
    with torch.no_grad():
        change = 0.01 * weight[place]
        weight[place] -= change
        after = float(loss(model.network))
    assert after - before == pytest.approx(-float(change * gradients[4].flatten()[place]), rel=0.02)


@pytest.mark.parametrize("architecture", ["bert", "qwen2"])
def test_movement_is_the_sum_over_the_steps_of_an_optimiser(architecture):
    model = tiny_model(architecture)
    model.network.to(torch.float64)
    network = copy.deepcopy(model.network)
    refs = weight_matrices(network, "linear")
    optimiser = torch.optim.SGD([ref.parameter for ref in refs], lr=0.05)
    scores = {ref.name: torch.zeros_like(ref.parameter) for ref in refs}
    for loss in examples_for(model, sequences=4, length=24, seed=2).losses:
        optimiser.zero_grad()
        loss(network).backward()
        for ref in refs:
            scores[ref.name] -= (ref.parameter * ref.parameter.grad).detach()
        optimiser.step()
    result = compress(model, "movement", sparsity=0.3, seed=2, learning_rate=0.05, sequences=4, length=24)
    old = {ref.name: ref.parameter for ref in weight_matrices(model.network, "linear")}
    for ref in weight_matrices(result.network, "linear"):
        zero = ref.parameter.flatten() == 0
        least = scores[ref.name].flatten().argsort()[: round(0.3 * zero.numel())]
        assert set(zero.nonzero().flatten().tolist()) == set(least.tolist())
        assert torch.equal(ref.parameter.flatten()[~zero], old[ref.name].flatten()[~zero])
    measured = result.provenance["steps"][-1]["measured"]
    assert measured["first_loss"] > 0
    assert measured["last_loss"] > 0


def test_scores_of_either_sign_by_hand():
    weight = torch.nn.Parameter(torch.tensor([[1.0, 0.0, 3.0], [4.0, 5.0, 6.0]]))
    prune_by_score_([WeightRef("w", weight, False, "m")], [torch.tensor([[2.0, 9.0, -5.0], [0.0, 0.0, 1.0]])], 0.5)
    assert weight.tolist() == [[1.0, 0.0, 0.0], [0.0, 5.0, 6.0]]  # the zero, then −5, then the first 0


def test_one_very_low_score_does_not_hide_the_differences_of_the_others():
    ref = WeightRef("a", torch.nn.Parameter(torch.ones(1, 4)), False, "m")
    prune_by_score_([ref], [torch.tensor([[-1000.0, 3e-5, 1e-5, 2e-5]])], 0.5)
    assert ref.parameter.tolist() == [[0.0, 1.0, 0.0, 1.0]]


def test_all_scores_alike_still_prune_zeros_first():
    weight = torch.nn.Parameter(torch.tensor([[1.0, 2.0, 0.0, 0.0]]))
    prune_by_score_([WeightRef("w", weight, False, "m")], [torch.zeros(1, 4)], 0.5)
    assert weight.tolist() == [[1.0, 2.0, 0.0, 0.0]]


@pytest.mark.parametrize("method", ["taylor", "movement"])
def test_gradients_leave_nothing_behind(method):
    model = tiny_model("bert")
    before = model.id
    next(iter(model.network.parameters())).requires_grad_(False)
    flags = [p.requires_grad for p in model.network.parameters()]
    result = compress(model, method, sparsity=0.5, **SMALL)
    assert [p.requires_grad for p in result.network.parameters()] == flags
    assert all(p.grad is None for p in result.network.parameters())
    assert model.id == before


@pytest.mark.parametrize("method", ["taylor", "movement"])
def test_classifiers_are_judged_by_labelled_pairs_and_encoders_by_nothing(method, tmp_path):
    model = tiny_model("roberta", "pair_classifier")
    with pytest.raises(BadSetting, match="labelled is missing"):
        compress(model, method, sparsity=0.5, **SMALL)
    path = tmp_path / "pairs.jsonl"
    rows = [("The nurse was tired.", "She slept.", 1), ("He cooks.", "They played.", 2), ("A man.", "A farmer.", 0)]
    path.write_text("\n".join(json.dumps(dict(zip(("first", "second", "label"), row, strict=True))) for row in rows))
    result = compress(model, method, sparsity=0.5, labelled=str(path), **SMALL)
    assert result.provenance["steps"][-1]["measured"]["sparsity"] == 0.5
    with pytest.raises(FairsqueezeError, match="encoder"):
        compress(tiny_model("bert", "encoder"), method, sparsity=0.5, **SMALL)


def test_a_weight_that_the_loss_does_not_know_is_named():
    model = tiny_model("bert")
    model.network.bert.spare = torch.nn.Linear(4, 4)
    with pytest.raises(ModelError, match=r"bert\.spare\.weight plays no part in the loss") as refused:
        compress(model, "taylor", sparsity=0.5, **SMALL)
    assert "wanda" in refused.value.remedy


@pytest.mark.parametrize("method", ["taylor", "movement", "magnitude.iterative"])
def test_files_that_a_step_learned_from_are_known_by_their_content(method, tmp_path):
    path = tmp_path / "text.txt"
    told = []
    for line in ("The nurse said that she was tired. ", "The farmer was angry with the old man. "):
        path.write_text(line * 30)
        result = compress(tiny_model("bert"), method, sparsity=0.5, text=str(path), sequences=2, length=16)
        told.append(result.provenance["steps"][-1]["files"])
        assert told[-1] == {"text": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert told[0] != told[1]
