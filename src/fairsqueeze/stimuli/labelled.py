"""Labelled sentences and pairs from files as GLUE, the hub and users write them: TSV, CSV, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairsqueeze.errors import DataError

PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("first", "second"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("#1 String", "#2 String"),
    ("text_a", "text_b"),
)
"""Names of the columns that hold the two texts of a pair, the first found counts."""
SINGLES = ("sentence", "content", "text")
LABELS = ("gold_label", "label", "score", "similarity_score", "Quality")
UNDECIDED = "-"
"""What MNLI and SNLI write where the annotators did not agree; such rows are left out, as everywhere."""
HIDDEN = ("-1", "-1.0", "hidden", "")
"""What a test set without labels holds in their place."""

REMEDY = (
    "Each row has a text or two (sentence1 and sentence2, or premise and hypothesis) and a label, as its header says."
)


@dataclass(frozen=True)
class Example:
    """Two texts (the second is "" where there is one only) and their label as the file writes it."""

    first: str
    second: str
    label: str


def read_examples(path: Path) -> list[Example]:
    """The labelled texts of a file in its order, white space around them taken off.

    The ending says the format: `.tsv` and `.txt` (tabs, no quoting, as GLUE), `.csv` (quoted), `.jsonl` and `.json`
    (one object a line), `.parquet` (class names of the hub's files stand for their numbers). A header names the
    columns, see `PAIRS`, `SINGLES` and `LABELS`. Rows without an agreed label (`-`) are left out.

    Raises DataError: no such file or format, columns that are missing, a row with other fields than the header, labels
    that are hidden; with path and line.
    """
    rows = _rows(path)
    found = []
    columns: tuple[str, str, str] | None = None
    for number, row in rows:
        columns = columns or _columns(path, row)
        first, second, label = columns
        if any(row.get(name) is None for name in columns if name):
            missing = next(name for name in columns if name and row.get(name) is None)
            raise malformed(path, number, f"it has no {missing}")
        text = _written(row[label])
        if text == UNDECIDED:
            continue
        if text in HIDDEN:
            raise malformed(path, number, f"its label is {text!r}, which stands for none")
        found.append(Example(str(row[first]).strip(), str(row[second]).strip() if second else "", text))
    if not found:
        raise DataError(f"{path} holds no labelled texts.", "It must have a header and a row for each text.")
    return found


def read_without_header(path: Path, columns: tuple[str, ...]) -> list[Example]:
    """The examples of a tab-separated file without a header, whose columns are these (CoLA's own files)."""
    found = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) != len(columns):
            raise malformed(path, number, f"{len(fields)} fields instead of {len(columns)}")
        row = dict(zip(columns, fields, strict=True))
        found.append(Example(row["sentence"].strip(), row.get("sentence2", "").strip(), row["label"].strip()))
    return found


def malformed(path: Path, number: int, what: str) -> DataError:
    """The error for one line of a file."""
    return DataError(f"{path}, line {number}: {what}.", REMEDY)


def _written(label: Any) -> str:
    return str(label).strip()


def _columns(path: Path, row: Mapping[str, Any]) -> tuple[str, str, str]:
    label = next((name for name in LABELS if name in row), None)
    pair = next((pair for pair in PAIRS if all(name in row for name in pair)), None)
    single = next((name for name in SINGLES if name in row), None)
    if label is None or (pair is None and single is None):
        lacking = "label" if label is None else "texts"
        raise DataError(f"{path} has the columns {', '.join(map(str, row))}: no {lacking} among them.", REMEDY)
    first, second = pair or (str(single), "")
    return first, second, label


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line, its fields by column name)."""
    ending = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"There is no file {path}.", "Give the path of a TSV, CSV, JSON Lines or Parquet file.")
    if ending == ".parquet":
        return enumerate(_parquet(path), start=1)
    text = _text(path)
    if ending in (".jsonl", ".json"):
        return _json_lines(path, text)
    if ending == ".csv":
        rows = csv.reader(io.StringIO(text, newline=""))
        return _with_header(path, ((rows.line_num, fields) for fields in rows))
    if ending in (".tsv", ".txt"):
        return _with_header(path, ((n, line.split("\t")) for n, line in enumerate(_lines(text), start=1) if line))
    raise DataError(f"{path} is of no known format.", "Give a file that ends in .tsv, .csv, .jsonl or .parquet.")


def _lines(text: str) -> list[str]:
    return [line.rstrip("\r") for line in text.split("\n")]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} can't be read as UTF-8 text: {problem}.", "Give the path of a text file.") from None


def _with_header(path: Path, lines: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, Mapping[str, str]]]:
    header: list[str] | None = None
    for number, fields in lines:
        if header is None:
            header = [name.strip() for name in fields]
        elif len(fields) != len(header):
            raise malformed(path, number, f"{len(fields)} fields where the header has {len(header)}")
        else:
            yield number, dict(zip(header, fields, strict=True))


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise malformed(path, number, f"it is not JSON: {problem}") from None
        if not isinstance(row, dict):
            raise malformed(path, number, "it is not a JSON object")
        yield number, row


def _parquet(path: Path) -> list[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as problem:
        raise DataError(f"{path} is no Parquet file: {problem}.", "Fetch it again.") from None
    names = _class_names(table.schema.metadata or {})
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for column, classes in names.items():
            number = row.get(column)
            if isinstance(number, int) and 0 <= number < len(classes):
                row[column] = classes[number]
    return list(rows)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Names of the classes of each column, as the hub's `datasets` library writes them beside the schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        return {column: list(feature["names"]) for column, feature in features.items() if "names" in feature}
    except (ValueError, AttributeError, TypeError):  # not as the library writes it: numbers stay numbers
        return {}
