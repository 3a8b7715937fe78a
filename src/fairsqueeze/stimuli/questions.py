"""Multiple-choice questions: a question with its options and the right one, read from each data set's own format."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairsqueeze.errors import DataError


@dataclass(frozen=True)
class Question:
    """`prompt` as a model sees it; `options`, any of which may follow it; `right`: index of the right one.

    `passage`: the text that several questions may be about; "" where the prompt is all there is.
    """

    prompt: str
    options: tuple[str, ...]
    right: int
    passage: str = ""


def lettered(path: Path, prompt: Callable[[dict[str, Any]], str]) -> list[Question]:
    """JSON lines with `question`, `options` ("A. …\\nB. …") and `answer` ("B. …"); `prompt` makes the question's text.

    Where a line break of the original went astray, part of the options stands at the end of `question`: the two are
    read as one text. Raises DataError with file and line.
    """
    return [_lettered(path, number, row, prompt) for number, row in _json_lines(path)]


def yes_or_no(path: Path) -> list[Question]:
    """BoolQ: `passage`, `question`, `answer` True or False."""
    found = []
    for number, row in _json_lines(path):
        if row.get("answer") not in ("True", "False"):
            raise _bad(path, number, f"answer is {row.get('answer')!r}, not 'True' or 'False'")
        if not isinstance(row.get("passage"), str) or not isinstance(row.get("question"), str):
            raise _bad(path, number, "passage and question must be texts")
        prompt = f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:"
        found.append(Question(prompt, ("no", "yes"), int(row["answer"] == "True"), row["passage"]))
    return found


def four_options(path: Path) -> list[Question]:
    """ARC as header-less CSV: question, four options, the letter of the right one."""
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if len(row) != 6 or row[5] not in "ABCD" or len(row[5]) != 1:
                raise _bad(path, number, f"{len(row)} fields instead of question, four options and a letter A-D")
            found.append(Question(f"Question: {row[0]}\nAnswer:", tuple(row[1:5]), "ABCD".index(row[5])))
    return found


def hellaswag(path: Path) -> list[Question]:
    """HellaSwag as the hub's Parquet file: activity_label, ctx_a, ctx_b, endings, label; cleaned as lm-eval does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path, columns=["activity_label", "ctx_a", "ctx_b", "endings", "label"]).to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{path} is not HellaSwag's Parquet file: {error}.", "Fetch it again.") from None
    found = []
    for number, row in enumerate(rows, start=1):
        if row["label"] not in ("0", "1", "2", "3") or len(row["endings"]) != 4:
            raise _bad(path, number, f"label is {row['label']!r} with {len(row['endings'])} endings")
        context = f"{row['ctx_a']} {row['ctx_b'].capitalize()}".strip()
        options = tuple(_without_marks(e) for e in row["endings"])
        found.append(Question(_without_marks(f"{row['activity_label']}: {context}"), options, int(row["label"])))
    return found


def _lettered(path: Path, number: int, row: dict[str, Any], prompt: Callable[[dict[str, Any]], str]) -> Question:
    if not all(isinstance(row.get(key), str) for key in ("question", "options", "answer")):
        raise _bad(path, number, "question, options and answer must be texts")
    joint = row["question"] + (row["options"] if row["options"].startswith((".", "\n")) else "\n" + row["options"])
    stem, *options = [part.strip() for part in re.split(r"\n(?=[A-E]\. )", joint)]
    answer = row["answer"].strip()
    matching = [k for k, option in enumerate(options) if answer in (option, option.removesuffix("?"))]
    if len(options) < 2 or len(matching) != 1:
        raise _bad(path, number, f"the answer {answer[:40]!r} is not exactly one of {len(options)} options")
    if options[matching[0]] != answer:
        options[matching[0]] = answer
        stem += "?"
    contents = tuple(o[3:].strip() for o in options)
    if not all(contents):
        raise _bad(path, number, "an option is empty")
    try:
        return Question(prompt({**row, "question": stem}), contents, matching[0], str(row.get("passage") or ""))
    except KeyError as error:
        raise _bad(path, number, f"{error} is missing") from None


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise _bad(path, number, f"it is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise _bad(path, number, "it is not a JSON object")
            yield number, row


def _without_marks(text: str) -> str:
    """lm-eval's clean-up of WikiHow marks: `[title]` ends a sentence, other brackets go."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def _bad(path: Path, number: int, what: str) -> DataError:
    return DataError(f"{path}, line {number}: {what}.", "The file is not what its data set publishes; fetch it again.")
