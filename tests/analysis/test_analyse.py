"""analyse on tables whose answers are known: by hand, by construction, by slow references; nothing from nothing."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

import fairsqueeze
from fairsqueeze.analysis.collapse import collapsed_rows
from fairsqueeze.report.analysis_text import analysis_text

FAST = {"replicates": 300}


def guessing(n_parents=14, seed=0, noise=0.4):
    """Dense models and copies that answer at random on a growing share of items; `weat` follows performance only."""
    rng = np.random.default_rng(seed)
    rows = []
    for parent in range(n_parents):
        top, bias = rng.uniform(0.75, 0.95), rng.uniform(5, 15)
        for guess in (0.0, 0.3, 0.6, 0.95):
            accuracy = 0.5 + (top - 0.5) * (1 - guess)
            rows.append(
                {
                    "model": f"m{parent:02d}",
                    "label": f"m{parent:02d} guess {guess}",
                    "kind": "compressed" if guess else "dense",
                    "accuracy": accuracy,
                    "ss_gender": 50 + bias * (1 - guess) + rng.normal(0, noise),
                    "ss_race": 50 + 0.7 * bias * (1 - guess) + rng.normal(0, noise),
                    "corrected_bias": bias / 40 + rng.normal(0, 0.01),
                    "noise_bias": rng.normal(),
                    "bytes": int(1e6 * (1 - guess / 2)),
                }
            )
    return {key: [row[key] for row in rows] for key in rows[0]}


@pytest.fixture(scope="module")
def analysed():
    return fairsqueeze.analyse(guessing(), chance=0.5, ideals={"noise_bias": 0.0}, **FAST)


def one(entries, **wanted):
    (found,) = [e for e in entries if all(e[k] == v for k, v in wanted.items())]
    return found


def test_the_document_has_its_schema_and_no_number_that_is_not_finite(analysed):
    document = analysed.to_json()
    assert document["schema"] == "fairsqueeze.analysis/1"
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["n"], document["n_clusters"], document["cluster"], document["n_with_parent"]) == (
        56,
        14,
        "model",
        42,
    )
    assert document["settings"]["correction"] == "holm"


def test_shares_reward_guessing_and_corrected_bias_does_not(analysed):
    rewards = {r["measure"]: r for r in analysed.to_json()["sets"][0]["randomness_reward"]}
    assert rewards["ss_gender"]["low"] > 0.8
    assert rewards["ss_gender"]["low"] < 1.0 < rewards["ss_gender"]["high"] + 0.05
    assert rewards["corrected_bias"]["low"] < 0.05
    assert rewards["corrected_bias"]["high"] < 0.2
    assert any("ss_gender moves toward its ideal" in f.text for f in analysed.findings)
    assert not any("corrected_bias moves toward" in f.text for f in analysed.findings)


def test_a_reward_is_told_with_the_interval_of_the_level_that_decides(analysed):
    (told,) = [f for f in analysed.findings if f.subject == "ss_gender" and f.test.startswith("randomness reward")]
    (reward,) = [r for r in analysed.sets[0].rewards if r.measure == "ss_gender"]
    assert (told.low, told.high) == (reward.low_corrected, reward.high_corrected)
    assert told.high - told.low > reward.reward.high - reward.reward.low
    assert f"[{told.low:+.2f}, {told.high:+.2f}], n = 42 from 14 parents, 98.8 % interval" in told.text


def test_a_bias_that_is_undefined_for_collapsed_checkpoints_is_analysed_on_the_others_and_said_so():
    table = guessing(noise=0.0)
    table["corrected_bias"] = [
        abs(s - 50) if a > 0.52 else None for s, a in zip(table["ss_race"], table["accuracy"], strict=True)
    ]
    del table["noise_bias"], table["ss_gender"]
    found = fairsqueeze.analyse(table, chance=0.5, **FAST)
    undefined = sum(v is None for v in table["corrected_bias"])
    (said,) = [s for s in found.not_shown if s.what == f"corrected_bias in {undefined} of 56 checkpoints"]
    assert f"{undefined} of these have collapsed" in said.why
    assert (found.sets[0].ranking.value, found.sets[0].ranking.n) == (pytest.approx(1.0), 56 - undefined)
    pairs = {a.kind: a for a in found.sets[0].agreement}
    assert {a.n for kind, a in pairs.items() if kind != "direction"} == {56 - undefined}
    assert pairs["spearman"].value == pytest.approx(1.0)
    assert found.fronts[0].n_undefined == undefined


def test_unknown_performance_and_sets_with_too_few_rows_are_said():
    table = {"accuracy": [0.9, 0.51, 0.5, 0.5, None, 0.5], "weat": [1.0, 2, 3, 4, 5, 6]}
    found = fairsqueeze.analyse(table, chance=0.5, **FAST)
    said = {s.what: s.why for s in found.not_shown}
    assert "no value of accuracy" in said["whether 1 of 6 checkpoints have collapsed"]
    assert "4 of 6 checkpoints would go" in said["analysis without collapsed"]


def test_what_guesses_is_collapsed_and_left_out_of_the_second_set(analysed):
    assert len(analysed.collapsed) == 14
    assert all(label.endswith("0.95") for label in analysed.collapsed)
    whole, fewer = analysed.sets[0], next(s for s in analysed.sets if s.name == "without collapsed")
    assert (whole.n, fewer.n, fewer.left_out) == (56, 42, analysed.collapsed)


def test_capability_is_spearmans_correlation_with_performance(analysed):
    table = guessing()
    entries = analysed.to_json()["sets"][0]["capability"]
    entry = one(entries, measure="ss_gender", reading="as published", kind="spearman")
    assert entry["value"] == pytest.approx(stats.spearmanr(table["accuracy"], table["ss_gender"])[0])
    pearson = one(entries, measure="ss_gender", reading="as published", kind="pearson")
    assert pearson["value"] == pytest.approx(stats.pearsonr(table["accuracy"], table["ss_gender"])[0])
    distance = one(entries, measure="noise_bias", reading="distance from the ideal", kind="spearman")
    expected = stats.spearmanr(table["accuracy"], np.abs(table["noise_bias"]))[0]
    assert distance["value"] == pytest.approx(expected)


def test_agreement_is_on_distances_from_the_ideal_and_holds_performance_constant(analysed):
    table = guessing()
    pairs = analysed.to_json()["sets"][0]["agreement"]
    a, b = (np.abs(np.array(table[c]) - 50) for c in ("ss_gender", "ss_race"))
    assert one(pairs, kind="spearman", x="ss_gender", y="ss_race")["value"] == pytest.approx(stats.spearmanr(a, b)[0])
    assert one(pairs, kind="kendall", x="ss_gender", y="ss_race")["value"] == pytest.approx(stats.kendalltau(a, b)[0])
    partial = one(pairs, kind="partial_spearman", x="ss_gender", y="ss_race")
    assert partial["given"] == "accuracy"
    ranks = [stats.rankdata(c) for c in (a, b, table["accuracy"])]
    design = np.stack([np.ones(56), ranks[2]], axis=1)
    left = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranks[:2]]
    assert partial["value"] == pytest.approx(stats.pearsonr(*left)[0])


def test_direction_of_change_is_against_the_dense_parent(analysed):
    pairs = analysed.to_json()["sets"][0]["agreement"]
    entry = one(pairs, kind="direction", x="ss_gender", y="ss_race")
    assert entry["n"] == 42
    table = guessing()
    parents = np.repeat(np.arange(0, 56, 4), 4)
    moves = [np.sign((v := np.abs(np.array(table[c]) - 50)) - v[parents]) for c in ("ss_gender", "noise_bias")]
    assert np.all(moves[0][moves[0] != 0] < 0)


def test_two_measures_by_two_axes_give_the_matrix():
    rng = np.random.default_rng(1)
    traits = {axis: rng.normal(size=60) for axis in ("gender", "race")}
    table = {
        f"{measure}_{axis}": values + 0.4 * rng.normal(size=60)
        for measure in ("weat", "crows")
        for axis, values in traits.items()
    }
    found = fairsqueeze.analyse(table, ideals={c: -10.0 for c in table}, **FAST)
    validity = found.to_json()["sets"][0]["validity"]
    figures = {f["name"]: f for f in validity["figures"]}
    assert figures["convergent"]["low"] > 0.5
    assert figures["discriminant"]["low"] > 0.3
    assert figures["beyond_method"]["low"] > 0.3
    expected = np.mean([stats.spearmanr(table[f"weat_{a}"], table[f"crows_{a}"])[0] for a in traits])
    assert figures["convergent"]["value"] == pytest.approx(expected)
    assert any("different measures of different axes" in f.text for f in found.findings)


def test_permuting_rows_and_columns_changes_nothing():
    table = guessing(6)
    order = np.random.default_rng(3).permutation(24)
    shuffled = {c: [table[c][i] for i in order] for c in reversed(table)}
    a, b = (fairsqueeze.analyse(t, chance=0.5, **FAST).to_json() for t in (table, shuffled))
    assert a == b


def test_the_same_seed_gives_the_same_numbers_and_another_others():
    table = guessing(12)
    a, b, c = (fairsqueeze.analyse(table, chance=0.5, seed=s, **FAST).to_json()["sets"] for s in (0, 0, 1))
    assert a == b
    assert a != c


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_rows_say_nothing_but_that(n):
    table = {"accuracy": [0.9, 0.8, 0.4][:n], "weat": [0.1, 0.5, 0.7][:n], "ss": [60.0, 55, 51][:n]}
    found = fairsqueeze.analyse(table, chance=0.25, **FAST)
    assert found.findings == ()
    assert any(s.what == "correlations" and "too few rows" in s.why for s in found.not_shown)
    assert all(a.value is None for a in found.sets[0].agreement)
    json.dumps(found.to_json(), allow_nan=False)


def test_constant_and_empty_columns_are_named_and_have_no_coefficient():
    table = {
        "accuracy": [0.9, 0.8, 0.7, 0.6, 0.5],
        "weat": [1.0] * 5,
        "ss": [None] * 5,
        "toxicity": [0.1, 0.3, 0.2, 0.5, 0.4],
    }
    found = fairsqueeze.analyse(table, measures=["weat", "ss", "toxicity"], **FAST)
    reasons = {s.what: s.why for s in found.not_shown}
    assert reasons["ss"] == "no value in any row"
    assert reasons["weat"].startswith("the same value")
    assert {c.measure for c in found.sets[0].capability} == {"toxicity"}
    assert found.to_json()["measures"][0]["n_undefined"] == 5


def test_ties_by_hand():
    # ranks 1.5 1.5 3 4 and 1 2.5 2.5 4: rho = 3.75 / sqrt(4.5 · 4.5) = .8333; tau-b = 4 / sqrt(5 · 5) = .8
    table = {"toxicity": [1, 1, 2, 3], "weat": [1, 2, 2, 3]}
    pairs = fairsqueeze.analyse(table, **FAST).to_json()["sets"][0]["agreement"]
    assert one(pairs, kind="spearman")["value"] == pytest.approx(5 / 6)
    assert one(pairs, kind="kendall")["value"] == pytest.approx(0.8)


def test_unrelated_measures_give_no_findings_more_often_than_the_level_allows():
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(40):
        table = {"accuracy": rng.normal(size=25), **{f"weat_{i}": rng.normal(size=25) for i in range(3)}}
        false += bool(fairsqueeze.analyse(table, ideals={f"weat_{i}": -9.0 for i in range(3)}, **FAST).findings)
    assert false <= 10  # three families of tests at 5 % each, 40 tables: 6 expected at most


def test_one_row_that_decides_is_shown_and_left_out():
    rng = np.random.default_rng(2)
    accuracy = np.append(rng.uniform(0.6, 0.61, 19), 0.1)
    weat = np.append(rng.normal(0, 0.1, 19), 5.0)
    found = fairsqueeze.analyse({"accuracy": accuracy, "weat": weat}, **FAST)
    far = max(found.influential, key=lambda i: i.cooks_distance or 0)
    assert found.points.performance.values[far.row] == pytest.approx(0.1)
    fewer = next(s for s in found.sets if s.name == "without influential")
    assert far.checkpoint in fewer.left_out


def test_the_front_with_intervals_has_probabilities_and_without_says_so():
    table = {
        "label": ["a", "b", "c"],
        "accuracy": [0.9, 0.8, 0.5],
        "corrected_bias": [0.3, 0.1, 0.2],
        "corrected_bias_low": [0.2, 0.0, 0.1],
        "corrected_bias_high": [0.4, 0.2, 0.3],
    }
    (front,) = fairsqueeze.analyse(table, replicates=1000).fronts
    points = {p.checkpoint: p for p in front.points}
    assert points["a"].probability == 1.0  # the most accurate
    assert points["b"].on_front
    assert not points["c"].on_front if "c" in points else True
    assert 0.05 <= points["c"].probability <= 0.35
    said = "independent between checkpoints, also where these answered the same items"
    assert said in fairsqueeze.analyse(table, **FAST).points.choices[-1]
    exact = fairsqueeze.analyse({k: v for k, v in table.items() if k[-3:] not in ("low", "igh")}, **FAST)
    assert not any(said in c for c in exact.points.choices)
    assert exact.fronts[0].replicates == 0
    assert [p.checkpoint for p in exact.fronts[0].points] == ["a", "b"]
    assert any("probability of being on the front" in s.what for s in exact.not_shown)


def test_a_sure_place_on_the_front_has_the_interval_of_its_draws_and_counts_what_is_defined():
    table = {
        "label": ["a", "b", "c", "d"],
        "accuracy": [0.9, 0.8, 0.5, 0.5],
        "corrected_bias": [0.1, 0.2, 0.3, None],
        "corrected_bias_low": [0.09, 0.19, 0.29, None],
        "corrected_bias_high": [0.11, 0.21, 0.31, None],
    }
    found = fairsqueeze.analyse(table, replicates=1000).findings
    (sure,) = [f for f in found if f.test.startswith("probability of being on the front")]
    assert (sure.effect, sure.high) == (1.0, 1.0)
    assert sure.low == pytest.approx(0.025 ** (1 / 1000))  # Clopper & Pearson, 1000 of 1000
    assert (sure.n, sure.n_clusters) == (3, 3)
    assert "independent between checkpoints; from 1000 draws the least of these is known to [0.996, 1.000]" in sure.text


def test_below_a_parent_that_knows_nothing_everything_is_collapsed():
    table = {"label": ["dense", "pruned"], "kind": ["dense", "compressed"], "accuracy": [0.4, 0.49], "weat": [1, 2]}
    found = fairsqueeze.analyse(table, chance=0.5, **FAST)
    assert found.collapsed == ("dense", "pruned")


def test_collapse_needs_a_chance_level_and_reads_intervals():
    table = {"accuracy": [0.9, 0.56, 0.6], "accuracy_low": [0.8, 0.4, 0.45], "accuracy_high": [1, 0.7, 0.7]}
    table["weat"] = [1, 2, 3]
    found = fairsqueeze.analyse(table, chance=0.5, **FAST)
    assert sorted(found.points.performance.values[collapsed_rows(found.points)]) == [0.56, 0.6]
    unknown = fairsqueeze.analyse(table, **FAST)
    assert unknown.collapsed is None
    assert any("chance level" in s.why for s in unknown.not_shown)


def test_the_text_shows_findings_tables_and_what_is_not_shown(analysed):
    console = Console(width=160, no_color=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(analysis_text(analysed.to_json()))
    text = console.export_text()
    for part in (
        "Findings",
        "Spearman",
        "Krippendorff",
        "Randomness reward",
        "Collapsed",
        "Pareto",
        "Not shown",
        "Holm",
    ):
        assert part in text


@pytest.mark.slow
def test_ten_thousand_checkpoints_by_thirty_measures_take_a_minute_at_most():
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.3, 0.9, 10_000)
    table = {
        "accuracy": accuracy,
        "model": np.repeat(np.arange(1000), 10).astype(str),
        "kind": (["dense"] + ["compressed"] * 9) * 1000,
    }
    for i in range(30):
        undefined = (i % 2 == 1) & (accuracy < 0.3 + 0.005 * i)
        table[f"weat_{i}"] = np.where(undefined, np.nan, accuracy + rng.normal(size=10_000))
    start = time.process_time()
    found = fairsqueeze.analyse(table, chance=0.25)
    assert time.process_time() - start < 60
    assert (found.points.n, len(found.points.measures), len(found.points.children)) == (10_000, 30, 9_000)
    assert {a.method for a in found.sets[0].agreement if a.kind == "spearman"} == {"influence"}


def test_the_bootstrap_of_many_clustered_items_is_fast():
    from fairsqueeze.stats.bootstrap import clusters_of, resample

    clusters = clusters_of(np.repeat(np.arange(2000), 5))
    sums = clusters.sums(np.random.default_rng(0).normal(size=(10_000, 2)))
    start = time.process_time()
    resample(clusters, lambda counts: counts @ sums, 2000, np.random.default_rng(0))
    assert time.process_time() - start < 1
