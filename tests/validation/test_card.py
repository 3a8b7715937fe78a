"""The report card: complete, plain JSON, resumable, and graded by its rule."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from fairsqueeze.errors import ModelError, UnknownName
from fairsqueeze.report.page import report_folder
from fairsqueeze.report.validation_page import render_card
from fairsqueeze.report.validation_text import validation_text
from fairsqueeze.stats.randomness_reward import RandomnessReward
from fairsqueeze.study.progress import Silent
from fairsqueeze.study.store import Store
from fairsqueeze.testing.tiny import tiny_model
from fairsqueeze.validation.card import SCHEMA, anchors_of, losses_of, validate
from fairsqueeze.validation.consistency import across_contexts, split_half_of
from fairsqueeze.validation.criteria import _no_reward
from fairsqueeze.validation.curve import Curve
from fairsqueeze.validation.degradation import degrade
from fairsqueeze.validation.grade import NOT_USABLE, Criterion, grade_of
from fairsqueeze.validation.injection import slopes_of


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama", "causal")


def test_grades_by_their_rule():
    passed = [
        Criterion(n, True, "") for n in ("measurable", "sensitive", "precise", "reliable", "spelling", "complete")
    ]

    def failing(*names):
        return grade_of([replace(c, passed=False) if c.name in names else c for c in passed])

    assert failing() == "A"
    assert failing("precise") == "B"
    assert failing("precise", "spelling") == "C"
    assert failing("precise", "spelling", "reliable") == "D"
    assert failing("precise", "spelling", "reliable", "complete") == "D"
    assert failing("measurable") == failing("sensitive", "precise") == NOT_USABLE
    assert grade_of([Criterion("sensitive", None, "n/a"), *passed[2:]]) == "A"


def test_single_tests_of_many_do_not_decide_whether_damage_is_rewarded():
    def passed(**values):
        rewards = {name: RandomnessReward(v, v - 0.1, v + 0.1, 5, 5) for name, v in values.items()}
        return _no_reward(Curve((0.0,), (), rewards)).passed

    assert passed(mean_abs_effect=0.0, **{"effect_size:weat6": 0.9}) is True
    assert passed(mean_abs_effect=0.5, corrected_bias=0.0) is False
    assert passed(**{"effect_size:weat6": 0.9}) is None


def test_no_version_of_the_model_is_asked_twice(options, model, monkeypatch):
    made = []

    def recorded(subject, kind, level, seed=0):
        made.append((kind, level, seed))
        return degrade(subject, kind, level, seed)

    monkeypatch.setattr("fairsqueeze.validation.damaged.degrade", recorded)
    validate("options.sum", model, limit=18)
    assert len(made) == len(set(made)) == 7


def test_a_card_of_a_random_model_is_complete_and_not_usable(options, model, tmp_path: Path):
    card = validate("options.sum", model, limit=60, out=tmp_path)
    document = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert document["schema"] == SCHEMA
    assert document["grade"] == NOT_USABLE
    assert [c["name"] for c in document["criteria"]] == [
        "measurable", "sensitive", "precise", "reliable", "spelling", "no reward", "length and frequency", "complete",
    ]  # fmt: skip
    assert document["warnings"] == ["A sample of 60 of 108 items, stratified by axis."]
    assert document["criticisms"] == ["it is a toy"]
    assert {d["axis"] for d in document["smallest_detectable"]} == {None, "one", "two", "three"}
    assert Store(tmp_path).read_document("validation")["grade"] == NOT_USABLE
    forms = {"corrected_bias", "corrected_bias.prior"}
    assert {(s["level"], s["form"]) for s in document["scaling"]} == {
        (level, form) for level in (0.05, 0.1, 0.2, 0.3, 0.4) for form in forms
    }
    page = report_folder(tmp_path).read_text(encoding="utf-8")
    text = validation_text(document)
    for heading in ("what noise does free of content", "Under noise on the weights", "Lost rows"):
        assert heading in text
        assert heading in page
    assert "grade not usable" in text
    assert "it is a toy" in text
    assert "nan" not in text.lower()


def test_damaged_models_are_asked_once_and_kept(options, model, tmp_path: Path):
    class Told(Silent):
        def __init__(self):
            self.messages = []

        def say(self, message):
            self.messages.append(message)

    first, second = Told(), Told()
    one = validate("options.sum", model, limit=30, out=tmp_path, progress=first)
    two = validate("options.sum", model, limit=30, out=tmp_path, progress=second)
    assert len(first.messages) == 9  # two spellings, five levels of noise, two more seeds
    assert second.messages == []
    assert {**one.to_json(), "provenance": None} == {**two.to_json(), "provenance": None}


@pytest.mark.parametrize(
    "name", ["weat:tests=caliskan", pytest.param("seat.mean:tests=bias_bench", marks=pytest.mark.slow)]
)
def test_association_tests_have_a_card_with_known_bias_put_into_vectors(name):
    card = validate(name, vectors_model())
    document = json.loads(json.dumps(card.to_json(), allow_nan=False))
    found = {c["name"]: c["passed"] for c in document["criteria"]}
    assert found["measurable"] is False  # a model of random weights
    assert found["complete"] is True
    assert {a["statistic"] for a in document["anchors"] if a["ceiling"] is not None} >= {"mean_abs_effect"}
    assert (document["reliability"]["templates"] is None) == name.startswith("weat")  # bare words have no template
    untouched = any("changes none of this measure's answers" in w for w in document["warnings"])
    assert untouched == name.startswith("weat")  # static vectors lie before the layers that noise is put on
    assert "grade not usable" in validation_text(document)
    assert "<svg" in render_card(document)


@cache
def vectors_model():
    return tiny_model("bert", "encoder")


def test_wrong_use_says_what_is_wrong_before_anything_is_asked(options, tmp_path: Path):
    with pytest.raises(UnknownName, match=r"options\.sum"):
        validate("options.summ", tiny_model("llama", "causal"))
    with pytest.raises(UnknownName, match="is a task"):
        validate("perplexity", tiny_model("llama", "causal"))
    with pytest.raises(ModelError, match="needs a model of kind causal"):
        validate("options.sum", tiny_model("bert", "masked"))


def test_anchors_are_measured_by_scoring_again(answered, options):
    asked = answered((0.4, 0.0, -2.0))
    slopes = [slopes_of(asked, k) for k in range(len(asked.answers))]
    (anchor,) = anchors_of(asked, slopes, options, seed=0)
    assert (anchor["floor"], anchor["ceiling"], anchor["constant"]) == (0.0, 100.0, 0.0)
    assert anchor["chance"] == pytest.approx(50.0, abs=5.0)
    assert anchor["ideal"] == 50.0


def test_lost_rows_are_counted_with_their_reasons(answered):
    frame = dict(answered().frame())
    frame["status"] = frame["status"].copy()
    frame["preference"] = frame["preference"].copy()
    frame["status"][:3] = "broken"
    frame["preference"][:3] = float("nan")
    frame["preference"][3:5] = 0.0
    found = losses_of(frame)
    assert (found["n_undefined"], found["reasons"], found["n_ties"]) == (3, {"broken": 3}, 2)
    assert found["share_ties"] == pytest.approx(2 / (len(frame["status"]) - 3))


def test_halves_are_of_clusters_where_groups_have_several_and_of_items_where_they_have_one(answered):
    frame = dict(answered().frame())
    by_group = split_half_of(frame, seed=0)
    assert (by_group.units, by_group.halves, by_group.found.n_units) == ("group", "clusters", 18)
    frame["group"] = frame["cluster"]
    by_cluster = split_half_of(frame, seed=0)
    assert (by_cluster.units, by_cluster.halves, by_cluster.found.n_units) == ("cluster", "items", 54)
    # preferences that belong to the cluster and not to the item are found reliable
    names = sorted(set(frame["cluster"]))
    frame["preference"] = frame["preference"] * 0.1 + [float(names.index(c)) for c in frame["cluster"]]
    assert split_half_of(frame, seed=0).found.value > 0.95


def test_neutral_contexts_are_parallel_forms(answered):
    frame = dict(answered().frame())
    found = across_contexts(frame)
    # the made-up neutral scores are all 0, so both contexts say the same
    assert found["alpha"] == pytest.approx(1.0)
    assert found["corrected_bias_by_context"][0] == pytest.approx(found["corrected_bias_by_context"][1])
