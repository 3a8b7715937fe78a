"""Damage does what its name says, at the size that its level says, and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from fairsqueeze.engine.requests import (
    BlankFill,
    CandidateScores,
    Outputs,
    OutputTable,
    TextLogProb,
    TokenScores,
    Vector,
)
from fairsqueeze.errors import BadSetting, UnknownName
from fairsqueeze.items import Item
from fairsqueeze.models.matrices import weight_matrices
from fairsqueeze.registry import measures
from fairsqueeze.study.evaluation import Evaluation
from fairsqueeze.testing.tiny import tiny_model
from fairsqueeze.validation.asked import Asked, numbers_of, with_numbers
from fairsqueeze.validation.degradation import DEGRADATIONS, constant, degrade, guessed
from fairsqueeze.validation.spelling import lower_case, wider_space
from fairsqueeze.validation.values import values_of


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama", "causal")


# --- Weights ---


def test_weight_noise_has_the_size_of_its_level_in_every_layer_and_leaves_the_model_alone(model):
    before = model.id
    noised = degrade(model, "weight_noise", 0.3, seed=1)
    for old, new in zip(
        weight_matrices(model.network, "linear"), weight_matrices(noised.network, "linear"), strict=True
    ):
        change = (new.parameter - old.parameter).detach()
        n = change.numel()
        assert float(change.std() / old.parameter.detach().std()) == pytest.approx(0.3, rel=4 / np.sqrt(2 * n))
        assert abs(float(change.mean())) < 5 * float(change.std()) / np.sqrt(n)
    assert model.id == before
    assert noised.provenance["steps"][-1] == {"name": "weight_noise", "parameters": {"level": 0.3}, "seed": 1}
    untouched = dict(model.network.named_parameters())
    linear = {ref.name for ref in weight_matrices(model.network, "linear")}
    assert all(torch.equal(p, untouched[name]) for name, p in noised.network.named_parameters() if name not in linear)


def test_noise_of_one_seed_is_the_same_and_grows_along_one_direction(model):
    one, two, other = (degrade(model, "weight_noise", level, seed) for level, seed in ((0.1, 0), (0.2, 0), (0.1, 1)))
    assert one.id == degrade(model, "weight_noise", 0.1, 0).id
    assert one.id != other.id
    (dense, small, large) = (weight_matrices(m.network, "linear")[0].parameter.detach() for m in (model, one, two))
    assert torch.allclose(2 * (small - dense), large - dense, atol=1e-5)


@pytest.mark.parametrize("kind", ["magnitude_pruning", "random_pruning"])
def test_pruning_zeroes_the_share_of_its_level(model, kind):
    pruned = degrade(model, kind, 0.5, seed=0)
    zeros = [float((ref.parameter == 0).float().mean()) for ref in weight_matrices(pruned.network, "linear")]
    assert zeros == pytest.approx([0.5] * len(zeros), abs=0.01)


# --- Answers ---


def test_guesses_prefer_nothing_show_nothing_and_spread_as_the_model_does(answered):
    asked = answered((3.0, 0.0, -9.0), spread=1.5)
    frames = [guessed(asked, 1.0, seed).frame() for seed in range(30)]
    preference = np.concatenate([f["preference"] for f in frames])
    control = np.concatenate([f["control"] for f in frames])
    assert abs(preference.mean()) < 4 * preference.std() / np.sqrt(len(preference))
    assert abs(control.mean()) < 4 * control.std() / np.sqrt(len(control))
    assert preference.std() == pytest.approx(asked.frame()["preference"].std(), rel=0.1)


def test_guesses_leave_which_rows_have_a_control_as_it_was():
    """A raw control that counts only at equal lengths: guesses of another length would give controls to all pairs."""
    rng = np.random.default_rng(0)
    content = {"more": "a", "less": "b", "control": "c", "antistereo": False, "spans": ()}
    items = tuple(Item(f"{k:04d}", "gender", "x", f"{k:04d}", content) for k in range(3000))

    def of(value: float, n: int) -> TokenScores:
        return TokenScores(np.full(n, (value + rng.normal()) / n))

    answers = tuple({"more": of(-9.7, 4), "less": of(-10, 4), "control": of(-11, 4 + k % 2)} for k in range(3000))
    declared = measures.get("crows_pairs.causal_sum")
    asked = Asked(Evaluation(declared, {}, items, len(items), "made up", {}), answers)
    damaged = guessed(asked, 0.5, 0)
    assert [a["control"].n_tokens for a in damaged.answers] == [4, 5] * 1500
    before, after = (a.frame()["control"] for a in (asked, damaged))
    assert np.array_equal(np.isnan(after), np.isnan(before))
    kept = [np.nanmean(d.frame()["control"]) / np.nanmean(before) for d in (guessed(asked, 0.5, k) for k in range(5))]
    assert np.mean(kept) == pytest.approx(0.5, abs=0.05)  # a third, if the pairs without a control got a guessed one


def test_the_same_items_are_guessed_at_every_level_and_more_of_them(answered):
    asked = answered()
    own = asked.frame()["preference"]
    changed = [guessed(asked, share, 3).frame()["preference"] != own for share in (0.0, 0.3, 0.6, 1.0)]
    assert [c.mean() for c in changed] == pytest.approx([0.0, 0.3, 0.6, 1.0], abs=0.12)
    assert all(np.all(more[less]) for less, more in pairwise(changed))


def test_scaling_moves_no_share_and_no_ratio(answered):
    asked = answered()
    cold, hot = (values_of(a.frame(), asked.evaluation.declared) for a in (asked, degrade(asked, "scaling", 5.0)))
    assert hot["competence"] == pytest.approx(cold["competence"] / 5)
    for name in ("share", "corrected_bias", "corrected_bias.guessing"):
        assert hot[name] == pytest.approx(cold[name])


def test_a_constant_model_ties_everywhere(answered):
    frame = constant(answered()).frame()
    assert not frame["preference"].any()
    assert not frame["control"].any()


@pytest.mark.parametrize(
    "answer",
    [
        Outputs(np.array([1.0, -2.0, 0.5]), ("a", "b", "c")),
        OutputTable(np.arange(6.0).reshape(2, 3), ("a", "b", "c")),
        CandidateScores((-1.0, None, -3.0)),
        Vector(np.array([1.0, 2.0], dtype=np.float32)),
    ],
)
def test_numbers_of_every_sort_of_answer_can_be_changed(answer):
    numbers = numbers_of(answer)
    assert numbers_of(with_numbers(answer, numbers + 1)) == pytest.approx(numbers + 1)
    assert numbers_of(answer) == pytest.approx(numbers)


# --- Wrong use ---


@pytest.mark.parametrize(
    ("kind", "level", "says"),
    [("weight_noise", -1.0, "the level is -1"), ("guessing", 1.5, r"\[0, 1\]"), ("temperature", 0.0, "divisor")],
)
def test_a_level_out_of_range_says_what_is_allowed(model, kind, level, says):
    with pytest.raises(BadSetting, match=says):
        degrade(model, kind, level)


def test_damage_to_answers_needs_answers_and_an_unknown_kind_names_near_ones(model, answered):
    with pytest.raises(BadSetting, match="done to answers, not to a Model"):
        degrade(model, "guessing", 0.5)
    with pytest.raises(BadSetting, match="done to weights"):
        degrade(answered(), "weight_noise", 0.5)
    with pytest.raises(UnknownName, match="weight_noise"):
        degrade(model, "weight_nose", 0.5)


def test_every_degradation_goes_from_mild_to_strong_within_its_range():
    for kind in DEGRADATIONS.values():
        assert list(kind.levels) == sorted(kind.levels)
        assert all(level in kind.allowed for level in kind.levels)


# --- Spellings ---


def test_spellings_change_texts_only_and_keep_the_open_place():
    assert lower_case(BlankFill("The BLANK Ran.", "Cook")) == BlankFill("the BLANK ran.", "cook")
    assert lower_case(TextLogProb("A", prefix="B", bos="first")) == TextLogProb("a", prefix="b", bos="first")
    assert wider_space(TextLogProb("A")) == TextLogProb(" A")
    assert wider_space(TextLogProb(" A", prefix="B")) == TextLogProb(" A", prefix=" B")
