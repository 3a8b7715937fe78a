"""Iterative magnitude pruning against torch.nn.utils.prune round by round, and what rewinding means."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.magnitude_iterative import _zeros_after
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.registry import checked_settings, methods
from fairsqueeze.testing.tiny import tiny_model
from fairsqueeze.training.batches import PairBatches, draw_seed, order_of_epoch
from fairsqueeze.training.pairs import pairs_for

PAIRS = Path(__file__).with_name("pairs.jsonl")
SETTINGS = {"sparsity": 0.6, "rounds": 4, "steps_per_round": 2, "batch": 2, "rate": 1e-2, "labelled": str(PAIRS)}


@pytest.fixture(scope="module")
def model():
    """In float64, where Adam does not blow the rounding of gradients that are zero up to whole steps."""
    made = tiny_model("roberta", "pair_classifier")
    made.network.to(torch.float64)
    return made


@pytest.fixture(scope="module")
def pruned(model):
    return compress(model, "magnitude.iterative", seed=3, **SETTINGS)


def named(network):
    return {ref.name: ref.parameter for ref in weight_matrices(network, "block_linear")}


def test_six_kinds_of_layers_are_pruned_and_no_other(model, pruned):
    layers = {name.split(".layer.")[1].split(".", 1)[1] for name in named(model.network)}
    assert layers == {
        "attention.self.query.weight",
        "attention.self.key.weight",
        "attention.self.value.weight",
        "attention.output.dense.weight",
        "intermediate.dense.weight",
        "output.dense.weight",
    }
    others = {n: p for n, p in pruned.network.named_parameters() if n not in named(pruned.network)}
    assert all(bool((p != 0).all()) for n, p in others.items() if n.endswith("weight") and "embedding" not in n)
    before = dict(model.network.named_parameters())
    assert any(not torch.equal(p, before[n]) for n, p in others.items()), "all of the model is trained"


def slow_version(model, seed):
    """The study's loop with torch's own pruning: prune, then fine-tune and prune again."""
    network = copy.deepcopy(model.network)
    layers = [(network.get_submodule(name.removesuffix(".weight")), "weight") for name in named(network)]
    total = sum(layer.weight.numel() for layer, _ in layers)
    pairs = pairs_for(model, [*_read()])
    batches = PairBatches(model, pairs, 128)
    drawn = [order_of_epoch(len(pairs), seed, e)[at : at + 2] for e in range(9) for at in range(0, len(pairs), 2)]
    stream, gone = iter(drawn), 0
    for number in range(1, SETTINGS["rounds"] + 1):
        count = _zeros_after(number, SETTINGS["rounds"], SETTINGS["sparsity"], total)
        prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=count - gone)
        gone = count
        if number == SETTINGS["rounds"]:
            break
        optimizer = torch.optim.AdamW(network.parameters(), lr=SETTINGS["rate"], weight_decay=0.01)
        network.train()
        for step in range(SETTINGS["steps_per_round"]):
            torch.manual_seed(draw_seed(draw_seed(seed, "round", number), step))
            optimizer.zero_grad()
            batches.loss(next(stream))(network).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        network.eval()
        with torch.no_grad():  # the study evaluates here, without which torch prunes by the weights of one step before
            batches.loss([0])(network)
    for layer, name in layers:
        prune.remove(layer, name)
    return network


def _read():
    from fairsqueeze.compress.surgery_calibration import labelled_pairs

    return labelled_pairs(str(PAIRS))


def test_it_is_the_studys_loop(model, pruned):
    theirs = dict(slow_version(model, 3).named_parameters())
    for name, parameter in pruned.network.named_parameters():
        assert torch.equal(parameter == 0, theirs[name] == 0), name
        assert float((parameter - theirs[name]).detach().abs().max()) < 1e-8, name


def test_each_round_takes_the_same_share_of_what_is_left():
    total = 1_000_000
    left = [total - _zeros_after(number, 11, 0.9, total) for number in range(12)]
    shares = [1 - after / before for before, after in itertools.pairwise(left)]
    assert shares == pytest.approx([1 - 0.1 ** (1 / 11)] * 11, abs=1e-5)
    assert left[-1] == round(0.1 * total)
    assert _zeros_after(3, 3, 0.37, 1001) == round(0.37 * 1001)


def test_one_round_is_global_pruning_without_training(model):
    network = copy.deepcopy(model.network)
    layers = [(network.get_submodule(name.removesuffix(".weight")), "weight") for name in named(network)]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=0.6)
    once = compress(model, "magnitude.iterative", **{**SETTINGS, "rounds": 1})
    for layer, name in layers:
        prune.remove(layer, name)
    theirs = dict(network.named_parameters())
    assert all(torch.equal(p, theirs[n]) for n, p in once.network.named_parameters())


def test_rewound_weights_are_the_given_ones_under_a_learned_mask(model, pruned):
    ticket = compress(model, "magnitude.iterative", seed=3, **SETTINGS, rewind=True)
    chosen, given = named(ticket.network), dict(model.network.named_parameters())
    for name, parameter in ticket.network.named_parameters():
        wanted = given[name] * (parameter != 0) if name in chosen else given[name]
        assert torch.equal(parameter, wanted), name
    once = named(compress(model, "magnitude.iterative", **{**SETTINGS, "rounds": 1}).network)
    assert any(not torch.equal(p == 0, once[n] == 0) for n, p in chosen.items()), "the mask was learned"
    assert any(not torch.equal(p, pruned.network.get_parameter(n)) for n, p in chosen.items())


def test_zeros_that_were_there_stay_and_count(model):
    half = compress(model, "magnitude.linear", sparsity=0.5)
    before = named(half.network)
    for sparsity in (0.3, 0.7):
        after = compress(half, "magnitude.iterative", **{**SETTINGS, "sparsity": sparsity})
        measured = after.provenance["steps"][-1]["measured"]
        assert all(bool((p[before[n] == 0] == 0).all()) for n, p in named(after.network).items())
        assert measured["zeros"] == max(measured["zeros_before"], round(sparsity * measured["weights"]))


def test_a_language_model_learns_from_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("The nurse said that she was tired. The old man plays in the park and grows roses.\n" * 20)
    small = {"sparsity": 0.5, "rounds": 3, "steps_per_round": 3, "sequences": 4, "length": 16, "rate": 1e-2}
    for architecture in ("bert", "gpt2"):
        result = compress(tiny_model(architecture), "magnitude.iterative", **small, text=str(path))
        losses = result.provenance["steps"][-1]["measured"]["training_losses"]
        assert len(losses) == 2
        assert losses[1] < losses[0]


def test_a_classifier_needs_labelled_pairs(model):
    with pytest.raises(BadSetting, match="labelled is missing"):
        compress(model, "magnitude.iterative", sparsity=0.5)


def test_the_defaults_are_the_studys_rounds_and_small_work():
    settings = checked_settings(methods.get("magnitude.iterative"), {"sparsity": 0.5})
    assert (settings["rounds"], settings["steps_per_round"], settings["rewind"]) == (11, 8, False)


def test_warm_up_starts_from_nothing(model):
    still = compress(model, "magnitude.iterative", **{**SETTINGS, "steps_per_round": 1, "warm_up": 5})
    given = dict(model.network.named_parameters())
    chosen = named(still.network)
    assert all(torch.equal(p, given[n]) for n, p in still.network.named_parameters() if n not in chosen)
