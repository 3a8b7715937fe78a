"""text_classification: every figure against a slow count, ties, empty classes, and the matching of names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.errors import BadSetting, DataError, ModelError
from fairsqueeze.items import Item
from fairsqueeze.registry import tasks
from fairsqueeze.stimuli.class_labels import class_order
from fairsqueeze.tasks.text_classification import accuracy, asks, f1, f1_by_class, macro_f1, matthews, row_of
from fairsqueeze.testing.tiny import tiny_model

DATA = ("rte", "wnli", "qnli", "sst2", "cola", "mrpc")


def frame(gold, said, k):
    """`said` None: a tie."""
    gold = np.array(gold, dtype=float)
    predicted = np.array([np.nan if s is None else s for s in said], dtype=float)
    return {
        "gold_class": gold,
        "predicted_class": predicted,
        "n_classes": np.full(len(gold), float(k)),
        "correct": (gold == predicted).astype(float),
        "tie": np.isnan(predicted).astype(float),
    }


def slow_f1(gold, said, which):
    tp = sum(g == which and s == which for g, s in zip(gold, said, strict=True))
    fp = sum(g != which and s == which for g, s in zip(gold, said, strict=True))
    fn = sum(g == which and s != which for g, s in zip(gold, said, strict=True))
    return None if tp + fp + fn == 0 else 2 * tp / (2 * tp + fp + fn)


def slow_matthews(gold, said, k):
    """Pearson's correlation of the indicators of all classes together (Gorodkin 2004, eq. 8)."""
    known = range(k + 1)
    x = np.array([[float((k if s is None else s) == c) for c in known] for s in said])
    y = np.array([[float(g == c) for c in known] for g in gold])
    dx, dy = x - x.mean(axis=0), y - y.mean(axis=0)
    spread = (dx**2).sum() * (dy**2).sum()
    return None if spread < 1e-12 else (dx * dy).sum() / np.sqrt(spread)


def same(value: float, wanted: float | None) -> bool:
    return np.isnan(value) if wanted is None else value == pytest.approx(wanted, abs=1e-9)


def test_by_hand() -> None:
    found = frame([1, 1, 1, 0, 0], [1, 1, 0, 1, 0], 2)  # TP 2, FN 1, FP 1, TN 1
    ones = np.ones((1, 5))
    assert accuracy(found, ones)[0] == pytest.approx(3 / 5)
    assert f1(found, ones)[0] == pytest.approx(4 / 6)
    assert macro_f1(found, ones)[0] == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert matthews(found, ones)[0] == pytest.approx((2 * 1 - 1 * 1) / np.sqrt(3 * 3 * 2 * 2))


@given(
    st.integers(2, 4).flatmap(
        lambda k: st.tuples(
            st.just(k),
            st.lists(
                st.tuples(st.integers(0, k - 1), st.one_of(st.none(), st.integers(0, k - 1)), st.integers(0, 2)),
                min_size=1,
                max_size=12,
            ),
        )
    )
)
def test_weights_are_repetitions_as_a_slow_count_sees_them(drawn) -> None:
    k, rows = drawn
    gold, said, weights = zip(*rows, strict=True)
    repeated = [(g, s) for g, s, w in rows for _ in range(w)]
    if not repeated:
        return
    golds, saids = zip(*repeated, strict=True)
    found, w = frame(gold, said, k), np.array([weights, [1] * len(rows)], dtype=float)
    by_class = [slow_f1(golds, saids, c) for c in range(k)]
    for c in range(k):
        assert same(f1_by_class(found, w)[0, c], by_class[c])
    defined = [v for v in by_class if v is not None]
    assert same(macro_f1(found, w)[0], np.mean(defined) if defined else None)
    assert same(matthews(found, w)[0], slow_matthews(golds, saids, k))
    assert same(f1(found, w)[0], by_class[1] if k == 2 else None)
    assert accuracy(found, w)[0] == pytest.approx(np.mean([g == s for g, s in repeated]))


