"""The score that heads are removed by: accuracy and correlations, worked by hand; ties, constants, broken models."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.compress.conftest import made

from fairsqueeze.compress.heads_importance import language_losses, pair_losses
from fairsqueeze.compress.heads_threshold import heads_until
from fairsqueeze.compress.surgery_calibration import LabelledPair, encoded_pair
from fairsqueeze.compress.task_score import accuracy, correlation, likelihood_score, pair_score
from fairsqueeze.errors import BadSetting, NonFinite
from fairsqueeze.testing.tiny import tiny_model

PAIRS = [
    LabelledPair("The nurse was tired.", "She slept.", 1),
    LabelledPair("He is a good cook.", "They played the piano.", 2),
    LabelledPair("The old man grows apples.", "The farmer was angry.", 0),
    LabelledPair("The teacher was late.", "", 2),
]


def test_accuracy_counts_a_tie_by_its_share():
    logits = np.array([[3.0, 1.0, 0.0], [1.0, 1.0, 0.0], [2.0, 2.0, 2.0], [0.0, 5.0, 1.0]])
    assert accuracy(logits, np.array([0, 1, 2, 0])) == pytest.approx((1 + 1 / 2 + 1 / 3 + 0) / 4)


def test_a_model_that_gives_every_class_the_same_scores_chance():
    assert accuracy(np.zeros((3, 3)), np.array([0, 0, 0])) == pytest.approx(1 / 3)


def test_correlation_is_the_mean_of_both():
    """Of (1, 2, 4) with (1, 3, 2): Pearson 1/(2·√(7/3)) = .3273, Spearman .5."""
    found = correlation(np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 3.0, 2.0]))
    assert found == pytest.approx((0.5 / math.sqrt(7 / 3) + 0.5) / 2)


@pytest.mark.parametrize(("values", "labels"), [([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [4.0, 4.0, 4.0])])
def test_what_does_not_vary_has_no_correlation(values, labels):
    assert correlation(np.array(values)[:, None], np.array(labels)) is None


def test_the_score_of_a_classifier_is_that_of_its_answers():
    model = made("bert", "pair_classifier")
    with torch.no_grad():
        said = [int(model.network(**encoded_pair(model, pair, 64)).logits.argmax()) for pair in PAIRS]
    right = [LabelledPair(pair.first, pair.second, answer) for pair, answer in zip(PAIRS, said, strict=True)]
    wrong = [LabelledPair(pair.first, pair.second, (pair.label + 1) % 3) for pair in right]
    assert pair_score(model, right, 64)(model.network) == 1.0
    assert pair_score(model, [*right[:3], wrong[3]], 64)(model.network) == 0.75
    assert pair_score(model, wrong, 64)(model.network) == 0.0


def test_a_language_models_score_is_one_over_its_perplexity():
    model = tiny_model("gpt2")
    ids = torch.arange(5, 17)[None]
    with torch.no_grad():
        loss = float(model.network(input_ids=ids, labels=ids).loss)
    assert likelihood_score(language_losses(model, [ids]))(model.network) == pytest.approx(math.exp(-loss), rel=1e-5)


def test_a_broken_model_has_no_score():
    model = made("bert", "pair_classifier")

    def broken(**_):
        return SimpleNamespace(logits=torch.tensor([[0.0, math.nan, 1.0]]))

    with pytest.raises(NonFinite):
        pair_score(model, PAIRS, 64)(broken)


def test_a_masked_model_without_a_score_fails_the_round():
    """Defined for the whole model alone: nothing may go."""
    model = made("bert", "pair_classifier")
    whole = iter([0.5])
    gone = heads_until(model.network, lambda _: next(whole, None), pair_losses(model, PAIRS), threshold=0.0)
    assert gone == [[], []]


def test_a_whole_model_without_a_score_is_refused():
    model = made("bert", "pair_classifier")
    with pytest.raises(BadSetting, match="undefined"):
        heads_until(model.network, lambda _: None, pair_losses(model, PAIRS), threshold=0.5)
