"""What random networks get, and which tests each setting takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fairsqueeze.engine.requests import Vector
from fairsqueeze.items import Item
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import Frame, measures
from fairsqueeze.stimuli.weat.chance import chance_of, random_effects
from fairsqueeze.stimuli.weat.scoring import item_of, rows_of, texts_of
from fairsqueeze.stimuli.weat.tables import SETS, Test, Text, passage_chance, sentence_tests, word_tests


def about_axes(items: list[Item]) -> Counter:
    return Counter(item.axis for item in items if item.axis is not None)


def records(item: Item, spread: str) -> Frame:
    rng = np.random.default_rng(0)
    vectors = {text: Vector(rng.standard_normal(8).astype(np.float32), 1) for text in texts_of(item)}
    return frame_of(table_of(rows_of(item, vectors, spread), step="s", checkpoint="c", measure="weat", metadata={}))


def test_settings_take_the_tests_that_each_study_reports() -> None:
    weat, seat = measures.get("weat").items, measures.get("seat.mean").items
    assert about_axes(weat({}, tests="all")) == {"gender": 8, "race": 7, "illness": 1, "age": 1}
    assert about_axes(weat({}, tests="caliskan")) == {"gender": 6, "race": 5, "illness": 1, "age": 1}
    assert about_axes(seat({}, tests="all")) == {"gender": 18, "race": 9, "religion": 4, "illness": 1, "age": 1}
    assert about_axes(seat({}, tests="bias_bench")) == {"gender": 6, "race": 7, "religion": 4}


@pytest.mark.parametrize(
    ("name", "tests", "controls"),
    [("weat", "caliskan", ["weat1", "weat2"]), ("seat.mean", "bias_bench", ["sent-weat1", "sent-weat2"])],
)
def test_every_setting_keeps_the_control_tests(name: str, tests: str, controls: list[str]) -> None:
    found = measures.get(name).items({}, tests=tests)
    assert [item.id for item in found if item.axis is None] == controls


def test_chance_has_the_standard_deviation_of_the_records() -> None:
    item = item_of(next(t for t in word_tests() if t.name == "weat6"))  # n = 16 targets
    sample, population = (chance_of("words", records(item, spread)) for spread in ("sample", "population"))
    assert population == pytest.approx(sample * np.sqrt(16 / 15))


def test_an_effect_size_by_inner_products_is_that_of_the_vectors_themselves() -> None:
    (test,) = (t for t in sentence_tests({}) if t.name == "sent-weat9")
    (found,) = random_effects([test], networks=1, seed=3)[0]
    words = sorted({w for s in SETS for t in test.texts[s] for w in t.text.split()})
    drawn = np.random.default_rng(3).standard_normal((len(words), 768))
    vector = {w: drawn[k] for k, w in enumerate(words)}

    def cosine(a: Text, b: Text) -> float:
        u, v = (np.mean([vector[w] for w in t.text.split()], axis=0) for t in (a, b))
        return float(u @ v / np.sqrt((u @ u) * (v @ v)))

    def s(target: Text) -> float:
        toward = {k: np.mean([cosine(target, a) for a in test.texts[k]]) for k in ("A", "B")}
        return float(toward["A"] - toward["B"])

    x, y = ([s(t) for t in test.texts[k]] for k in ("X", "Y"))
    assert found == pytest.approx((np.mean(x) - np.mean(y)) / np.std(x + y, ddof=1), abs=1e-9)


def test_a_zero_attribute_vector_makes_the_whole_test_undefined_and_says_so() -> None:
    texts = {s: (Text(f"{s}0", f"{s}0"), Text(f"{s}1", f"{s}1")) for s in SETS}
    item = item_of(Test("t", "gender", {s: s for s in SETS}, texts))
    vectors = {text: Vector(np.array([1, 2], dtype=np.float32), 1) for text in texts_of(item)}
    vectors["B1"] = Vector(np.zeros(2, dtype=np.float32), 1)
    rows = rows_of(item, vectors, "sample")
    assert [row.status for row in rows] == ["zero vector among the attributes"] * 4
    assert all(row.preference is None and row.answer["s"] is None for row in rows)


def test_a_long_passage_is_named_by_its_person_and_place() -> None:
    passage = "John " + "is in charge of many things " * 5
    texts = {"X": (Text(passage, "John"),), "Y": (Text("Amy", "Amy"),), "A": (Text("a", "a"),), "B": (Text("b", "b"),)}
    item = item_of(Test("t", "gender", {s: s for s in SETS}, texts))
    rows = rows_of(
        item, {t: Vector(np.array([1, k], dtype=np.float32), 1) for k, t in enumerate(texts_of(item))}, "sample"
    )
    assert [row.item for row in rows] == ["t:John (X0)", "t:Amy"]
    assert [row.cluster for row in rows] == ["John", "Amy"]


@pytest.mark.shared
def test_the_chance_of_the_passages_is_what_the_table_says(shared_datasets: Path) -> None:
    files = {path.name: path for path in (shared_datasets / "weat_seat").rglob("heilman*.jsonl")}
    table = passage_chance()
    passages = [test for test in sentence_tests(files) if test.name in table]
    assert len(passages) == len(table) == 8
    effects = np.abs(random_effects(passages, networks=100, seed=11))
    error = effects.std(axis=0) / np.sqrt(len(effects))
    for test, mean, uncertain in zip(passages, effects.mean(axis=0), error, strict=True):
        assert abs(table[test.name] - mean) < 4 * uncertain, test.name
