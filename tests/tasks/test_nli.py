"""The nli task: label order by name, ties, parts, and what a file may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.errors import AssetError, BadSetting, DataError, ModelError
from fairsqueeze.items import Item
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import checked_settings, tasks
from fairsqueeze.stats.estimate import estimates_of
from fairsqueeze.stimuli.mnli import held_out
from fairsqueeze.study.audit import audit
from fairsqueeze.tasks.nli import accuracy_in_best_order, asks, row_of
from fairsqueeze.testing.tiny import tiny_model

ORDERED = ("entailment", "neutral", "contradiction")
REVERSED = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")


def item(gold: str, number: int = 0, axis: str = "matched", premise: int | None = None) -> Item:
    cluster = f"{axis}:{number if premise is None else premise}"
    return Item(f"{axis}:{number}", axis, gold, cluster, {"premise": "P.", "hypothesis": "H.", "gold": gold})


def outputs(*logits: float, labels: tuple[str, ...] = ORDERED) -> dict[str, Outputs]:
    return {"pair": Outputs(np.array(logits), labels, 9)}


def frame(*rows):
    return frame_of(table_of(rows, step="s", checkpoint="c", measure="nli", metadata={}))


def test_the_premise_comes_first() -> None:
    assert asks(item("neutral"))["pair"] == PairOutput("P.", "H.")


def test_outputs_are_read_by_name_in_whatever_order() -> None:
    (row,) = row_of(item("entailment"), outputs(0.0, 1.0, 2.0, labels=REVERSED), None)
    assert row.answer["predicted"] == "entailment"
    assert row.answer["correct"] == 1.0
    assert row.answer["p_entailment"] == pytest.approx(np.exp(2) / (1 + np.e + np.exp(2)))
    assert row.answer["confidence"] == row.answer["p_entailment"]
    (row,) = row_of(item("entailment"), outputs(0.0, 1.0, 2.0), None)
    assert row.answer["predicted"] == "contradiction"
    assert row.answer["correct"] == 0.0
    assert row.n_tokens == 9


def test_a_tie_of_the_highest_is_no_prediction() -> None:
    (row,) = row_of(item("entailment"), outputs(1.0, 1.0, 0.0), None)
    assert (row.status, row.answer["predicted"], row.answer["correct"], row.answer["tie"]) == ("tie", None, 0.0, 1.0)
    (row,) = row_of(item("contradiction"), outputs(0.0, 0.0, 1.0), None)
    assert (row.status, row.answer["correct"]) == ("ok", 1.0)


def test_accuracy_overall_and_per_part_by_hand() -> None:
    rows = [
        *row_of(item("entailment", 0), outputs(2.0, 0.0, 0.0), None),
        *row_of(item("neutral", 1), outputs(2.0, 0.0, 0.0), None),
        *row_of(item("neutral", 2), outputs(1.0, 1.0, 1.0), None),
        *row_of(item("neutral", 0, "mismatched"), outputs(0.0, 3.0, 0.0), None),
    ]
    found = {e.statistic: e for e in estimates_of(frame(*rows), tasks.get("nli"), seed=0, replicates=50)}
    assert found["accuracy"].value == 0.5
    assert found["accuracy_matched"].value == pytest.approx(1 / 3)
    assert found["accuracy_matched"].n == 3
    assert found["accuracy_mismatched"].value == 1.0
    assert found["share_ties"].value == 0.25
    assert found["accuracy"].chance == pytest.approx(1 / 3)


def test_a_part_that_is_not_there_is_undefined_and_not_zero() -> None:
    rows = row_of(item("entailment"), outputs(2.0, 0.0, 0.0), None)
    found = {e.statistic: e for e in estimates_of(frame(*rows), tasks.get("nli"), seed=0, replicates=10)}
    assert (found["accuracy_mismatched"].value, found["accuracy_mismatched"].n) == (None, 0)


def test_the_best_order_shows_outputs_that_the_config_names_wrongly() -> None:
    golds = ["entailment", "neutral", "contradiction", "entailment"]
    rows = []
    for number, gold in enumerate(golds):  # a model that is always right, with entailment and contradiction swapped
        logits = [0.0, 0.0, 0.0]
        logits[2 - ORDERED.index(gold)] = 5.0
        rows += row_of(item(gold, number), outputs(*logits), None)
    found = frame(*rows)
    weights = np.array([[1.0, 1, 1, 1], [1, 0, 1, 0], [0, 3, 0, 0]])
    assert tasks.get("nli").statistics[0].compute(found, weights).tolist() == [0.25, 0.0, 1.0]
    assert accuracy_in_best_order(found, weights).tolist() == [1.0, 1.0, 1.0]


def test_constant_outputs_are_wrong_everywhere_and_all_ties() -> None:
    rows = [r for k, gold in enumerate(ORDERED) for r in row_of(item(gold, k), outputs(0.5, 0.5, 0.5), None)]
    found = {e.statistic: e.value for e in estimates_of(frame(*rows), tasks.get("nli"), seed=0, replicates=10)}
    assert (found["accuracy"], found["accuracy_in_best_order"], found["share_ties"]) == (0.0, 0.0, 1.0)


def test_hypotheses_of_one_premise_are_one_cluster(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    rows = "A.\tB.\tentailment\nC.\tD.\tNeutral\nA.\tE.\tcontradiction\n"
    path.write_text("sentence1\tsentence2\tgold_label\n" + rows)
    settings = checked_settings(tasks.get("nli"), {"file": str(path)})
    settings.pop("labels")
    found = tasks.get("nli").items({}, **settings)
    assert [i.cluster for i in found] == ["file:0", "file:1", "file:0"]
    assert [i.content["gold"] for i in found] == ["entailment", "neutral", "contradiction"]
    both = tasks.get("nli").items({}, **{**settings, "file_mismatched": str(path)})
    assert [i.axis for i in both] == ["matched"] * 3 + ["mismatched"] * 3
    path.write_text("premise\thypothesis\tlabel\nA.\tB.\t2\n")
    assert tasks.get("nli").items({}, **settings)[0].content["gold"] == "contradiction"
    path.write_text("premise\thypothesis\tlabel\nA.\tB.\tyes\n")
    with pytest.raises(DataError, match="no label of inference"):
        tasks.get("nli").items({}, **settings)


def test_without_data_and_file_the_remedy_names_both() -> None:
    with pytest.raises(AssetError, match="file=PATH"):
        tasks.get("nli").items({}, part="all", file="", file_mismatched="")


def test_an_audit_refuses_outputs_without_names_before_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"premise": "The cook slept.", "hypothesis": "She was tired.", "label": "neutral"}\n')
    model = tiny_model("bert", "pair_classifier")
    model.network.config.id2label = {k: f"LABEL_{k}" for k in range(3)}
    asked = {"measures": [], "timing": False}
    monkeypatch.setattr(
        "fairsqueeze.engine.answer.Engine.answer", lambda *_: pytest.fail("nothing may be asked before the check")
    )
    with pytest.raises(ModelError, match="labels=entailment/neutral/contradiction"):
        audit(model, tasks=[{"nli": {"file": str(path)}}], **asked)
    with pytest.raises(BadSetting, match="once each"):
        audit(model, tasks=[{"nli": {"file": str(path), "labels": "yes/no/maybe"}}], **asked)


def test_a_given_order_is_used_and_a_tiny_model_is_audited(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"premise": "The cook slept.", "hypothesis": "She was tired.", "label": "neutral"}\n')
    model = tiny_model("bert", "pair_classifier")
    model.network.config.id2label = {k: f"LABEL_{k}" for k in range(3)}
    said = {}
    for labels in ("entailment/neutral/contradiction", "contradiction/neutral/entailment"):
        found = audit(model, tasks=[f"nli:file={path},labels={labels}"], measures=[], timing=False)
        said[labels] = found.tables["nli"].column("answer").to_pylist()[0]
    one, other = said.values()
    assert one["p_entailment"] == other["p_contradiction"] != other["p_entailment"]
    assert one["p_neutral"] == other["p_neutral"]


def test_the_held_out_items_are_those_of_the_recipe() -> None:
    chosen = held_out(9815)
    assert len(chosen) == len(set(chosen.tolist())) == 2500
    assert (np.diff(chosen) > 0).all()
    recipe = np.random.default_rng(0).choice(9815, 2500, replace=False)
    assert set(recipe.tolist()) == set(chosen.tolist())


@pytest.mark.shared
def test_the_real_files_have_their_published_sizes(shared_datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairsqueeze.assets.locate import locate

    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))
    dev, lists = locate("mnli_dev_matched").files, locate("mnli_hard_and_samples").files
    nothing = {"file": "", "file_mismatched": ""}
    whole = tasks.get("nli").items(dev, part="all", **nothing)
    kept = tasks.get("nli").items(dev, part="held_out", **nothing)
    assert (len(whole), len(kept)) == (9815, tasks.get("nli").card.expected_n)
    assert {i.id for i in kept} < {i.id for i in whole}
    assert [sum(i.content["gold"] == label for i in whole) for label in ORDERED] == [3479, 3123, 3213]
    hard = tasks.get("nli.hard").items({**dev, **lists}, part="held_out")
    assert len(hard) == tasks.get("nli.hard").card.expected_n == 1136 + 4530
    held = {i.id for i in kept}
    assert {i.id for i in hard if i.axis == "matched"} <= held
    by_id = {i.id: i for i in whole}
    assert len(tasks.get("nli.hard").items({**dev, **lists}, part="all")) == 4573 + 4530
    assert all(i.content["gold"] == by_id[i.id].content["gold"] for i in hard if i.axis == "matched")
