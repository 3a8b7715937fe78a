"""The report card: complete, plain JSON, resumable, and graded by its rule."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
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
from fairsqueeze.validation.consistency import across_contexts, across_frames, changes_of, split_half_of
from fairsqueeze.validation.criteria import _no_reward, _sensitive, _spelling
from fairsqueeze.validation.curve import Curve, Point
from fairsqueeze.validation.degradation import degrade
from fairsqueeze.validation.grade import NOT_USABLE, Criterion, counts_of, grade_of
from fairsqueeze.validation.injection import all_slopes, slopes_of
from fairsqueeze.validation.sensitivity import DoseResponse, dose_responses


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama", "causal")


NAMES = ("measurable", "sensitive", "precise", "reliable", "spelling", "no reward", "complete")


def graded(**passed):
    """The grade where all criteria are passed but those named, with `_` for a blank."""
    found = {n.replace(" ", "_"): Criterion(n, True, "") for n in NAMES}
    return grade_of([replace(c, passed=passed.get(n, True)) for n, c in found.items()])


def test_grades_by_their_rule():
    assert graded() == "A"
    assert graded(precise=False) == "B"
    assert graded(precise=False, spelling=False) == "C"
    assert graded(precise=False, spelling=False, reliable=False) == "D"
    assert graded(precise=False, spelling=False, reliable=False, complete=False) == "D"
    assert graded(measurable=False) == graded(sensitive=False, precise=False) == NOT_USABLE


@pytest.mark.parametrize("name", ["measurable", "sensitive", "precise", "no_reward"])
@pytest.mark.parametrize("others", [{}, {"reliable": False}, {"reliable": None, "complete": False}])
def test_what_is_undecided_never_raises_a_grade(name, others):
    order = "ABCDn"
    undecided, failed, passed = (order.index(graded(**others, **{name: v})[0]) for v in (None, False, True))
    assert passed <= undecided == failed


def test_what_does_not_apply_counts_neither_way():
    criteria = [Criterion("measurable", True, ""), Criterion("sensitive", True, ""), Criterion("spelling", None, "")]
    criteria.append(Criterion("length and frequency", None, "no options", applies=False))
    assert grade_of(criteria) == "B"
    assert counts_of(criteria) == {"passed": 2, "failed": 0, "undecided": 1, "not_applicable": 1}


def reward_curve(at_ideal=(), **bounds):
    """A curve whose scores have rewards with these intervals; None is undefined."""
    rewards = {
        name: RandomnessReward(None, None, None, 5, 5, "the parent's score does not differ from its ideal")
        if b is None
        else RandomnessReward(sum(b) / 2, *b, 5, 5)
        for name, b in bounds.items()
    }
    points = [Point(0.0, n, 0.0 if n in at_ideal else 0.1, None, None, "ok", 0.0, None) for n in rewards]
    return Curve((0.0,), tuple(points), rewards)


@pytest.mark.parametrize(
    ("bounds", "passed"),
    [
        ((-0.1, 0.1), True),
        ((0.05, 0.15), True),  # surely something, and surely negligible
        ((0.5, 1.2), False),
        ((0.05, 0.4), False),
        ((-0.62, 1.32), None),  # StereoSet on 120 items: too few to tell
        (None, None),
    ],
)
def test_a_wide_interval_does_not_show_that_damage_earns_nothing(bounds, passed):
    assert _no_reward(reward_curve(ss=bounds)).passed is passed
    assert _no_reward(reward_curve(ss=bounds, lms=(-1.0, -0.5))).passed is passed


def test_single_tests_of_many_and_scores_at_their_ideal_do_not_decide_whether_damage_is_rewarded():
    assert _no_reward(reward_curve(mean_abs_effect=(-0.1, 0.1), **{"effect_size:weat6": (0.8, 1.0)})).passed is True
    assert _no_reward(reward_curve(mean_abs_effect=(0.4, 0.6), corrected_bias=(-0.1, 0.1))).passed is False
    assert _no_reward(reward_curve(at_ideal=("share_ties",), ss=(-0.1, 0.1), share_ties=None)).passed is True
    alone = _no_reward(reward_curve(**{"effect_size:weat6": (0.8, 1.0)}))
    assert (alone.passed, alone.applies) == (None, False)


@pytest.mark.parametrize(
    ("low", "high", "passed"),
    [(-0.05, 0.08, True), (0.01, 0.05, True), (0.02, 0.2, False), (-0.3, 0.2, None), (None, None, None)],
)
def test_a_wide_interval_does_not_show_that_spelling_changes_nothing(low, high, passed):
    wide = {"value": None if low is None else (low + high) / 2, "low": low, "high": high, "reason": "unmeasurable"}
    none = {"value": 0.0, "low": -0.01, "high": 0.01, "reason": ""}
    assert _spelling({"lower_case": none, "leading_space": wide}).passed is passed


def test_sensitivity_is_what_guessing_leaves_of_it():
    def passed(slope=1.0, r2=1.0, low=0.9, high=1.1):
        return _sensitive([DoseResponse("corrected_bias", slope, r2, (low + high) / 2, low, high)]).passed

    assert passed() is True
    assert passed(low=0.4, high=0.6) is False  # half of it is lost, as of a share
    assert passed(low=0.6, high=1.4) is None
    assert passed(slope=0.5) is passed(r2=0.5) is False
    assert _sensitive([]).passed is None


def test_a_control_that_guesses_pass_too_is_not_sensitive(answered, options):
    """A control that is above 0 for a model that guesses: the slope halves, although it is 1 without guesses."""

    def generous(item, answers):
        return [replace(row, control=row.control + 20.0) for row in options.score(item, answers)]

    asked = answered()
    found = []
    for declared in (options, replace(options, score=generous)):
        changed = replace(asked, evaluation=replace(asked.evaluation, declared=declared))
        found.append(_sensitive(dose_responses(changed, all_slopes(changed), seed=0)).passed)
    assert found == [True, False]


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
    found = across_contexts(answered().frame(), seed=0)
    # the made-up neutral scores are all 0, so both contexts say the same
    assert found["alpha"] == pytest.approx(1.0)
    assert found["corrected_bias_by_context"][0] == pytest.approx(found["corrected_bias_by_context"][1])
    assert found["by_context"][0]["low"] < found["corrected_bias_by_context"][0] < found["by_context"][0]["high"]


def test_no_corrected_bias_of_an_unmeasurable_model_is_printed(answered, options):
    asked = answered(means=(0.4, 0.0, 0.2))  # the unrelated text is as likely as the others: no competence
    frame = asked.frame()
    assert np.nanmean(frame["preference"]) > 0.1
    contexts = across_contexts(frame, seed=0)
    assert contexts["corrected_bias_by_context"] == [None, None]
    assert all("no competence is shown" in c["reason"] for c in contexts["by_context"])
    versions = across_frames({"original": frame, "again": frame}, options, seed=0)
    assert versions["values"]["again"]["corrected_bias"] is None
    assert "no competence is shown" in versions["unmeasurable"]["again"]["corrected_bias"]
    assert versions["values"]["again"]["share"] is not None
    change = changes_of({"original": frame, "again": frame}, options, seed=0)["again"]
    assert (change["value"], change["low"]) == (None, None)
    assert "no competence is shown" in change["reason"]
