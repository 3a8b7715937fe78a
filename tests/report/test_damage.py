"""Both curves: published score and corrected bias against damage, in a study's page and on a report card's."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairsqueeze.errors import StoreError, UnknownName
from fairsqueeze.report.damage import card_curves, competence_lost, study_curves
from fairsqueeze.report.page import render, report_card, report_folder
from fairsqueeze.report.results import Results, Variant, published_scores
from fairsqueeze.report.validation_page import render_card
from fairsqueeze.report.validation_parts import parts_of_card
from fairsqueeze.report.validation_text import validation_text

EVIL = '<script>alert("x")</script>&'
Make = Callable[..., dict[str, Any]]


def point(level: float, statistic: str, value: float | None, half: float = 1.0, ideal: float | None = None) -> dict:
    bounds = (None, None) if value is None else (value - half, value + half)
    known = {"status": "unmeasurable" if value is None else "ok", "ideal": ideal, "chance": None}
    return {"level": level, "statistic": statistic, "value": value, "low": bounds[0], "high": bounds[1], **known}


def scaled(*rejected: str) -> dict[str, Any]:
    names = ("slope_preference", "intercept_preference", "slope_control", "intercept_control", "difference_of_slopes")
    found = [{"name": n, "value": 0.5, "low": 0.4, "high": 0.6, "p_adjusted": 0.01} for n in names]
    return {"coefficients": found, "rejected": list(rejected), "n": 9, "n_control": 9, "n_clusters": 9, "reason": ""}


def made_up_card(measure: str = "stereoset.causal", **more: Any) -> dict[str, Any]:
    """A share that runs to 50 as competence goes, and corrected bias that stays until it is unmeasurable."""
    points = []
    for level, share, competence, bias in ((0.0, 62.0, 6.0, 0.2), (0.2, 56.0, 2.4, 0.21), (0.4, 50.5, 0.1, None)):
        points += [
            point(level, "lm_score", 50 + 6 * competence, ideal=100.0),
            point(level, "ss", share, 2.0, 50.0),
            point(level, "competence", competence, 0.3),
            point(level, "corrected_bias", bias, 0.1, 0.0),
            point(level, "corrected_bias.prior", bias, 0.05, 0.0),
        ]
    anchor = {"statistic": "ss", "value": 62.0, "ideal": 50.0, "chance": 50.1, "constant": 0.0}
    half = {"units": "group", "halves": "clusters", "found": {"value": 0.8, "low": 0.5, "high": 0.9}}
    versions = {"alpha": 0.9, "values": {"original": {"corrected_bias": 0.2}}}
    reward = {"statistic": "ss", "value": 0.9, "low": 0.5, "high": 1.2, "n": 2, "n_clusters": 2, "reason": ""}
    card = {
        "schema": "fairsqueeze.validation/1",
        "measure": {"name": measure, "parameters": {"seed": 1}, "version": 1, "control": "the unrelated option"},
        "model": {"reference": "builtin:small", "id": "ab" * 16, "kind": "causal"},
        "grade": "B",
        "criteria": [{"name": "measurable", "passed": True, "says": "corrected bias 0.200"}],
        "anchors": [{**anchor, "floor": 0.0, "ceiling": 100.0, "chance_declared": 50.0, "constant_declared": 0.0}],
        "estimates": [],
        "reliability": {
            "split_half": half,
            "neutral_contexts": None,
            "templates": None,
            "spelling": versions,
            "noise_seeds": {"level": 0.1, **versions},
        },
        "sensitivity": [],
        "smallest_detectable": [],
        "randomness_reward": [reward],
        "weight_noise": points,
        "scaling": [{"level": 0.4, "form": "corrected_bias", **scaled("intercept_control", "difference_of_slopes")}],
        "dependence": [],
        "losses": {"n_rows": 10, "n_undefined": 1, "n_ties": 0, "reasons": {"broken": 1}},
        "criticisms": ["it is made up"],
        "warnings": [],
        "provenance": {"command": "fairsqueeze validate", "seed": 0, "limit": 40, "data": {"stereoset": "cd" * 32}},
    }
    return {**card, **more}


def test_published_scores_are_those_of_bias_with_an_ideal() -> None:
    names = ("lm_score", "accuracy_ambiguous", "bias_ambiguous", "preference", "corrected_bias", "effect_size:weat1")
    rows = [{"statistic": n, "ideal": 0.0} for n in names] + [{"statistic": "p_value", "ideal": None}]
    assert published_scores(rows) == ["bias_ambiguous"]


def test_damage_of_a_study_is_the_share_of_competence_that_is_gone(estimate: Make) -> None:
    def variant(label: str, kind: Any, competence: float | None) -> Variant:
        row = estimate("m", "competence", competence, status="undefined" if competence is None else "ok")
        return Variant(label, kind, {"model": {"reference": label}, "estimates": [row]})

    models = [variant("a", "dense", 4.0), variant("b", "compressed", 1.0), variant("c", "compressed", None)]
    lost = competence_lost(Results("", "", models), models[0], "m", "competence")
    assert lost == {"a": 0.0, "b": 75.0, "c": None}
    without = competence_lost(Results("", "", models[1:]), variant("x", "dense", -1.0), "m", "competence")
    assert set(without.values()) == {None}


def test_a_study_shows_the_published_score_beside_corrected_bias_and_says_both_in_words(results: Results) -> None:
    published, corrected = study_curves(results, "stereoset.causal")
    assert (published.name, corrected.name) == (
        "stereoset.causal.ss.by_damage",
        "stereoset.causal.corrected_bias.prior.by_damage",
    )
    assert "dense (0.0 % of competence lost): 61.3 [59.2, 63.4]" in published.alt
    assert re.search(r"magnitude\.linear 70 % \(9\d\.\d+ % of competence lost\): unmeasurable", corrected.alt)
    assert "random (99.6 % of competence lost): unmeasurable" in corrected.alt
    page = render(results)
    assert page.count("by competence lost. dense (0.0 %") == 4  # two curves of two measures


def test_each_dense_model_has_curves_of_its_own(results: Results) -> None:
    def renamed(variant: Variant, model: str) -> Variant:
        old = variant.audit["model"]["reference"]
        own = f"{model} > {old}" if variant.kind == "compressed" else f"reference:random:{model}"
        reference = model if variant.kind == "dense" else own
        audit = {**variant.audit, "model": {**variant.audit["model"], "reference": reference}}
        return dataclasses.replace(variant, label=f"{model}: {variant.label}", audit=audit)

    two = [renamed(v, model) for model in ("one", "two") for v in results.variants if v.label != "random.linear 40 %"]
    figures = list(study_curves(Results("", "", two), "stereoset.causal"))
    assert len(figures) == len({f.name for f in figures}) == 4
    assert "two:" not in figures[0].alt
    assert "one:" not in figures[2].alt


def test_nothing_is_drawn_where_nothing_was_damaged(results: Results) -> None:
    alone = Results("", "", results.variants[:1])
    assert list(study_curves(alone, "stereoset.causal")) == []
    assert list(study_curves(results, "perplexity")) == []


def test_a_card_has_a_curve_of_each_published_score_and_one_of_corrected_bias_in_all_forms() -> None:
    published, corrected = card_curves(made_up_card())
    assert published.alt == (
        "StereoSet (causal) under noise. stereotype score SS, noise 0: 62.0 [60.0, 64.0]; "
        "noise 0.2: 56.0 [54.0, 58.0]; noise 0.4: 50.5 [48.5, 52.5]."
    )
    assert corrected.alt.count("noise 0.4: unmeasurable") == 2
    drawn = json.dumps(corrected.chart.to_dict(validate=False))
    assert "hollow: unmeasurable" in drawn
    assert "corrected bias (prior-corrected)" in drawn


def test_text_and_page_tell_the_same_parts() -> None:
    card = made_up_card()
    text, page = validation_text(card), render_card(card)
    assert "StereoSet (causal) on builtin:small: grade B" in text
    assert "StereoSet (causal) on builtin:small: grade B" in page
    for part in parts_of_card(card):
        assert part.title in text
        assert part.title in page
    for wanted in (
        "0.210 [0.110, 0.310]",
        "unmeasurable",
        "it is made up",
        "1 × broken",
        "intercept control, difference of slopes",
    ):
        assert wanted in text
        assert wanted in page
    for wanted in ("ab" * 16, "cd" * 32, "fairsqueeze validate"):
        assert wanted in page
    assert page.count("<svg") == page.count('role="img"') == 2
    assert page.count("<table") == page.count("<caption>")
    assert render_card(card) == page
    assert not re.search(r"\b(nan|None|null)\b", re.sub(r"<[^>]*>", " ", page))


def test_scores_that_the_items_do_not_ask_for_are_counted_and_left_out() -> None:
    card = made_up_card()
    nothing = dict.fromkeys(("value", "chance", "constant", "floor", "ceiling"))
    card["anchors"].append({"statistic": "other_test", "ideal": 0.0, **nothing})
    card["randomness_reward"].append({**card["randomness_reward"][0], "statistic": "other_test", "value": None})
    text = validation_text(card)
    assert "other test" not in text
    assert "1 more are undefined throughout" in text


def test_a_card_is_escaped_wherever_it_comes_from() -> None:
    criteria = [{"name": EVIL, "passed": False, "says": EVIL}]
    card = made_up_card(EVIL, grade=EVIL, criteria=criteria, criticisms=[EVIL], warnings=[EVIL])
    card["model"]["reference"] = card["measure"]["control"] = card["provenance"]["command"] = EVIL
    card["weight_noise"] = [{**p, "statistic": EVIL} if p["statistic"] == "ss" else p for p in card["weight_noise"]]
    page = render_card(card)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_folder_of_a_validation_gives_its_card(tmp_path: Path) -> None:
    (tmp_path / "validation.json").write_text(json.dumps(made_up_card()), encoding="utf-8")
    path = report_folder(tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == render_card(made_up_card())
    drawn = report_folder(tmp_path, format="figures", out=tmp_path / "drawn")
    assert sorted(p.name for p in drawn.iterdir()) == [
        "stereoset.causal.corrected_bias.under_noise.png",
        "stereoset.causal.corrected_bias.under_noise.svg",
        "stereoset.causal.ss.under_noise.png",
        "stereoset.causal.ss.under_noise.svg",
    ]
    with pytest.raises(UnknownName, match="latex"):
        report_folder(tmp_path, format="latex")
    with pytest.raises(StoreError, match="is no report card"):
        report_card({"schema": "other"}, out=tmp_path / "x.html")
    with pytest.raises(StoreError, match="holds no audit"):
        report_folder(tmp_path / "drawn")