def test_as_scikit_learn_has_it_where_it_defines_a_figure() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    gold, said = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    found, ones = frame(gold, said, 3), np.ones((1, 200))
    assert macro_f1(found, ones)[0] == pytest.approx(metrics.f1_score(gold, said, average="macro"))
    assert matthews(found, ones)[0] == pytest.approx(metrics.matthews_corrcoef(gold, said))


def test_a_constant_prediction_has_no_matthews_correlation_and_a_low_macro_f1() -> None:
    found, ones = frame([1, 1, 0], [1, 1, 1], 2), np.ones((1, 3))
    assert np.isnan(matthews(found, ones)[0])
    assert macro_f1(found, ones)[0] == pytest.approx((0 + 4 / 5) / 2)


def item(gold: str = "entailment", second: str = "S.") -> Item:
    content = {"first": "F.", "second": second, "gold": gold, "classes": ["not_entailment", "entailment"]}
    return Item("dev:1", "dev", gold, "dev:1", content)


def test_a_single_text_is_no_pair_with_nothing() -> None:
    assert asks(item()) == {"text": PairOutput("F.", "S.")}
    assert asks(item(second="")) == {"text": PairOutput("F.", None)}


def test_outputs_are_matched_by_name_and_ties_are_no_prediction() -> None:
    answers = {"text": Outputs(np.array([2.0, 0.0]), ("Entailment", "Not entailment"), 4)}
    (row,) = row_of(item(), answers, None)
    assert (row.answer["predicted_class"], row.answer["correct"]) == (1, 1.0)
    assert row.answer["probabilities"][1] == pytest.approx(np.exp(2) / (1 + np.exp(2)))
    answers = {"text": Outputs(np.array([1.0, 1.0]), ("entailment", "not_entailment"), 4)}
    (row,) = row_of(item(), answers, None)
    assert (row.status, row.answer["predicted_class"], row.answer["correct"]) == ("tie", None, 0.0)


def test_names_that_do_not_say_which_is_which_are_refused_unless_given() -> None:
    classes = ["not_entailment", "entailment"]
    assert class_order(["ENTAILMENT", "NOT_ENTAILMENT"], classes) == (1, 0)
    with pytest.raises(ModelError, match="labels=not_entailment/entailment"):
        class_order(["LABEL_0", "LABEL_1"], classes)
    assert class_order(["LABEL_0", "LABEL_1"], classes, "entailment/not_entailment") == (1, 0)
    with pytest.raises(BadSetting, match="once"):
        class_order(["LABEL_0", "LABEL_1"], classes, "entailment/entailment")
    with pytest.raises(BadSetting, match="config names"):
        class_order(["entailment", "not_entailment"], classes, "not_entailment/entailment")
    with pytest.raises(ModelError, match="3 outputs"):
        class_order(["a", "b", "c"], classes)


def test_a_file_of_ones_own_end_to_end(tmp_path: Path) -> None:
    from fairsqueeze.study.audit import audit

    path = tmp_path / "x.tsv"
    path.write_text("sentence\tlabel\nThe cook slept.\t0\nShe was tired.\t1\nHe sang.\t2\n")
    model = tiny_model("roberta", "pair_classifier")
    asked = {"measures": [], "timing": False}
    with pytest.raises(ModelError, match="labels=0/1/2"):
        audit(model, tasks=[f"text_classification.file:file={path}"], **asked)
    found = audit(model, tasks=[f"text_classification.file:file={path},labels=0/1/2"], **asked)
    values = {e.statistic: e for e in found.estimates}
    assert values["accuracy"].n == 3
    assert values["f1"].value is None
    path.write_text("sentence\tlabel\nThe cook slept.\t0\n")
    with pytest.raises(DataError, match="one class"):
        audit(model, tasks=[f"text_classification.file:file={path},labels=0/1/2"], **asked)


@pytest.mark.shared
@pytest.mark.parametrize("name", DATA)
def test_every_real_file_is_read_in_full(name: str, shared_datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairsqueeze.assets.locate import locate

    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))
    declared = tasks.get(f"text_classification.{name}")
    items = declared.items(locate(declared.data[0]).files)
    assert len(items) == declared.card.expected_n
    assert {i.content["gold"] for i in items} == set(items[0].content["classes"])
    assert all(i.content["first"] for i in items)
