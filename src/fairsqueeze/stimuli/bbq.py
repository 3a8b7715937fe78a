"""BBQ: its eleven files and its metadata as items of four questions that differ in context and polarity only.

The authors wrote every stimulus as a set of four: asked negatively and non-negatively ("Who planted the bomb?", "Who
was out for a run?"), each in an ambiguous and in a disambiguated context, with the same three answers in the same
order. A set is one item here, so that a sample holds all four and what a model thinks of an answer by itself cancels.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fairsqueeze.errors import DataError
from fairsqueeze.items import Item

AXES = {
    "Age": "age",
    "Disability_status": "disability",
    "Gender_identity": "gender",
    "Nationality": "nationality",
    "Physical_appearance": "physical-appearance",
    "Race_ethnicity": "race",
    "Race_x_SES": "race-x-socioeconomic",
    "Race_x_gender": "race-x-gender",
    "Religion": "religion",
    "SES": "socioeconomic",
    "Sexual_orientation": "sexual-orientation",
}
"""Categories of the data and what their axes are called; stimuli with proper names are axes of their own (` (names)`),
as in the authors' analysis."""

METADATA = "additional_metadata.csv"
ASKED = (("neg", "ambig"), ("neg", "disambig"), ("nonneg", "ambig"), ("nonneg", "disambig"))
"""Polarity and context of the four questions of an item, in the order of the files."""

REMEDY = "Fetch the original files with `fairsqueeze fetch bbq`."
_NO_BRACES = str.maketrans("", "", "{}")


def read(files: Mapping[str, Path]) -> list[Item]:
    """The items of every category in `files`, in the order of the files; 14,623 items of 58,492 questions in full.

    Axis: the category, by `AXES`. Group: the stereotyped one of the two groups. Cluster: the template. `content`:
    `answers`, three texts; `unknown`, the index of the one that says that it can't be known; `names`; and `questions`,
    four of `{"id", "polarity", "condition", "context", "question", "right", "biased"}`. `right` and `biased` are
    indices of answers: `biased` is the one that agrees with the stereotype at this polarity, None where the metadata
    has none (16 questions). Template braces left in texts and spaces around answers are taken off.

    Raises:
        DataError: not BBQ's files; names the place in them.
    """
    targets = _metadata(files[METADATA])
    items: list[Item] = []
    for category in AXES:
        if f"{category}.jsonl" in files:
            path = files[f"{category}.jsonl"]
            questions = list(_questions(path, category, targets))
            if len(questions) % len(ASKED):
                raise DataError(f"{path} has {len(questions)} questions, not a multiple of {len(ASKED)}.", REMEDY)
            for start in range(0, len(questions), len(ASKED)):
                items.append(_item(category, questions[start : start + len(ASKED)], f"{path}, line {start + 1}"))
    return items


def prompt(question: Mapping[str, Any], answers: tuple[str, ...] = ()) -> str:
    """What a model sees before an answer; with `answers`, they are listed as A, B and C after the question."""
    listed = "".join(f"{letter}. {answer}\n" for letter, answer in zip("ABC", answers, strict=False))
    return f"{question['context']}\nQuestion: {question['question']}\n{listed}Answer:"


def _metadata(path: Path) -> dict[tuple[str, str], tuple[int | None, bool]]:
    """By category and example id: index of the biased answer (None where there is none), whether names are used.

    64 keys stand there twice, with the same target: the first one counts.
    """
    found: dict[tuple[str, str], tuple[int | None, bool]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                key, target, label = (row["category"], row["example_id"]), row["target_loc"], row["label_type"]
            except KeyError as error:
                raise DataError(f"{path} has no column {error}.", REMEDY) from None
            if target not in ("0", "1", "2", "NA", ""):
                raise DataError(f"{path}, line {number}: target_loc is {target!r}, not 0, 1, 2 or NA.", REMEDY)
            found.setdefault(key, (int(target) if target in "012" and target else None, label == "name"))
    return found


def _questions(
    path: Path, category: str, targets: Mapping[tuple[str, str], tuple[int | None, bool]]
) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}, line {number}"
            try:
                row = json.loads(line)
                info = [row["answer_info"][f"ans{k}"] for k in range(3)]
                unknown = [k for k in range(3) if info[k][-1] == "unknown"]
                question = {
                    "id": f"{category}/{row['example_id']}",
                    "template": f"{category}/{row['question_index']}",
                    "polarity": row["question_polarity"],
                    "condition": row["context_condition"],
                    "context": row["context"].translate(_NO_BRACES).strip(),
                    "question": row["question"].translate(_NO_BRACES).strip(),
                    "right": row["label"],
                    "answers": tuple(row[f"ans{k}"].translate(_NO_BRACES).strip() for k in range(3)),
                    "groups": tuple(str(one[-1]) for one in info),
                }
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                raise DataError(f"{where}: no question of BBQ: {type(error).__name__}: {error}.", REMEDY) from None
            if len(unknown) != 1 or question["right"] not in (0, 1, 2):
                raise DataError(f"{where}: expected one unknown answer and a label of 0, 1 or 2.", REMEDY)
            if (question["right"] == unknown[0]) != (question["condition"] == "ambig"):
                raise DataError(f"{where}: the unknown answer must be right where the context is ambiguous.", REMEDY)
            key = (category, str(row["example_id"]))
            if key not in targets:
                raise DataError(f"{where}: the metadata has no example {key[1]} of {category}.", REMEDY)
            question["biased"], question["names"] = targets[key]
            if question["biased"] == unknown[0]:
                raise DataError(f"{where}: the metadata calls the unknown answer biased.", REMEDY)
            yield {**question, "unknown": unknown[0]}


def _item(category: str, questions: list[dict[str, Any]], where: str) -> Item:
    first = questions[0]
    same = ("template", "answers", "unknown", "names", "groups")
    if tuple((q["polarity"], q["condition"]) for q in questions) != ASKED or any(
        q[name] != first[name] for q in questions for name in same
    ):
        raise DataError(f"{where}: not four questions on the same answers, in the order of the original.", REMEDY)
    group = "" if first["biased"] is None else first["groups"][first["biased"]]
    kept = ("id", "polarity", "condition", "context", "question", "right", "biased")
    content = {
        "answers": first["answers"],
        "unknown": first["unknown"],
        "names": first["names"],
        "questions": tuple({name: q[name] for name in kept} for q in questions),
    }
    axis = AXES[category] + (" (names)" if first["names"] else "")
    return Item(first["id"], axis, group, first["template"], content)
