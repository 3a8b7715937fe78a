"""Paired comparison: pairing, direction, verdicts, smallest detectable effect, flips, multiplicity."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from fairsqueeze.registry import Statistic
from fairsqueeze.stats.flips import flips_of
from fairsqueeze.stats.interval import Interval
from fairsqueeze.stats.multiplicity import adjusted
from fairsqueeze.stats.paired import compare_frames, smallest_detectable
from fairsqueeze.stats.response_models import ResponseModel, guessed, heated

NAN = math.nan


def by_name(comparisons, axis=None):
    return {c.statistic: c for c in comparisons if c.axis == axis}


def model(bias, seed=0, **options):
    return ResponseModel(bias=bias, clusters=200, **options).draw(np.random.default_rng(seed))


@pytest.fixture
def compare(declare, share, frame):
    def run(base, other, **options):
        frames = [frame(s.preference, s.control, cluster=s.cluster) for s in (base, other)]
        return by_name(compare_frames(*frames, declare(share), seed=0, replicates=800, **options))

    return run


def shifted(scores, by):
    return type(scores)(scores.preference + by, scores.control, scores.cluster)


def test_a_model_against_itself_shows_no_change(compare):
    found = compare(model(0.3), model(0.3))
    assert {c.verdict for c in found.values()} == {"no detectable change"}
    assert found["corrected_bias"].difference == 0.0
    assert found["corrected_bias"].flips.share == 0.0


def test_pairing_removes_what_both_models_share(compare):
    base = model(0.3)
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(base.cluster))
    found = compare(base, shifted(base, 0.1 + noise))["preference"]
    assert found.difference == pytest.approx(0.1, abs=0.002)
    assert 0 < found.high - found.low < 0.003


def test_clusters_that_all_differ_alike_are_no_certainty(declare, share, frame):
    # 5 clusters of 4 items, in each of which one item of four changes sides
    signs = np.array([1.0, 1.0, 1.0, -1.0] * 5)
    base = frame(signs, np.ones(20), cluster=np.arange(20) // 4)
    other = frame(np.where(np.arange(20) % 4 == 0, -1.0, signs), np.ones(20), cluster=np.arange(20) // 4)
    found = by_name(compare_frames(base, other, declare(share), seed=0, replicates=100))["share_stereotypical"]
    assert found.difference == -0.25
    assert (found.low, found.high, found.p, found.verdict) == (None, None, None, "unmeasurable")
    assert "nothing shows how it varies" in found.reason


@pytest.mark.parametrize(
    ("bias", "by", "verdict"),
    [(0.4, 0.5, "worse"), (0.4, -0.3, "better"), (-0.4, -0.5, "worse"), (-0.4, 0.3, "better"), (0.4, -1.5, "worse")],
)
def test_worse_means_farther_from_the_ideal_on_either_side(compare, bias, by, verdict):
    base = model(bias)
    noise = 0.3 * np.random.default_rng(1).standard_normal(len(base.cluster))
    found = compare(base, shifted(base, by + noise))
    assert found["corrected_bias"].verdict == verdict
    assert found["preference"].verdict == verdict


def test_a_bias_that_went_through_the_ideal_and_out_again_is_changed_not_better(compare):
    base = model(0.4)
    noise = 0.3 * np.random.default_rng(1).standard_normal(len(base.cluster))
    mirrored = shifted(base, -2 * base.preference.mean() + noise - noise.mean())
    assert compare(base, mirrored)["corrected_bias"].verdict == "changed"


def test_damage_that_keeps_corrected_bias_is_no_detectable_change_of_it_but_a_loss_of_competence(compare):
    base = model(0.9)
    damaged = heated(guessed(base, 0.4, np.random.default_rng(1)), 1.5)
    found = compare(base, damaged)
    assert found["corrected_bias"].verdict == "no detectable change"
    assert found["competence"].verdict == "worse"
    assert found["share_stereotypical"].verdict == "better"  # which is why shares are not enough


def test_a_destroyed_model_is_unmeasurable_and_never_better(compare):
    found = compare(model(0.4), model(0.0, seed=3, competence=0.0))
    for name in ("corrected_bias", "corrected_bias.guessing", "corrected_bias.signal_detection"):
        assert found[name].verdict == "unmeasurable"
        assert (found[name].other, found[name].difference, found[name].p) == (None, None, None)
        assert found[name].base is not None
        assert "other: " in found[name].reason


def test_false_alarms_of_worse_and_better_keep_the_level(declare, share, frame):
    alarms = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        base = ResponseModel(bias=0.3, clusters=50).draw(rng)
        other = guessed(base, 0.0, rng)
        noise = rng.standard_normal(len(base.cluster))
        frames = [frame(s.preference + e, s.control, cluster=s.cluster) for s, e in ((base, 0 * noise), (other, noise))]
        found = by_name(compare_frames(*frames, declare(share), seed=seed, replicates=300))
        alarms += found["corrected_bias"].verdict in ("worse", "better")
    assert alarms <= 14  # 5 % of 120 is 6; more than 14 has a probability below .2 %


def test_a_task_follows_its_better_direction(declare, frame):
    def perplexity(rows, weights):
        return weights @ rows["nll"] / weights.sum(axis=1)

    task = declare(Statistic("nll", perplexity, 0.0, None, None, (0, 99), "lower", needs=("nll",)), role="task")
    rng = np.random.default_rng(0)
    nll = rng.normal(3, 1, 60)
    nothing = [NAN] * 60
    base = frame(nothing, nothing, nll=nll, axis=[None] * 60)
    other = frame(nothing, nothing, nll=nll + rng.normal(0.5, 0.2, 60), axis=[None] * 60)
    (found,) = compare_frames(base, other, task, seed=0, replicates=300)
    assert (found.verdict, found.better, found.flips) == ("worse", "lower", None)
    (found,) = compare_frames(other, base, task, seed=0, replicates=300)
    assert found.verdict == "better"


def test_rows_are_joined_on_item_and_what_one_lacks_is_counted(declare, share, frame):
    base = frame([1.0, 2.0, 3.0, 4.0], [1.0] * 4, item=["a", "b", "c", "d"])
    other = frame([30.0, 10.0, NAN, 5.0], [1.0, 1.0, NAN, 1.0], item=["c", "a", "b", "e"])
    found = by_name(compare_frames(base, other, declare(share), seed=0, replicates=50))
    assert (found["preference"].base, found["preference"].other) == (2.0, 20.0)
    assert (found["preference"].n, found["preference"].n_undefined, found["preference"].n_unpaired) == (2, 1, 2)


def test_values_of_inputs_are_left_alone(declare, share, frame):
    base, other = frame([1.0, NAN, 3.0], [1.0] * 3), frame([1.0, 2.0, NAN], [1.0] * 3)
    compare_frames(base, other, declare(share), seed=0, replicates=50)
    assert other["preference"].tolist()[:2] == [1.0, 2.0]
    assert base["preference"][2] == 3.0


def test_repeated_items_are_paired_in_their_order(declare, share, frame):
    base = frame([1.0, 2.0], [1.0, 1.0], item=["a", "a"])
    other = frame([1.5, 4.0], [1.0, 1.0], item=["a", "a"])
    found = by_name(compare_frames(base, other, declare(share), seed=0, replicates=50))["preference"]
    assert (found.n, found.difference, found.n_unpaired) == (2, 1.25, 0)


def test_p_values_are_holm_corrected_over_axes_and_not_for_the_overall_figure(declare, share, frame):
    rng = np.random.default_rng(0)
    n = 240
    axis = [f"axis{i % 6}" for i in range(n)]
    preference = rng.normal(0.3, 1, n)
    base = frame(preference, np.ones(n) + rng.normal(0, 0.1, n), axis=axis)
    other = frame(preference + rng.normal(0.25, 0.8, n), base["control"], axis=axis)
    found = [c for c in compare_frames(base, other, declare(share), seed=0) if c.statistic == "preference"]
    overall, axes = found[0], found[1:]
    assert overall.p_adjusted == overall.p
    expected = multipletests([c.p for c in axes], method="holm")[1]
    assert [c.p_adjusted for c in axes] == pytest.approx(list(expected))
    assert all(c.verdict == "no detectable change" for c in axes if c.p_adjusted > 0.05)


@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_corrections_agree_with_statsmodels_and_undefined_tests_do_not_count(ours, theirs):
    p = [0.01, 0.04, 0.03, 0.2, 0.005, 0.04]
    assert adjusted(p, ours) == pytest.approx(list(multipletests(p, method=theirs)[1]))
    assert adjusted([0.01, None, 0.04], ours)[1] is None
    assert adjusted([0.01, None], ours)[0] == 0.01


def test_the_smallest_detectable_effect_is_two_point_eight_standard_errors():
    assert smallest_detectable(Interval(-1.96, 1.96, "percentile"), 0.95) == pytest.approx(2.8, abs=0.005)
    assert smallest_detectable(Interval(None, None, "none"), 0.95) is None


def test_the_smallest_detectable_effect_is_found_four_times_out_of_five(declare, share, frame):
    def draw(seed, by):
        rng = np.random.default_rng(seed)
        base = frame(np.zeros(80), np.ones(80))
        other = frame(rng.normal(by, 1, 80), np.ones(80))
        return by_name(compare_frames(base, other, declare(share), seed=seed, replicates=300))["preference"]

    effect = np.mean([draw(s, 0.0).smallest_detectable for s in range(20)])
    found = [draw(s, effect).p <= 0.05 for s in range(100)]
    assert 0.7 <= np.mean(found) <= 0.9


def test_flips_by_hand_with_ties_apart():
    base = np.array([1.0, 1.0, 1.0, -1.0, 0.0, -2.0, NAN, 0.0])
    other = np.array([2.0, -1.0, -3.0, 1.0, 1.0, -1.0, 1.0, 0.0])
    found = flips_of(base, other)
    assert (found.n, found.up, found.down, found.ties) == (7, 1, 2, 1)
    assert found.share == pytest.approx(3 / 7)
    assert found.mcnemar_p == pytest.approx(float(mcnemar([[0, 1], [2, 0]], exact=True).pvalue))


def test_flips_of_a_right_or_wrong_column(declare, frame):
    def accuracy(rows, weights):
        return weights @ rows["correct"] / weights.sum(axis=1)

    task = declare(Statistic("accuracy", accuracy, 1.0, 0.5, None, (0, 1), "higher", needs=("correct",)), role="task")
    nothing = [NAN] * 12
    base = frame(nothing, nothing, correct=np.array([1.0] * 8 + [0.0] * 4))
    other = frame(nothing, nothing, correct=np.array([0.0] * 3 + [1.0] * 6 + [0.0] * 3))
    (found,) = compare_frames(base, other, task, seed=0, replicates=100)
    assert (found.flips.up, found.flips.down) == (1, 3)


def test_json_holds_no_nan(declare, share, frame):
    broken = frame([NAN] * 12, [NAN] * 12)
    found = compare_frames(broken, broken, declare(share), seed=0, replicates=50)
    text = json.dumps([c.to_json() for c in found], allow_nan=False)
    assert '"verdict": "unmeasurable"' in text
    assert by_name(found)["share_stereotypical"].base is None
