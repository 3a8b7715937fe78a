"""Wordings as parallel forms: who is stereotyped in one should be in the others."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.items import Item, Row
from fairsqueeze.registry import measures
from fairsqueeze.stats.reliability import cronbach_alpha
from fairsqueeze.validation.templates import across_templates, between_units, template_of

LIST = [[1.0, 2.0, 3.0], [2.0, 2.0, 5.0], [6.0, 7.0, 5.0], [3.0, 3.0, 3.0]]


def frame_of(means):
    cells = [(u, t, v) for u, row in enumerate(means) for t, v in enumerate(row) if not np.isnan(v)]
    texts = {name: np.array([f"{name}"] * len(cells), dtype=object) for name in ("axis", "group")}
    units = np.array([f"word {u}" for u, _, _ in cells], dtype=object)
    frame = {**texts, "cluster": units, "preference": np.array([v for _, _, v in cells])}
    return frame, np.array([f"template {t}" for _, t, _ in cells])


def test_by_hand():
    # unit means 2, 3, 6, 3 of mean 3.5: between 3·(2.25 + .25 + 6.25 + .25) / 3 = 9; within (2 + 6 + 2 + 0) / 8 = 1.25
    assert between_units(np.array(LIST)) == pytest.approx(1 - 1.25 / 9)
    found = across_templates(*frame_of(LIST))
    assert found["between_units"] == pytest.approx(1 - 1.25 / 9)
    assert found["alpha"] == pytest.approx(cronbach_alpha(np.array(LIST)))
    assert (found["n_templates"], found["n_units"], found["n_complete"]) == (3, 4, 3)


def test_units_may_have_templates_of_their_own():
    means = np.full((4, 8), np.nan)
    for unit, row in enumerate(LIST):
        means[unit, 2 * unit : 2 * unit + 2] = row[:2]
    found = across_templates(*frame_of(means))
    assert (found["n_templates"], found["n_complete"], found["alpha"]) == (8, 0, None)
    # unit means 1.5, 2, 6.5, 3 of mean 3.25; within (.5 + 0 + .5 + 0) / 4
    assert found["between_units"] == pytest.approx(1 - 0.25 / (2 * (1.75**2 + 1.25**2 + 3.25**2 + 0.25**2) / 3))


def test_templates_that_agree_on_everything_and_on_nothing():
    rng = np.random.default_rng(0)
    same = np.repeat(rng.normal(size=(50, 1)), 4, axis=1)
    assert between_units(same) == 1.0
    assert abs(between_units(rng.normal(size=(2000, 4)))) < 0.1


def test_where_there_are_no_templates_or_too_few_units_nothing_is_said():
    frame, templates = frame_of(LIST)
    assert across_templates(frame, None) is None
    assert across_templates(frame, np.full(len(templates), "")) is None
    assert across_templates(*frame_of(LIST[:2])) is None
    assert between_units(np.array([[1.0], [2.0], [3.0]])) is None
    assert between_units(np.ones((3, 2))) is None


def test_the_template_of_a_row_is_known_for_the_measures_that_have_some():
    test = next(i for i in measures.get("seat.mean").items({}, tests="bias_bench") if i.axis == "gender")
    sentence, word = test.content["X"][0], test.content["words"]["X"][0]
    row = Row(f"{test.id}:{sentence}", "gender", "g", word)
    assert template_of(test, row) == sentence.replace(word, "…") != sentence
    bare = Item("weat6", "gender", "g", "weat6", {})
    assert template_of(bare, Row("weat6:John", "gender", "g", "John")) == ""
    nli = next(
        i for i in measures.get("bias_nli").items({}, axes="gender", pairs=60, seed=0) if "template" in i.content
    )
    assert template_of(nli, Row(nli.id, nli.axis, nli.group, nli.cluster)) == f"template {nli.content['template']}"
