from __future__ import annotations

import json
import math
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.engine.requests import SentenceVector, StaticVector, Vector
from fairsqueeze.errors import DataError
from fairsqueeze.items import Item
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import measures
from fairsqueeze.stats.estimate import estimates_of
from fairsqueeze.stimuli.weat.association import associations, effect_size, effect_sizes, p_value
from fairsqueeze.stimuli.weat.chance import random_effects
from fairsqueeze.stimuli.weat.scoring import item_of, rows_of
from fairsqueeze.stimuli.weat.tables import SETS, Test, Text, read_test, sentence_tests, word_tests


def small(axis: str | None = "gender", name: str = "t", n_y: int = 2) -> Item:
    words = {"X": ["x0", "x1"], "Y": [f"y{k}" for k in range(n_y)], "A": ["a"], "B": ["b"]}
    texts = {s: tuple(Text(w, w) for w in found) for s, found in words.items()}
    return item_of(Test(name, axis, {s: s for s in SETS}, texts))


def answers(**vectors: list[float]) -> dict[str, Vector]:
    return {text: Vector(np.array(v, dtype=np.float32), 1) for text, v in vectors.items()}


CORNERS = answers(x0=[1, 0], x1=[1, 1], y0=[0, 1], y1=[1, 1], a=[2, 0], b=[0, 3])


def frame(rows: list):
    return frame_of(table_of(rows, step="s", checkpoint="c", measure="weat", metadata={}))


def slow_d(s_x: list[float], s_y: list[float], ddof: int) -> float:
    both = [*s_x, *s_y]
    mean = sum(both) / len(both)
    sd = math.sqrt(sum((v - mean) ** 2 for v in both) / (len(both) - ddof))
    return (sum(s_x) / len(s_x) - sum(s_y) / len(s_y)) / sd


def test_a_test_worked_by_hand() -> None:
    # s(x0) = 1 - 0, s(x1) = cos 45 - cos 45 = 0, s(y0) = 0 - 1, s(y1) = 0; means .5 and -.5; sd of (1, 0, -1, 0)
    rows = rows_of(small(), CORNERS, "sample")
    assert [r.item for r in rows] == ["t:x0", "t:x1", "t:y0", "t:y1"]
    assert [r.answer["s"] for r in rows] == pytest.approx([1, 0, -1, 0], abs=1e-7)
    assert [r.preference for r in rows] == pytest.approx([1, 0, 1, 0], abs=1e-7)
    (found,) = effect_sizes(frame(rows))
    assert found.d == pytest.approx(1 / math.sqrt(2 / 3))
    assert found.p == pytest.approx(2 / 6)  # of 6 partitions {x0, x1} and {x0, y1} have the sum 1: a tie counts
    assert found.exact


def test_unequal_sets_weigh_the_same_in_the_mean_preference() -> None:
    vectors = {**CORNERS, **answers(y2=[0, 1])}
    rows = rows_of(small(n_y=3), vectors, "sample")
    mean_x, mean_y = 0.5, (-1 + 0 - 1) / 3
    assert np.mean([r.preference for r in rows]) == pytest.approx((mean_x - mean_y) / 2)


def test_the_control_tests_are_controls_of_every_axis() -> None:
    rows = rows_of(small(axis=None), CORNERS, "sample")
    assert all(r.axis is None and r.preference is None for r in rows)
    assert np.mean([r.control for r in rows]) == pytest.approx(0.5)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_effect_size_is_that_of_the_slow_formula_and_swaps_sign_with_the_sets(s_x: list, s_y: list) -> None:
    if np.std([*s_x, *s_y]) < 1e-3:
        return
    s, is_x = np.array([*s_x, *s_y]), np.arange(len(s_x) + len(s_y)) < len(s_x)
    for ddof in (0, 1):
        d = effect_size(s, is_x, np.ones((1, len(s))), ddof)[0]
        assert d == pytest.approx(slow_d(s_x, s_y, ddof), abs=1e-7)
        assert effect_size(s, ~is_x, np.ones((1, len(s))), ddof)[0] == pytest.approx(-d, abs=1e-9)


