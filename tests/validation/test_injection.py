"""A bias of known size can be put into answers, and is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fairsqueeze.engine.requests import Outputs, Vector
from fairsqueeze.items import Item
from fairsqueeze.registry import measures
from fairsqueeze.stats.bootstrap import clusters_of
from fairsqueeze.study.evaluation import Evaluation
from fairsqueeze.validation.asked import Asked
from fairsqueeze.validation.card import anchors_of
from fairsqueeze.validation.dependence import on_frequency, on_length, on_order
from fairsqueeze.validation.injection import all_slopes, can_be_injected, injected, slopes_of
from fairsqueeze.validation.sensitivity import dose_responses, line


def test_the_options_that_a_preference_depends_on_are_found(answered):
    (found,) = slopes_of(answered(), 0)
    assert {name: float(s[0]) for name, s in found.items()} == pytest.approx({"s": 1.0, "a": -1.0})


def test_a_shift_moves_every_preference_by_itself_and_no_control(answered):
    asked = answered()
    before, after = asked.frame(), injected(asked, 0.7).frame()
    assert after["preference"] - before["preference"] == pytest.approx(0.7)
    assert after["control"] == pytest.approx(before["control"])
    assert after["preference_prior"] - before["preference_prior"] == pytest.approx(0.7)


def test_a_preference_in_probabilities_is_reached_by_correcting_the_step(options):
    def score(item, answers):
        """Probability of the first label."""
        p = float(answers["x"].probabilities[0])
        return [item.row(p - 0.5, 0.4, answer={"p": p}, n_tokens=1)]

    declared = replace(options, score=score, statistics=())
    items = tuple(Item(f"{k}", "one", "g", f"{k}", {}) for k in range(5))
    answers = tuple({"x": Outputs(np.array([0.2 * k, 0.0, -0.5]), ("a", "b", "c"))} for k in range(5))
    asked = Asked(Evaluation(declared, {}, items, 5, "made up", {}), answers)
    before, after = asked.frame(), injected(asked, 0.1).frame()
    assert after["preference"] - before["preference"] == pytest.approx(0.1, abs=1e-3)


def test_vectors_are_turned_until_every_preference_has_moved_and_controls_stay():
    asked = association_tests()
    assert can_be_injected(asked) == ""
    before, after = asked.frame(), injected(asked, 0.05).frame()
    own = ~np.isnan(before["preference"])
    assert (after["preference"] - before["preference"])[own] == pytest.approx(0.05, abs=1e-6)
    assert after["control"][~own] == pytest.approx(before["control"][~own])
    for name in ("X", "Y"):  # a turn keeps lengths, and the attributes as they are
        old, new = (asked.answers[2], injected(asked, 0.05).answers[2])
        for text in asked.evaluation.items[2].content[name]:
            assert np.linalg.norm(new[text].values) == pytest.approx(np.linalg.norm(old[text].values), rel=1e-6)
    found = {d.statistic: d for d in dose_responses(asked, all_slopes(asked), seed=0)}
    assert found["corrected_bias"].slope == pytest.approx(1.0, abs=1e-4)
    assert found["corrected_bias"].r2 == pytest.approx(1.0, abs=1e-6)
    assert found["effect_size:weat6"].slope > 0


def test_vectors_turn_no_further_than_to_the_attributes():
    asked = association_tests()
    far, farther = (injected(asked, shift).frame()["s"] for shift in (50.0, 100.0))
    assert far == pytest.approx(farther, abs=1e-6)
    anchors = {a["statistic"]: a for a in anchors_of(asked, all_slopes(asked), asked.evaluation.declared, seed=0)}
    assert anchors["effect_size:weat6"]["ceiling"] == pytest.approx(2.0, abs=0.1)
    assert anchors["effect_size:weat6"]["floor"] == pytest.approx(-2.0, abs=0.1)


def association_tests():
    """The vectors of WEAT 1, 2 and 6, drawn; targets of the controls lean to their attributes."""
    declared = measures.get("weat")
    items = [i for i in declared.items({}, tests="caliskan") if i.id in ("weat1", "weat2", "weat6")]
    rng = np.random.default_rng(0)
    lean = {"X": 1.0, "A": 1.0, "Y": -1.0, "B": -1.0}
    answers = []
    for item in items:
        width = 8 if item.axis else 3
        texts = {t: lean[s] if item.axis is None else 0.0 for s in lean for t in item.content[s]}
        shift = np.eye(width)[0]
        answers.append({t: Vector(np.float32(2 * a * shift + rng.standard_normal(width))) for t, a in texts.items()})
    return Asked(Evaluation(declared, {"sd": "sample"}, tuple(items), 3, "made up", {}), tuple(answers))


def test_corrected_bias_finds_what_was_put_in_before_and_after_guessing_and_a_share_loses_half(answered):
    asked = answered(spread=0.8)
    found = {d.statistic: d for d in dose_responses(asked, all_slopes(asked), seed=0)}
    assert found["corrected_bias"].slope == pytest.approx(1.0)
    assert found["corrected_bias"].r2 == pytest.approx(1.0)
    assert found["corrected_bias"].kept == pytest.approx(1.0, abs=0.25)
    assert found["share"].slope > 20
    assert found["share"].kept == pytest.approx(0.5, abs=0.15)


def test_no_competence_no_doses(answered):
    asked = answered((0.0, 0.0, 3.0))
    assert dose_responses(asked, all_slopes(asked), seed=0) == []


def test_a_line_by_hand():
    assert line([0, 1, 2], [1, 3, 5]) == pytest.approx((2.0, 1.0))
    assert line([0, 1, 2], [1.0, 1.0, 1.0]) == (0.0, None)
    assert line([0, 1], [1.0, None]) == (None, None)


def test_dependence_on_length_and_frequency_is_found_where_it_is(answered):
    asked = answered(tokens=2)
    rng = np.random.default_rng(0)
    longer = rng.integers(1, 9, size=len(asked.answers))

    def change(index, answers):
        from fairsqueeze.engine.requests import TokenScores

        n = int(longer[index])
        return {**answers, "s": TokenScores(np.full(n, -0.5))}

    asked = asked.changed(change)
    frame, slopes = asked.frame(), all_slopes(asked)
    found = on_length(asked, frame, slopes, seed=0)
    assert found.high < -0.4
    assert found.n == len(asked.answers)
    assert on_frequency(frame, seed=0).reason == "it does not vary"
    assert "no order" in on_order(frame, seed=0).reason
    assert clusters_of(frame["cluster"]).count > 10


def test_a_measure_of_vectors_says_that_nothing_can_be_put_in(answered):
    from fairsqueeze.engine.requests import Vector

    asked = answered().changed(lambda _, answers: {"x": Vector(np.ones(3, dtype=np.float32))})
    assert "vectors" in can_be_injected(asked)


def test_items_with_too_many_numbers_and_items_without_a_preference_say_so(answered, options):
    asked = answered()
    wide = asked.changed(lambda _, answers: {**answers, "x": Outputs(np.zeros(401), ())})
    assert "more than 400 numbers" in can_be_injected(wide)

    def score(item, answers):
        """A control only."""
        return [item.row(None, 1.0, answer={}, n_tokens=1)]

    declared = replace(options, score=score, statistics=())
    controls = Asked(replace(asked.evaluation, declared=declared), asked.answers)
    assert can_be_injected(controls) == "no row has a preference"
