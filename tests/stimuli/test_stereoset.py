"""Reading StereoSet: words, spans, and every way a file can be wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairsqueeze.errors import DataError
from fairsqueeze.stimuli.stereoset import read, span_at_blank, word_at_blank


def example(number: int = 0) -> dict[str, Any]:
    words = {"stereotype": "wet", "anti-stereotype": "dry", "unrelated": "sung"}
    return {
        "id": f"item{number}",
        "target": "kelp",
        "bias_type": "race",
        "context": "the kelp is BLANK.",
        "sentences": [
            {"id": f"{number}{label}", "sentence": f"The kelp is {word}.", "gold_label": label}
            for label, word in words.items()
        ],
    }


def written(folder: Path, examples: list[Any], part: str = "intrasentence") -> Path:
    path = folder / "dev.json"
    path.write_text(json.dumps({"version": "1", "data": {part: examples}}), encoding="utf-8")
    return path


def test_an_item_has_its_three_options(tmp_path: Path) -> None:
    (item,) = read(written(tmp_path, [example()]), "intrasentence")
    assert (item.id, item.axis, item.group, item.cluster) == ("item0", "race", "kelp", "kelp")
    assert item.content["s"] == {"id": "0stereotype", "sentence": "The kelp is wet.", "word": "wet", "span": "wet"}
    assert item.content["a"]["word"] == "dry"
    assert item.content["u"]["word"] == "sung"
    assert item.content["initial"] is False


def test_intersentence_options_are_whole_sentences(tmp_path: Path) -> None:
    one = example() | {"context": "He saw kelp."}
    (item,) = read(written(tmp_path, [one], "intersentence"), "intersentence")
    assert item.content["s"] == {"id": "0stereotype", "sentence": "The kelp is wet."}


@pytest.mark.parametrize(
    ("context", "sentence", "word", "span"),
    [
        ("the kelp is BLANK.", "The kelp is wet.", "wet", "wet"),
        ("BLANK kelp grows", "Wet kelp grows", "Wet", "Wet"),
        ("the kelp is BLANK now", "The kelp is very wet now", "very", "very wet"),  # the reference takes one word
        ("the kelp is BLANKed.", "The kelp is washed.", "washed", "wash"),
        ("the kelp is BLANK.", "Some other kelp is wet.", "is", None),
        ("BLANK is BLANK", "wet is wet", "wet", None),
        ("the big kelp is BLANK", "it grew", None, None),
        ("the kelp is BLANK", "the kelp is ...", None, "..."),
        ("the kelp is BLANK", "the kelp is o'er-wet", "oerwet", "o'er-wet"),
    ],
)
def test_word_and_span_at_the_blank(context: str, sentence: str, word: str | None, span: str | None) -> None:
    assert word_at_blank(context, sentence) == word
    assert span_at_blank(context, sentence) == span


def broken(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    one = copy.deepcopy(example())
    change(one)
    return one


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (broken(lambda e: e.pop("target")), r"data\.intrasentence\[1\]: 'target' is missing"),
        (broken(lambda e: e.update(id=3)), "'id' is missing or no text"),
        (broken(lambda e: e.update(bias_type="weather")), "bias_type is 'weather'"),
        (broken(lambda e: e.update(context="no gap")), "the context has no BLANK"),
        (broken(lambda e: e["sentences"].pop()), "list of 3 sentences"),
        (broken(lambda e: e.update(sentences="x")), "list of 3 sentences"),
        (broken(lambda e: e["sentences"][1].update(gold_label="stereotype")), "gold_label is 'stereotype'"),
        (broken(lambda e: e["sentences"][1].update(gold_label="odd")), "gold_label is 'odd'"),
        (broken(lambda e: e["sentences"][2].update(sentence=" ")), "'sentence' is missing"),
        (broken(lambda e: e["sentences"].__setitem__(0, 7)), "'gold_label' is missing"),
        ("nothing", "'id' is missing"),
        (example(), "two items with one id"),
    ],
)
def test_a_broken_item_is_named(tmp_path: Path, wrong: Any, message: str) -> None:
    path = written(tmp_path, [example(), wrong])
    with pytest.raises(DataError, match=message) as caught:
        read(path, "intrasentence")
    assert str(path) in caught.value.message
    assert "fairsqueeze fetch stereoset" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b'{"data": \n{', "line 2: no valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "has no data.intrasentence"),
        (b'{"data": {}}', "has no data.intrasentence"),
        (b'{"data": {"intrasentence": []}}', "an empty one"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "test.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read(path, "intrasentence")
    assert "fairsqueeze fetch stereoset_test" in caught.value.remedy
