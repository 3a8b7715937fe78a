from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairsqueeze.engine.requests import TextLogProb, TokenScores
from fairsqueeze.errors import DataError
from fairsqueeze.items import Item
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import tasks
from fairsqueeze.stimuli.questions import four_options, hellaswag, lettered, yes_or_no
from fairsqueeze.tasks.multiple_choice import asks, choice, row_of


def plain(row: dict) -> str:
    return f"Question: {row['question']}\nAnswer:"


def jsonl(folder: Path, *rows: dict) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def scores(*values: float) -> TokenScores:
    return TokenScores(np.array(values))


@pytest.mark.parametrize(
    ("given", "right", "expected"),
    [
        ([-1.0, -2.0], 0, 1.0),
        ([-1.0, -2.0], 1, 0.0),
        ([-1.0, -1.0], 1, 0.5),
        ([-1.0, -1.0, -1.0, -1.0], 2, 0.25),
        ([-1.0, -1.0, -3.0], 2, 0.0),
    ],
)
def test_tied_best_options_count_their_share(given: list[float], right: int, expected: float) -> None:
    assert choice(np.array(given), right) == expected


def test_summed_and_per_character_scores_may_disagree() -> None:
    item = Item("0", "t", "", "0", {"prompt": "Q", "options": ["ab", "abcdefgh"], "right": 1})
    assert asks(item)["1"] == TextLogProb(" abcdefgh", prefix="Q")
    (row,) = row_of(item, {"0": scores(-2.0), "1": scores(-2.0, -2.0)})
    assert row.answer["accuracy"] == 0.0  # -2 beats -4
    assert row.answer["accuracy_norm"] == 1.0  # -4 / 8 beats -2 / 2
    assert row.n_tokens == 3


def test_accuracy_is_the_mean_over_questions_and_has_chance_beside_it() -> None:
    declared = tasks.get("multiple_choice.piqa")
    item = Item("0", "piqa", "", "0", {"prompt": "Q", "options": ["a", "b"], "right": 0})
    other = Item("1", "piqa", "", "1", {"prompt": "Q", "options": ["a", "b"], "right": 1})
    rows = [
        *row_of(item, {"0": scores(-1.0), "1": scores(-2.0)}),
        *row_of(other, {"0": scores(-1.0), "1": scores(-1.0)}),
    ]
    frame = frame_of(table_of(rows, step="s", checkpoint="c", measure="m", metadata={}))
    accuracy = declared.statistics[0]
    assert accuracy.compute(frame, np.ones((1, 2)))[0] == 0.75
    assert accuracy.compute(frame, np.array([[2.0, 0.0]]))[0] == 1.0
    assert accuracy.chance == 0.5


def test_lettered_options_are_split_and_the_answer_found(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"question": "How? ", "options": "A. by A. train\nB. on foot ", "answer": "B. on foot "})
    (question,) = lettered(path, plain)
    assert question.options == ("by A. train", "on foot")
    assert question.right == 1
    assert question.prompt == "Question: How?\nAnswer:"


def test_a_question_mark_that_went_to_the_last_option_goes_back(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"question": "What is it", "options": "\nA. one\nB. two?", "answer": "B. two"})
    (question,) = lettered(path, plain)
    assert question.options == ("one", "two")
    assert question.prompt == "Question: What is it?\nAnswer:"


def test_options_that_went_into_the_question_come_out_of_it(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"question": "What is it\nA. one", "options": "\nB. two\nC. three", "answer": "C. three"})
    (question,) = lettered(path, plain)
    assert question.options == ("one", "two", "three")
    assert question.right == 2


@pytest.mark.parametrize(
    "row",
    [
        {"question": "x", "options": "A. one\nB. two", "answer": "C. three"},
        {"question": "x", "options": "A. one\nA. one", "answer": "A. one"},
        {"question": "x", "options": "one", "answer": "one"},
        {"question": "x", "answer": "one"},
        {"question": 3, "options": "A. one\nB. two", "answer": "A. one"},
    ],
)
def test_a_malformed_question_is_an_error_with_its_line(tmp_path: Path, row: dict) -> None:
    good = {"question": "x", "options": "A. one\nB. two", "answer": "A. one"}
    with pytest.raises(DataError, match="line 2"):
        lettered(jsonl(tmp_path, good, row), plain)