def test_weights_count_rows_as_often_as_they_say() -> None:
    s, is_x = np.array([0.3, -0.1, 0.2, 0.5]), np.array([True, True, False, False])
    weighted = effect_size(s, is_x, np.array([[2.0, 1.0, 0.0, 3.0]]))[0]
    assert weighted == pytest.approx(slow_d([0.3, 0.3, -0.1], [0.5, 0.5, 0.5], 1))


@given(st.lists(st.integers(-1000, 1000).map(lambda v: v / 1000), min_size=4, max_size=8))
def test_exact_p_is_the_share_of_partitions_by_brute_force(values: list[float]) -> None:
    s = np.array(values)
    n_x = len(s) // 2
    is_x = np.arange(len(s)) < n_x
    seen = s[:n_x].sum()
    every = [s[list(c)].sum() >= seen - 1e-9 for c in combinations(range(len(s)), n_x)]
    p, exact = p_value(s, is_x, samples=100, seed=0)
    assert exact
    assert p == pytest.approx(np.mean(every))


def test_sampled_p_is_seeded_close_to_uniform_without_effect_and_never_zero() -> None:
    rng = np.random.default_rng(0)
    is_x = np.arange(60) < 30
    found = [p_value(rng.standard_normal(60), is_x, samples=200, seed=k) for k in range(100)]
    assert not any(exact for _, exact in found)
    assert 0.4 < np.mean([p for p, _ in found]) < 0.6
    strong = np.where(is_x, 1.0, 0.0)
    assert p_value(strong, is_x, samples=200, seed=1) == (1 / 200, False)


def test_a_constant_model_has_no_effect_size_rather_than_none() -> None:
    same = answers(x0=[1, 1], x1=[1, 1], y0=[1, 1], y1=[1, 1], a=[1, 1], b=[1, 1])
    found = frame(rows_of(small(), same, "sample"))
    (one,) = effect_sizes(found)
    assert one.d is None
    assert one.p is None
    assert np.isnan(measures.get("weat").statistics[0].compute(found, np.ones((1, 4)))[0])


def test_a_zero_vector_is_undefined_and_counted() -> None:
    rows = rows_of(small(), {**CORNERS, **answers(x1=[0, 0])}, "sample")
    assert [r.status for r in rows] == ["ok", "zero vector", "ok", "ok"]
    assert rows[1].preference is None
    assert rows[1].answer["s"] is None


