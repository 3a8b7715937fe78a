"""Presets are the published numbers; schedules are those of transformers; labels are what the config says."""

from __future__ import annotations

import pytest
import torch
from transformers import get_constant_schedule_with_warmup, get_linear_schedule_with_warmup

from fairsqueeze.errors import BadSetting, DataError, UnknownName
from fairsqueeze.stimuli.labelled import Example
from fairsqueeze.testing.tiny import tiny_model
from fairsqueeze.training.pairs import Pair, pairs_for, pairs_sha256
from fairsqueeze.training.settings import PRESETS, TrainingSettings, settings_of


def test_the_studys_numbers() -> None:
    mnli, stsb = PRESETS["mannheim2024.mnli"], PRESETS["mannheim2024.stsb"]
    assert (mnli.rate, mnli.epochs, mnli.batch, mnli.micro_batch, mnli.max_length) == (2e-5, 5, 32 * 3, 32, 512)
    assert (stsb.rate, stsb.epochs, stsb.batch, stsb.max_length) == (2e-5, 3, 8, 512)
    assert {(p.weight_decay, p.warm_up, p.schedule, p.patience) for p in (mnli, stsb)} == {(0.0, 0, "linear", None)}
    teachers = [p for name, p in PRESETS.items() if name.startswith("hessenthaler2022.teacher_")]
    grid = {(round(p.rate * 1e5), p.batch) for p in teachers}
    assert grid == {(rate, batch) for rate in (5, 3, 2) for batch in (32, 16)}
    assert {(p.epochs, p.patience, p.max_length) for p in teachers} == {(10, 2, 128)}


def test_iterative_pruning_trains_at_a_rate_that_does_not_fall() -> None:
    """Its scheduler is as long as its examples are many, not as its steps: 5,749 × 3 for 719 × 3 steps of STS-B."""
    settings, steps = PRESETS["mannheim2024.imp_stsb"], 719 * 3
    theirs = 2e-5 * (5749 * 3 - steps) / (5749 * 3 - 500)
    assert settings.rate_at(steps - 1, steps) == pytest.approx(theirs, rel=0.12)
    assert PRESETS["mannheim2024.imp_mnli"].schedule == settings.schedule


@pytest.mark.parametrize("schedule", ["linear", "constant"])
@pytest.mark.parametrize(("warm_up", "total"), [(0, 7), (3, 10), (0.25, 12), (5, 3)])
def test_rates_are_those_of_transformers(schedule: str, warm_up: float, total: int) -> None:
    settings = TrainingSettings(rate=0.5, schedule=schedule, warm_up=warm_up)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    rising = settings.warm_up_steps(total)
    if schedule == "linear":
        theirs = get_linear_schedule_with_warmup(optimizer, rising, total)
    else:
        theirs = get_constant_schedule_with_warmup(optimizer, rising)
    for step in range(total):
        assert settings.rate_at(step, total) == pytest.approx(theirs.get_last_lr()[0]), step
        optimizer.step()
        theirs.step()


def test_a_preset_can_be_changed_and_names_are_checked() -> None:
    changed = settings_of("offline.nli", {"epochs": 1, "patience": 2})
    assert (changed.epochs, changed.patience, changed.rate) == (1, 2, PRESETS["offline.nli"].rate)
    with pytest.raises(UnknownName, match=r"offline\.nli"):
        settings_of("offline.nl", {})
    with pytest.raises(BadSetting, match="epochs"):
        settings_of("offline.nli", {"epocs": 1})


@pytest.mark.parametrize(
    "bad", [{"rate": 0}, {"epochs": 0}, {"batch": -1}, {"warm_up": -1}, {"schedule": "cosine"}, {"precision": "int8"}]
)
def test_settings_out_of_range_are_refused(bad: dict) -> None:
    (name,) = bad
    with pytest.raises(BadSetting, match=name):
        TrainingSettings(**bad)


def test_labels_are_names_or_numbers_of_the_models_classes() -> None:
    model = tiny_model("bert", "pair_classifier")
    model.network.config.id2label = {0: "CONTRADICTION", 1: "neutral", 2: "Entailment"}
    written = ["entailment", "Contradiction", "1", "2.0", "NEUTRAL"]
    assert [p.label for p in pairs_for(model, [Example("a", "b", label) for label in written])] == [2, 0, 1, 2, 1]
    assert pairs_for(model, [Pair("a", "b", 2.0)]) == [Pair("a", "b", 2.0)]
    for wrong in ("3", "maybe", "-1", "1.5"):
        with pytest.raises(BadSetting, match="example 2"):
            pairs_for(model, [Example("a", "b", "neutral"), Example("a", "b", wrong)])
    with pytest.raises(DataError, match="no examples"):
        pairs_for(model, [])


def test_names_that_are_numbers_go_before_numbers() -> None:
    model = tiny_model("bert", "pair_classifier")
    model.network.config.id2label = {0: "2", 1: "1", 2: "0"}
    assert [p.label for p in pairs_for(model, [Example("a", "b", label) for label in "012"])] == [2, 1, 0]


def test_numbers_are_not_taken_for_classes_that_are_called_by_others() -> None:
    model = tiny_model("bert", "pair_classifier")
    model.network.config.id2label = {0: "1", 1: "2", 2: "3"}
    assert [p.label for p in pairs_for(model, [Example("a", "b", label) for label in ("1", "2.0", "3")])] == [0, 1, 2]
    with pytest.raises(BadSetting, match="label '0'"):
        pairs_for(model, [Example("a", "b", "0")])


@pytest.mark.parametrize("label", ["nan", "inf", "1e999"])
def test_a_value_that_is_no_finite_number_is_refused(label: str) -> None:
    with pytest.raises(BadSetting, match="example 1"):
        pairs_for(tiny_model("bert", "pair_regressor"), [Example("a", "b", label)])


def test_a_regressors_labels_are_values() -> None:
    model = tiny_model("bert", "pair_regressor")
    assert pairs_for(model, [Example("a", "", "3.75")]) == [Pair("a", "", 3.75)]
    with pytest.raises(BadSetting, match="a number"):
        pairs_for(model, [Example("a", "", "high")])


def test_the_content_id_of_pairs_knows_order_texts_and_labels() -> None:
    pairs = [Pair("a", "b", 1.0), Pair("c", "", 2.0)]
    others = [pairs[::-1], [Pair("ab", "", 1.0), pairs[1]], [Pair("a", "b", 1.5), pairs[1]], pairs[:1]]
    assert len({pairs_sha256(p) for p in [pairs, *others]}) == 5
    assert pairs_sha256(pairs) == pairs_sha256([Pair("a", "b", 1), Pair("c", "", 2)])