def test_a_line_that_is_not_json_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "a"\n')
    with pytest.raises(DataError, match="line 1"):
        yes_or_no(path)


def test_boolq_answers_are_no_and_yes(tmp_path: Path) -> None:
    rows = [{"passage": "P", "question": "is it", "answer": a} for a in ("True", "False")]
    yes, no = yes_or_no(jsonl(tmp_path, *rows))
    assert yes.options[yes.right] == "yes"
    assert no.options[no.right] == "no"
    assert yes.prompt == "P\nQuestion: is it?\nAnswer:"
    with pytest.raises(DataError, match="maybe"):
        yes_or_no(jsonl(tmp_path, {"passage": "P", "question": "q", "answer": "maybe"}))


def test_arc_rows_have_four_options_and_a_letter(tmp_path: Path) -> None:
    path = tmp_path / "arc.csv"
    path.write_text('"Which?","a, b","c","d","e","B"\n')
    (question,) = four_options(path)
    assert question.options == ("a, b", "c", "d", "e")
    assert question.right == 1
    path.write_text('"Which?","a","c","d","B"\n')
    with pytest.raises(DataError, match="line 1"):
        four_options(path)


def test_hellaswag_is_read_and_cleaned_as_lm_eval_does(tmp_path: Path) -> None:
    path = tmp_path / "h.parquet"
    row = {
        "activity_label": "Walking",
        "ctx_a": "A cat sits.",
        "ctx_b": "the cat",
        "endings": ["runs [step] off", "sleeps", "sits [title] Rest", "x"],
        "label": "2",
    }
    pq.write_table(pa.Table.from_pylist([row]), path)
    (question,) = hellaswag(path)
    assert question.prompt == "Walking: A cat sits. The cat"
    assert question.options[:3] == ("runs off", "sleeps", "sits. Rest")
    assert question.right == 2
    path.write_bytes(b"not parquet")
    with pytest.raises(DataError, match="Parquet"):
        hellaswag(path)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["piqa", "siqa", "boolq", "commonsenseqa", "openbookqa", "arc_easy", "arc_challenge"])
def test_every_question_of_the_real_files_is_read(
    name: str, shared_datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairsqueeze.assets.locate import locate

    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))
    declared = tasks.get(f"multiple_choice.{name}")
    items = declared.items(locate(declared.data[0]).files)
    assert len(items) == declared.card.expected_n
    options = {len(i.content["options"]) for i in items}
    assert options == {round(1 / declared.statistics[0].chance)}
    right = [i.content["right"] for i in items]
    assert len(set(right)) == max(options), "every position is right at times"


def test_questions_about_one_passage_are_one_cluster(tmp_path: Path) -> None:
    rows = [("Bees fly.", "do bees fly"), ("Bees fly.", "do bees swim"), ("Cats nap.", "do cats nap")]
    path = jsonl(tmp_path, *({"passage": p, "question": q, "answer": "True"} for p, q in rows))
    items = tasks.get("multiple_choice.boolq").items({"BoolQ_dev.jsonl": path})
    first, second, third = (item.cluster for item in items)
    assert first == second != third


def test_one_question_with_other_options_is_one_cluster(tmp_path: Path) -> None:
    rows = [("open a jar", "A. twist\nB. kick"), ("open a jar", "A. turn\nB. sing"), ("close it", "A. twist\nB. kick")]
    path = jsonl(tmp_path, *({"question": q, "options": o, "answer": o.split("\n")[0]} for q, o in rows))
    items = tasks.get("multiple_choice.piqa").items({"PIQA_validation.jsonl": path})
    first, second, third = (item.cluster for item in items)
    assert first == second != third