def test_associations_are_mean_cosines() -> None:
    a, b = associations(np.array([[3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[-1.0, 0.0]]))
    assert a[0] == pytest.approx((0.6 + 0.8) / 2)
    assert b[0] == pytest.approx(-0.6)


def test_every_measure_asks_for_its_own_kind_of_vector() -> None:
    item = small()
    assert measures.get("weat").asks(item)["x1"] == StaticVector("x1")
    assert measures.get("seat.last").asks(item)["b"] == SentenceVector("b", "last")
    assert measures.get("seat.cls").asks(item)["a"] == SentenceVector("a", "cls")


def test_tests_by_axis() -> None:
    assert Counter(t.axis for t in word_tests()) == {"gender": 8, "race": 7, "illness": 1, "age": 1, None: 2}
    found = sentence_tests({})
    assert Counter(t.axis for t in found) == {"gender": 18, "race": 9, "religion": 4, "illness": 1, "age": 1, None: 2}
    assert sum(bool(t.absent) for t in found) == 8
    assert [t.name for t in found if t.axis is None] == ["sent-weat1", "sent-weat2"]


def test_an_absent_test_is_a_row_with_its_reason_never_silence() -> None:
    absent = item_of(next(t for t in sentence_tests({}) if t.absent))
    (row,) = rows_of(absent, {}, "sample")
    assert row.status == "needs the data set weat_seat"
    assert row.preference is None


def test_estimates_have_means_effects_and_p_values_with_the_rows_of_their_test() -> None:
    rng = np.random.default_rng(1)
    declared = measures.get("weat")
    rows = []
    for item in declared.items({}, tests="all"):
        texts = declared.asks(item)
        rows += rows_of(item, {t: Vector(rng.standard_normal(64).astype(np.float32), 1) for t in texts}, "sample")
    found = {(e.statistic, e.axis): e for e in estimates_of(frame(rows), declared, seed=0, replicates=200)}
    mean = found["mean_abs_effect", "gender"]
    assert mean.low <= mean.value <= 2
    assert 0.2 < mean.chance < 0.6
    weat7 = found["effect_size:weat7", None]
    assert weat7.n == 16
    assert weat7.low < weat7.value < weat7.high
    assert 0 < found["p_value:weat7", None].value <= 1
    assert found["p_value:weat7", None].low is None
    assert found["effect_size:weat1", None].n == 50
    assert found["corrected_bias", "race"].status == "unmeasurable"


@pytest.mark.parametrize(
    ("tests", "low", "high"),
    [
        ([t for t in word_tests() if t.name in {f"weat{k}" for k in ("6", "6b", "7", "7b", "8", "8b")}], 0.33, 0.47),
        (
            [t for t in sentence_tests({}) if t.name[5:] in {f"weat{k}" for k in ("6", "6b", "7", "7b", "8", "8b")}],
            0.1,
            0.22,
        ),
        ([t for t in sentence_tests({}) if t.axis == "religion"], 0.12, 0.25),
    ],
    ids=["weat gender .40 ± .07", "seat gender, 6 tests .16 ± .06", "seat religion .17-.20"],
)
def test_chance_is_that_of_random_bags_of_words(tests: list[Test], low: float, high: float) -> None:
    assert low < np.abs(random_effects(tests, networks=20)).mean() < high


@pytest.mark.shared
def test_chance_of_the_18_gender_tests_of_study_1(shared_datasets: Path) -> None:
    tests = [t for t in sentence_tests(published(shared_datasets)) if t.axis == "gender"]
    assert len(tests) == 18
    assert 0.44 < np.abs(random_effects(tests, networks=10)).mean() < 0.62  # papers.md: .53 ± .09


def published(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted((folder / "weat_seat").rglob("*.jsonl"))}


@pytest.mark.shared
def test_the_generated_tests_are_the_published_ones_text_by_text(shared_datasets: Path) -> None:
    files = published(shared_datasets)
    made = [*word_tests(), *sentence_tests(files)]
    assert len(made) == 54
    for test in made:
        original = read_test(files[f"{test.name}.jsonl"], test.name, test.axis)
        for name in SETS:
            assert Counter(t.text for t in test.texts[name]) == Counter(t.text for t in original.texts[name]), test.name


def test_a_malformed_test_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "heilman.jsonl"
    for content in (
        "{",
        "{}",
        json.dumps({k: {"category": "c", "examples": []} for k in ("targ1", "targ2", "attr1", "attr2")}),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=r"heilman\.jsonl"):
            read_test(path, "heilman", "gender")


def test_encoded_words_are_asked_bare_and_averaged_over_their_positions() -> None:
    (item, *_) = measures.get("weat.mean").items({}, tests="all")
    asked = measures.get("weat.mean").asks(item)
    assert set(asked) == set(measures.get("weat").asks(item))
    assert all(request == SentenceVector(text, "mean") for text, request in asked.items())


def test_encoded_words_move_when_layers_are_pruned_and_input_embeddings_do_not() -> None:
    from fairsqueeze.compress.apply import compress
    from fairsqueeze.study.audit import audit
    from fairsqueeze.testing.tiny import tiny_model

    dense = tiny_model("bert", "encoder")
    pruned = compress(dense, "magnitude.linear", sparsity=0.5)
    found = [audit(m, measures=["weat", "weat.mean"], timing=False).estimates for m in (dense, pruned)]
    effects = [
        {e.measure: e.value for e in one if e.statistic == "mean_abs_effect" and e.axis is None} for one in found
    ]
    assert effects[0]["weat"] == effects[1]["weat"]
    assert effects[0]["weat.mean"] != effects[1]["weat.mean"]
