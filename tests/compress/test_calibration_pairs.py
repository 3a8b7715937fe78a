"""Labelled pairs by name: the model's own class numbers, and nothing that a task scores it on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairsqueeze.assets.locate import locate
from fairsqueeze.compress.calibration_pairs import calibration_pairs
from fairsqueeze.errors import BadSetting
from fairsqueeze.stimuli.mnli import matched
from fairsqueeze.testing.tiny import tiny_model


@pytest.fixture
def data(shared_datasets, monkeypatch):
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))


def with_labels(*labels: str):
    model = tiny_model("bert", "pair_classifier")
    model.network.config.id2label = dict(enumerate(labels))
    return model


@pytest.mark.shared
@pytest.mark.usefixtures("data")
def test_mnli_shares_no_premise_with_what_the_task_scores_and_counts_as_the_model_does():
    pairs = calibration_pairs(with_labels("contradiction", "entailment", "neutral"), "mnli")
    items = matched(locate("mnli_dev_matched").files, "all")
    gold = {(i.content["premise"], i.content["hypothesis"]): i.content["gold"] for i in items}
    held_out = {i.content["premise"] for i in matched(locate("mnli_dev_matched").files, "held_out")}
    assert len(pairs) == sum(i.content["premise"] not in held_out for i in items) > 3000
    assert not held_out & {pair.first for pair in pairs}
    number = {"contradiction": 0, "entailment": 1, "neutral": 2}
    assert [number[gold[p.first, p.second]] for p in pairs] == [p.label for p in pairs]


@pytest.mark.shared
@pytest.mark.usefixtures("data")
def test_stsb_is_the_training_part():
    pairs = calibration_pairs(tiny_model("bert", "pair_regressor"), "stsb")
    assert len(pairs) == 5749
    assert min(p.label for p in pairs) == 0.0
    assert max(p.label for p in pairs) == 5.0


@pytest.mark.shared
@pytest.mark.usefixtures("data")
def test_labels_that_the_model_does_not_have_are_refused():
    with pytest.raises(BadSetting, match="label"):
        calibration_pairs(with_labels("cat", "dog", "bird"), "mnli")


def test_nothing_given_says_what_to_give():
    with pytest.raises(BadSetting, match="labelled is missing") as refused:
        calibration_pairs(replace(tiny_model("bert", "pair_classifier"), reference="mine"), "")
    assert "mnli or stsb" in refused.value.remedy
