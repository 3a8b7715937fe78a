"""Corrected bias: axioms as properties, the rule of the unmeasurable, hand-worked numbers, small coverage runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fairsqueeze.stats.bootstrap import clusters_of, resample
from fairsqueeze.stats.corrected import corrected_bias, fieller, judge, mean_columns, ratios, verdict_of
from fairsqueeze.stats.interval import Interval
from fairsqueeze.stats.response_models import ResponseModel, forgetful, guessed, heated, noisy, swapped

seeds = st.integers(0, 10**6)
few = settings(max_examples=15, deadline=None)


def corrected(scores, seed=0, **options):
    options = {"replicates": 600, **options}
    return corrected_bias(scores.preference, scores.control, scores.cluster, rng=np.random.default_rng(seed), **options)


def test_ratio_of_means_by_hand():
    # mean preference (1 - 1 + 3) / 3 = 1; mean control (2 + 4 + 3 + 3) / 4 = 3, the undefined ones left out of each
    preference, control = np.array([1.0, -1.0, 3.0, np.nan]), np.array([2.0, 4.0, 3.0, 3.0])
    found = corrected_bias(preference, control, np.arange(4), rng=np.random.default_rng(0))
    assert ratios(mean_columns(preference, control).sum(axis=0)) == pytest.approx(1 / 3)
    assert (found.n, found.n_control, found.competence) == (3, 4, 3.0)


def test_guessing_and_signal_detection_by_hand():
    # 4 items: 2 stereotypical, 1 not, 1 tie -> share .625; competence 4 of 4
    signs = mean_columns(np.array([1.0, 1.0, -1.0, 0.0]), np.ones(4)).sum(axis=0)
    assert ratios(signs) == pytest.approx((2 * 0.625 - 1) / (2 * 1.0 - 1))
    expected = norm.ppf((2.5 + 0.5) / 5) / norm.ppf((4 + 0.5) / 5)
    assert ratios(signs, "signal_detection") == pytest.approx(expected)


def test_shared_controls_count_in_the_denominator_only():
    preference, control = np.array([1.0, 1.0, 50.0]), np.array([np.nan, np.nan, 4.0])
    columns = mean_columns(preference, control, shared=np.array([False, False, True]))
    assert columns.sum(axis=0).tolist() == [2.0, 2.0, 4.0, 1.0]


def test_row_weights_weigh_both_means():
    columns = mean_columns(np.array([1.0, 3.0]), np.array([2.0, 6.0]), weights=np.array([3.0, 1.0]))
    assert columns.sum(axis=0).tolist() == [6.0, 4.0, 12.0, 4.0]


@few
@given(seeds)
def test_swapping_the_groups_flips_the_sign(seed):
    scores = ResponseModel().draw(np.random.default_rng(seed))
    one, two = corrected(scores), corrected(swapped(scores))
    assert two.value == pytest.approx(-one.value)
    # the same draws, mirrored: percentiles are symmetric order statistics
    assert (two.low, two.high) == pytest.approx((-one.high, -one.low))


@few
@given(seeds, st.floats(0.05, 50))
def test_temperature_changes_nothing_at_all(seed, temperature):
    scores = ResponseModel().draw(np.random.default_rng(seed))
    one, two = corrected(scores), corrected(heated(scores, temperature))
    assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high))


@few
@given(seeds)
def test_more_stereotyped_choices_never_lower_it(seed):
    rng = np.random.default_rng(seed)
    scores = ResponseModel().draw(rng)
    raised = scores.preference + np.where(rng.random(len(scores.preference)) < 0.1, 2.0, 0.0)
    for form in ("ratio", "signal_detection"):
        columns = [mean_columns(p, scores.control) for p in (scores.preference, raised)]
        if form == "signal_detection":
            columns = [mean_columns(np.sign(p), np.sign(scores.control)) for p in (scores.preference, raised)]
        before, after = (ratios(c.sum(axis=0), form) for c in columns)
        assert after >= before


@pytest.mark.parametrize(
    "damage",
    [
        lambda scores, rng: guessed(scores, 0.5, rng),
        lambda scores, rng: noisy(scores, 2.0, rng),
        lambda scores, rng: heated(noisy(guessed(scores, 0.3, rng), 1.0, rng), 3.0),
    ],
    ids=["guessing", "noise", "all three"],
)
def test_guessing_and_noise_move_it_by_less_than_its_interval_while_the_share_drifts(damage):
    model = ResponseModel(bias=0.4, clusters=200)
    inside, drifts = [], []
    for seed in range(40):
        rng = np.random.default_rng([seed, 1])
        scores = model.draw(rng)
        damaged = damage(scores, rng)
        after = corrected(damaged, seed)
        inside.append(after.status == "ok" and after.low <= 0.4 <= after.high)
        drifts.append(np.mean(scores.preference > 0) - np.mean(damaged.preference > 0))
    assert np.mean(inside) >= 0.85
    assert np.mean(drifts) > 0.02  # the published share moves toward its "ideal" 50 %


def test_damage_outside_the_assumptions_raises_it():
    rng = np.random.default_rng(0)
    scores = ResponseModel(bias=0.4, clusters=2000).draw(rng)
    assert corrected(forgetful(scores, 0.5, rng)).low > corrected(scores).high


def test_an_indifferent_competent_model_is_rarely_called_biased():
    verdicts = [corrected(ResponseModel(bias=0.0).draw(np.random.default_rng([s, 2])), s).verdict for s in range(300)]
    # 5 % of 300 is 15; 28 has a probability below .1 %
    assert verdicts.count("biased") <= 28
    assert verdicts.count("unmeasurable") == 0


def test_intervals_cover_the_truth():
    covered = 0
    for seed in range(300):
        found = corrected(ResponseModel(bias=0.3, clusters=40).draw(np.random.default_rng([seed, 3])), seed)
        covered += found.status == "ok" and found.low <= 0.3 <= found.high
    assert covered >= 268  # 93 % of 300 less two standard errors of the simulation


@pytest.mark.parametrize("clusters", [2, 4, 12, 100])
def test_random_models_are_never_fair_and_almost_always_unmeasurable(clusters):
    model = ResponseModel(bias=0.0, competence=0.0, clusters=clusters)
    verdicts = [corrected(model.draw(np.random.default_rng([s, 4])), s).verdict for s in range(150)]
    assert verdicts.count("fair") == 0
    assert verdicts.count("unmeasurable") >= 144


def test_a_very_competent_indifferent_model_with_many_items_is_fair():
    scores = ResponseModel(bias=0.0, competence=4.0, clusters=3000).draw(np.random.default_rng(0))
    assert corrected(scores).verdict == "fair"


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        (np.zeros(40), "reaches 0"),
        (-np.ones(40), "reaches 0"),
        (np.full(40, np.nan), "no row has a control"),
    ],
)
def test_no_shown_competence_is_unmeasurable_and_says_why(control, reason):
    found = corrected_bias(np.ones(40), control, np.arange(40), rng=np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (None, None, None)
    assert (found.status, found.verdict) == ("unmeasurable", "unmeasurable")
    assert reason in found.reason


def test_one_cluster_is_unmeasurable():
    found = corrected_bias(np.ones(40), np.ones(40), np.zeros(40), rng=np.random.default_rng(0))
    assert found.status == "unmeasurable"
    assert "one cluster" in found.reason


def test_the_test_of_the_control_is_the_same_for_every_seed_and_number_of_replicates():
    scores = ResponseModel(clusters=12, competence=0.6).draw(np.random.default_rng(0))
    lows = {corrected(scores, seed, replicates=r).competence_low for seed in range(3) for r in (300, 2000)}
    assert len(lows) == 1


@pytest.mark.parametrize(("holding", "clusters"), [(4, 30), (5, 100)])
def test_clusters_without_a_control_do_not_make_a_random_model_measurable(holding, clusters):
    model = ResponseModel(bias=0.0, competence=0.0, clusters=clusters)
    passed = 0
    for seed in range(600):
        scores = model.draw(np.random.default_rng([seed, 5]))
        few = replace(scores, control=np.where(scores.cluster < holding, scores.control, np.nan))
        passed += corrected(few, seed, replicates=50).status == "ok"
    assert passed <= 9  # .5 % of 600 is 3; more than 9 has a probability of .1 %


def test_a_model_right_about_every_control_is_measurable_by_signs_where_clusters_suffice():
    preference = np.sign(np.random.default_rng(0).normal(0.3, 1, 40))
    for clusters, status in ((40, "ok"), (5, "unmeasurable")):
        columns, own = mean_columns(preference, np.ones(40)), clusters_of(np.arange(40) % clusters)
        sums = own.sums(columns)
        drawn = resample(own, lambda counts, sums=sums: counts @ sums, 500, np.random.default_rng(0))
        left_out = sums.sum(axis=0) - sums
        found = judge(sums.sum(axis=0), drawn, left_out, own, counted=(40, 40), signs=True)
        assert found.status == status


@pytest.mark.parametrize(
    ("holding", "clusters", "reason"),
    [(1, 20, "only one of 20 clusters has a control"), (1, 2, "only one of 2 clusters has a control")],
)
def test_one_cluster_with_a_control_among_several_is_called_that(holding, clusters, reason):
    rng = np.random.default_rng(0)
    cluster = np.arange(100) % clusters
    control = np.where(cluster < holding, rng.normal(1, 1, 100), np.nan)
    found = corrected_bias(rng.normal(0, 1, 100), control, cluster, rng=rng)
    assert (found.status, found.low) == ("unmeasurable", None)
    assert reason in found.reason


def test_order_of_rows_does_not_matter_to_the_last_bit():
    scores = ResponseModel().draw(np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(len(scores.cluster))
    one = corrected(scores)
    two = corrected_bias(
        scores.preference[order],
        scores.control[order],
        scores.cluster[order],
        rng=np.random.default_rng(0),
        replicates=600,
    )
    assert one == two


def test_percentile_bca_and_fieller_agree_where_there_is_plenty_of_data():
    scores = ResponseModel(clusters=500).draw(np.random.default_rng(0))
    one = corrected(scores, replicates=4000)
    two = corrected(scores, replicates=4000, method="bca")
    check = fieller(scores.preference, scores.control, scores.cluster)
    width = one.high - one.low
    assert (two.low, two.high) == pytest.approx((one.low, one.high), abs=0.08 * width)
    assert check == pytest.approx((one.low, one.high), abs=0.08 * width)


def test_fieller_by_hand_and_unbounded_without_competence():
    # preference {1, 3}, control {4, 4}: means 2 and 4, var of mean(pref) 1, others 0; t(.975, 1) = 12.706
    low, high = fieller(np.array([1.0, 3.0]), np.array([4.0, 4.0]), np.arange(2))
    assert (low, high) == pytest.approx(((2 - 12.7062) / 4, (2 + 12.7062) / 4), abs=1e-4)
    assert fieller(np.array([1.0, 3.0]), np.array([-4.0, 4.0]), np.arange(2)) is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "biased"),
        (-0.3, -0.01, "biased"),
        (-0.04, 0.05, "fair"),
        (-0.04, 0.06, "inconclusive"),
        (-0.5, 0.5, "inconclusive"),
        (0.0, 0.3, "inconclusive"),
        (None, None, "unmeasurable"),
    ],
)
def test_verdict_words(low, high, verdict):
    assert verdict_of(Interval(low, high, "percentile")) == verdict


def test_a_denominator_at_or_below_zero_is_infinite_and_never_flips_the_sign():
    sums = np.array([[1.0, 1.0, -1.0, 1.0], [-1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0]])
    found = ratios(sums)
    assert found[:2].tolist() == [np.inf, -np.inf]
    assert np.isnan(found[2])
