"""Estimates of frames: what counts where, shared controls, undefined values, seeds, and JSON without NaN."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fairsqueeze.registry import Statistic
from fairsqueeze.stats.bootstrap import clusters_of, resample
from fairsqueeze.stats.estimate import estimates_of
from fairsqueeze.stats.response_models import ResponseModel

NAN = math.nan


def by_name(estimates, axis=None):
    return {e.statistic: e for e in estimates if e.axis == axis}


@pytest.fixture
def scored(frame):
    """Two axes with different bias."""
    rng = np.random.default_rng(0)
    one = ResponseModel(bias=0.5, clusters=60).draw(rng)
    two = ResponseModel(bias=0.0, clusters=40).draw(rng)
    n = len(one.cluster)
    return frame(
        np.concatenate([one.preference, two.preference]),
        np.concatenate([one.control, two.control]),
        cluster=[f"a{c}" for c in one.cluster] + [f"b{c}" for c in two.cluster],
        axis=["gender"] * n + ["race"] * len(two.cluster),
    )


def test_published_statistics_and_corrected_forms_come_overall_and_per_axis(scored, declare, share):
    found = estimates_of(scored, declare(share), seed=0, replicates=300)
    names = ["share_stereotypical", "preference", "competence", "corrected_bias"]
    names += ["corrected_bias.guessing", "corrected_bias.signal_detection"]
    assert [(e.axis, e.statistic) for e in found] == [(a, s) for a in (None, "gender", "race") for s in names]
    gender = by_name(found, "gender")
    rows = scored["axis"] == "gender"
    assert gender["share_stereotypical"].value == pytest.approx(np.mean(scored["preference"][rows] > 0))
    assert gender["corrected_bias"].value == pytest.approx(
        scored["preference"][rows].mean() / scored["control"][rows].mean()
    )
    assert gender["corrected_bias"].verdict == "biased"
    assert gender["corrected_bias"].n_clusters == 60
    assert gender["share_stereotypical"].n == rows.sum()
    assert all(e.low <= e.value <= e.high for e in found)


def test_the_interval_of_a_published_statistic_is_that_of_a_loop_over_whole_clusters(scored, declare, share):
    found = by_name(estimates_of(scored, declare(share), seed=0, replicates=3000))["share_stereotypical"]
    rng = np.random.default_rng(9)
    chosen = scored["preference"] > 0
    members = [chosen[scored["cluster"] == c] for c in sorted(set(scored["cluster"]))]
    loop = [
        np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))]).mean() for _ in range(3000)
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])), abs=0.006)


def test_shared_controls_serve_every_axis_but_no_preference_and_no_published_statistic(frame, declare, share):
    scored = frame(
        preference=[1.0, 3.0, -2.0, 100.0, 100.0],
        control=[NAN, NAN, NAN, 4.0, 6.0],
        axis=["gender", "gender", "race", None, None],
    )
    found = estimates_of(scored, declare(share), seed=0, replicates=100)
    gender, race = by_name(found, "gender"), by_name(found, "race")
    assert (gender["preference"].value, gender["competence"].value) == (2.0, 5.0)
    assert (race["preference"].value, race["competence"].value) == (-2.0, 5.0)
    assert by_name(found)["share_stereotypical"].value == pytest.approx(2 / 3)
    assert by_name(found)["share_stereotypical"].n == 3
    assert by_name(found)["preference"].value == pytest.approx(2 / 3)
    assert by_name(found)["competence"].n == 2


def test_prior_corrected_columns_get_their_own_forms(scored, declare, share):
    prior = {"preference_prior": 2 * scored["preference"], "control_prior": scored["control"] + 1}
    found = by_name(estimates_of({**scored, **prior}, declare(share), seed=0, replicates=200))
    expected = 2 * scored["preference"].mean() / (scored["control"].mean() + 1)
    assert found["corrected_bias.prior"].value == pytest.approx(expected)
    assert found["competence.prior"].value == pytest.approx(scored["control"].mean() + 1)


def test_undefined_rows_are_counted_and_never_zero(frame, declare, share):
    scored = frame([1.0, NAN, 1.0, NAN], [1.0, NAN, 1.0, 2.0])
    found = by_name(estimates_of(scored, declare(share), seed=0, replicates=50))
    assert found["share_stereotypical"].value == 1.0
    assert (found["share_stereotypical"].n, found["share_stereotypical"].n_undefined) == (2, 2)
    # the second row failed; the fourth is a control only, by design
    assert (found["preference"].n, found["preference"].n_undefined) == (2, 1)
    assert (found["competence"].n, found["competence"].n_undefined) == (3, 1)


def test_nothing_defined_is_undefined_and_unmeasurable_and_json_holds_no_nan(frame, declare, share):
    scored = frame([NAN] * 12, [NAN] * 12)
    found = estimates_of(scored, declare(share), seed=0, replicates=50)
    names = by_name(found)
    assert (names["share_stereotypical"].value, names["share_stereotypical"].status) == (None, "undefined")
    assert (names["corrected_bias"].value, names["corrected_bias"].status) == (None, "unmeasurable")
    assert "NaN" not in json.dumps([e.to_json() for e in found], allow_nan=False)


def test_a_measure_without_a_control_has_no_corrected_form(frame, declare, share):
    scored = frame([1.0] * 12, [NAN] * 12)
    found = by_name(estimates_of(scored, declare(share, control=""), seed=0, replicates=50))
    assert set(found) == {"share_stereotypical", "preference"}


def test_a_task_has_its_published_statistics_only_and_no_axes(frame, declare):
    def accuracy(rows, weights):
        return weights @ rows["correct"] / weights.sum(axis=1)

    task = declare(Statistic("accuracy", accuracy, 1.0, 0.25, None, (0, 1), "higher", needs=("correct",)), role="task")
    scored = frame([NAN] * 20, [NAN] * 20, axis=[None] * 10 + ["x"] * 10, correct=np.arange(20) % 2.0)
    (found,) = estimates_of(scored, task, seed=0, replicates=200)
    assert (found.statistic, found.axis, found.value, found.n) == ("accuracy", None, 0.5, 20)


def test_chance_may_be_a_function_and_a_p_value_has_no_interval(frame, declare):
    def chance(rows, rng):
        return float(len(rows["item"]))

    statistic = Statistic("p", lambda f, w: np.full(len(w), 0.3), None, chance, None, (0, 1), resample=False)
    (found, *_) = estimates_of(frame([1.0] * 12, [1.0] * 12), declare(statistic), seed=0, replicates=50)
    assert (found.value, found.low, found.high, found.chance, found.method) == (0.3, None, None, 12.0, "none")


def test_a_statistic_for_the_whole_is_not_split_by_axis(scored, declare):
    whole = Statistic("whole", lambda f, w: np.ones(len(w)), None, None, None, (0, 1), by_axis=False)
    found = estimates_of(scored, declare(whole), seed=0, replicates=50)
    assert [e.axis for e in found if e.statistic == "whole"] == [None]


def test_few_clusters_stay_within_the_range_of_the_statistic(frame, declare, share):
    scored = frame([1.0, 1.0, 1.0, -1.0], [1.0] * 4)
    found = by_name(estimates_of(scored, declare(share), seed=0, replicates=50))["share_stereotypical"]
    assert (found.value, found.high, found.method) == (0.75, 1.0, "jackknife_t")
    assert 0.0 <= found.low < 0.75


def test_clusters_that_all_agree_are_no_certainty_and_a_share_of_one_gets_its_exact_interval(frame, declare, share):
    found = by_name(estimates_of(frame([2.0] * 12, [2.0] * 12), declare(share), seed=0, replicates=100))
    # Clopper & Pearson 1934, 12 of 12: .025 ** (1 / 12)
    one = found["share_stereotypical"]
    assert (one.value, one.low, one.high) == (1.0, pytest.approx(0.7353515), 1.0)
    assert (found["preference"].low, found["competence"].low) == (None, None)
    assert "nothing shows how it varies" in found["preference"].reason
    assert found["corrected_bias"].status == "unmeasurable"
    assert found["corrected_bias.guessing"].status == "unmeasurable"


def test_an_interval_counts_the_clusters_that_hold_something_to_count(frame, declare, share):
    rng = np.random.default_rng(0)
    control = np.where(np.arange(60) % 30 < 4, rng.normal(1, 1, 60), NAN)
    scored = frame(rng.normal(0, 1, 60), control, cluster=np.arange(60) % 30)
    found = by_name(estimates_of(scored, declare(share), seed=0, replicates=200))
    assert (found["preference"].method, found["competence"].method) == ("percentile", "jackknife_t")


def test_the_same_seed_gives_the_same_numbers_whatever_the_order_of_rows(scored, declare, share):
    order = np.random.default_rng(0).permutation(len(scored["item"]))
    shuffled = {name: column[order] for name, column in scored.items()}
    one = estimates_of(scored, declare(share), seed=5, replicates=200)
    assert one == estimates_of(shuffled, declare(share), seed=5, replicates=200)
    assert one != estimates_of(scored, declare(share), seed=6, replicates=200)


def test_a_compute_of_the_wrong_shape_is_an_error_that_names_it(frame, declare):
    bad = Statistic("bad", lambda f, w: np.ones((len(w), 2)), None, None, None, (0, 1))
    with pytest.raises(ValueError, match="bad: compute gave shape"):
        estimates_of(frame([1.0] * 12, [1.0] * 12), declare(bad), seed=0, replicates=10)


def test_memory_of_a_large_bootstrap_stays_in_chunks():
    clusters = clusters_of(np.arange(10_000))
    seen = []

    def evaluate(counts):
        seen.append(counts.nbytes)
        return counts[:, :1]

    assert resample(clusters, evaluate, 2000, np.random.default_rng(0)).shape == (2000, 1)
    assert max(seen) <= 32e6
