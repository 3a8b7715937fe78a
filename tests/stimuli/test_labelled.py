"""Files of labelled texts, in every format that they come in; what is wrong with one is said with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairsqueeze.errors import DataError
from fairsqueeze.stimuli.labelled import Example, read_examples, read_without_header

WANTED = [Example('He said "no.', "He spoke, loudly.", "entailment"), Example("Ann ate.", "Ann slept.", "neutral")]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def glue_tsv(folder: Path) -> Path:
    lines = ["index\tsentence1\tsentence2\tgold_label"]
    lines += [f"{k}\t{e.first}\t{e.second} \t{e.label}" for k, e in enumerate(WANTED)]
    return write(folder / "dev.tsv", "\ufeff" + "\r\n".join([*lines, "3\ta\tb\t-"]) + "\n")


def quoted_csv(folder: Path) -> Path:
    rows = "\n".join(f'"{e.first.replace(chr(34), chr(34) * 2)}","{e.second}",{e.label}' for e in WANTED)
    return write(folder / "pairs.csv", f"premise,hypothesis,label\n{rows}\n")


def json_lines(folder: Path) -> Path:
    rows = [{"premise": e.first, "hypothesis": e.second, "label": e.label} for e in WANTED]
    return write(folder / "pairs.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")


def hub_parquet(folder: Path) -> Path:
    names = ["entailment", "neutral", "contradiction"]
    rows = [{"premise": e.first, "hypothesis": e.second, "label": names.index(e.label), "idx": 1} for e in WANTED]
    features = {"premise": {"dtype": "string"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(metadata), folder / "pairs.parquet")
    return folder / "pairs.parquet"


@pytest.mark.parametrize("make", [glue_tsv, quoted_csv, json_lines, hub_parquet])
def test_every_format_gives_the_same_examples(make, tmp_path: Path) -> None:
    assert read_examples(make(tmp_path)) == WANTED


def test_line_ends_inside_quotes_are_part_of_the_text(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'text,label\n"One line.\nAnother\u2028one.",1\nA third.,0\nA fourth.\n')
    with pytest.raises(DataError, match=r"line 5: 1 fields"):
        read_examples(path)
    write(path, path.read_text(encoding="utf-8").removesuffix("A fourth.\n"))
    assert [e.first for e in read_examples(path)] == ["One line.\nAnother\u2028one.", "A third."]


def test_a_single_text_has_no_second_and_numbers_are_kept_as_written(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "label\tcontent\n1\tA good film .\n0\tA bad one .\n")
    assert read_examples(path) == [Example("A good film .", "", "1"), Example("A bad one .", "", "0")]


def test_questions_and_sentences_are_pairs(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "index\tquestion\tsentence\tlabel\n0\tWho?\tAnn did.\tentailment\n")
    assert read_examples(path) == [Example("Who?", "Ann did.", "entailment")]


def test_a_file_without_header_needs_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "gj04\t1\t\tAnn ate.\ngj04\t0\t*\tAte Ann the.\n")
    columns = ("source", "label", "mark", "sentence")
    assert read_without_header(path, columns) == [Example("Ann ate.", "", "1"), Example("Ate Ann the.", "", "0")]
    with pytest.raises(DataError, match=r"line 1: 4 fields"):
        read_without_header(path, columns[:3])


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.tsv", "sentence1\tsentence2\n", "no labelled texts"),
        ("x.tsv", "sentence1\tsentence2\na\tb\n", "no label among"),
        ("x.tsv", "one\ttwo\tlabel\na\tb\t0\n", "no texts among"),
        ("x.tsv", "sentence\tlabel\na\t0\nb\n", "line 3: 1 fields"),
        ("x.tsv", "sentence\tlabel\na\t-1\n", "line 2: its label"),
        ("x.jsonl", '{"text": "a", "label": 1}\n{"text": "b"', "line 2: it is not JSON"),
        ("x.jsonl", "[1]\n", "line 1: it is not a JSON object"),
        ("x.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}', "line 2: it has no label"),
        ("x.parquet", "no", "no Parquet"),
        ("x.docx", "no", "no known format"),
    ],
)
def test_what_is_wrong_is_said(name: str, text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as wrong:
        read_examples(write(tmp_path / name, text))
    assert wrong.value.remedy


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_examples(tmp_path / "none.tsv")
