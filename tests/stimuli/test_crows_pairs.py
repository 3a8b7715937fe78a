"""Reading CrowS-Pairs: items, control sentences, and every way a file can be wrong."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from pathlib import Path

import pytest

from fairsqueeze.errors import DataError
from fairsqueeze.items import sample
from fairsqueeze.stimuli.crows_pairs import FILE, read

HEADER = ["", "sent_more", "sent_less", "stereo_antistereo", "bias_type", "annotations"]
PAIRS = [
    ["0", "The kelp is wet.", "The moss is wet.", "stereo", "age", "[]"],
    ["1", "Reed is tall.", "Fern is tall.", "antistereo", "gender", "[]"],
    ["2", "I saw it, he dug up his old bed.", "I saw it, she dug up her old bed.", "stereo", "religion", "[]"],
    ["3", "The fuzz is wet.", "The silt is wet.", "stereo", "religion", "[]"],
    ["4", "It is a soft clay.", "It is a hard clay.", "antistereo", "disability", "[]"],
]


def written(folder: Path, rows: list[list[str]], header: list[str] = HEADER) -> dict[str, Path]:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    path = folder / FILE
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return {FILE: path}


def test_an_item_has_both_sentences_its_spans_and_a_control(tmp_path: Path) -> None:
    item = read(written(tmp_path, PAIRS))[0]
    assert (item.id, item.axis, item.group) == ("0", "age", "kelp")
    assert item.content["more"] == "The kelp is wet."
    assert item.content["less"] == "The moss is wet."
    assert item.content["antistereo"] is False
    (span,) = item.content["spans"]
    assert (span["more"], span["less"], span["initial"]) == (" kelp", " moss", False)
    assert span["control"] in {" fuzz", " silt", " soft", " hard"}
    assert item.content["control"] == f"The{span['control']} is wet."


def test_group_is_what_the_sentence_about_the_disadvantaged_group_has(tmp_path: Path) -> None:
    items = read(written(tmp_path, PAIRS))
    assert [item.group for item in items] == ["kelp", "fern", "he … his", "fuzz", "hard"]
    assert [item.content["antistereo"] for item in items] == [False, True, False, False, True]


def test_pairs_about_the_same_sentence_are_one_cluster_whatever_the_words_that_differ(tmp_path: Path) -> None:
    items = read(written(tmp_path, [*PAIRS, ["5", "Kelp!", "Moss?", "stereo", "age", "[]"]]))
    clusters = Counter(item.cluster for item in items)
    assert items[0].cluster == items[3].cluster
    assert sorted(clusters.values()) == [1, 1, 1, 1, 2]
    assert items[5].cluster == "pair:5"  # no shared word


def test_every_span_is_replaced_and_the_first_word_keeps_its_capital(tmp_path: Path) -> None:
    items = read(written(tmp_path, PAIRS))
    he, his = items[2].content["spans"]
    assert items[2].content["control"] == f"I saw it,{he['control']} dug up{his['control']} old bed."
    (first,) = items[1].content["spans"]
    assert first["initial"]
    assert first["control"][0].isupper()
    assert items[1].content["control"] == f"{first['control']} is tall."


def test_controls_come_from_another_axis_and_never_from_the_beginning_of_a_sentence(tmp_path: Path) -> None:
    for item in read(written(tmp_path, PAIRS)):
        own = {span[side].strip().lower() for span in item.content["spans"] for side in ("more", "less")}
        for span in item.content["spans"]:
            assert span["control"].strip().lower() not in own | {"reed", "fern"}


@pytest.mark.parametrize("seed", range(4))
def test_controls_depend_neither_on_the_order_of_the_file_nor_on_a_sample(tmp_path: Path, seed: int) -> None:
    before = read(written(tmp_path, PAIRS))
    shuffled = PAIRS.copy()
    random.Random(seed).shuffle(shuffled)
    after = {item.id: item for item in read(written(tmp_path, shuffled))}
    for item in sample(before, 3, seed):
        assert item.content == after[item.id].content
        assert (item.group, item.cluster) == (after[item.id].group, after[item.id].cluster)


def test_without_another_axis_there_is_no_control(tmp_path: Path) -> None:
    (item,) = read(written(tmp_path, PAIRS[:1]))
    assert item.content["control"] is None
    assert item.content["spans"][0]["control"] is None


def test_swapping_the_sentences_of_a_pair_keeps_the_foreign_words(tmp_path: Path) -> None:
    swapped = [[i, less, more, *rest] for i, more, less, *rest in PAIRS]
    for one, two in zip(read(written(tmp_path, PAIRS)), read(written(tmp_path, swapped)), strict=True):
        assert one.content["control"] == two.content["control"]


def changed(column: int, value: str) -> list[str]:
    return [*PAIRS[1][:column], value, *PAIRS[1][column + 1 :]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (changed(3, "sterio"), "stereo_antistereo is 'sterio'"),
        (changed(4, "weather"), "bias_type is 'weather'"),
        (changed(1, " "), "sent_more is empty"),
        (changed(2, ""), "sent_less is empty"),
        (changed(2, "Reed  is tall ."), "have the same words"),
        (changed(0, ""), "the id is empty"),
        (changed(0, "0"), "the id '0' is there twice"),
        (PAIRS[1][:-1], "5 fields instead of 6"),
        ([*PAIRS[1], "more"], "7 fields instead of 6"),
        ([], "0 fields instead of 6"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, row: list[str], message: str) -> None:
    files = written(tmp_path, [PAIRS[0], row, PAIRS[2]])
    with pytest.raises(DataError, match=message) as caught:
        read(files)
    assert f"{files[FILE]}, line 3" in caught.value.message
    assert "fairsqueeze fetch crows_pairs" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b",sent_more,sent_less,stereo_antistereo,bias_type\n", "has no pairs"),
        (b"id,sent_more,sent_less,stereo_antistereo,bias_type\n", "line 1: the header .* must have the column ''"),
        (b",sent_more,sent_more,stereo_antistereo,bias_type\n", "must have the column 'sent_more', 'sent_less'"),
        (b",sent_more,sent_less,stereo_antistereo,bias_type\n\xff\xfe", "not UTF-8"),
        (b',sent_more,sent_less,stereo_antistereo,bias_type\n0,"The kelp', "line 2: unexpected end of data"),
        (b',sent_more,sent_less,stereo_antistereo,bias_type\n0,"The" kelp,a,stereo,age', "line 2: "),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / FILE
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read({FILE: path})
    assert str(path) in caught.value.message


@pytest.mark.shared
def test_the_published_file_is_read_in_full(shared_datasets: Path) -> None:
    items = read({FILE: shared_datasets / "crows_pairs" / FILE})
    assert len({item.id for item in items}) == 1508
    assert Counter(item.axis for item in items) == {
        "race-color": 516,
        "gender": 262,
        "socioeconomic": 172,
        "nationality": 159,
        "religion": 105,
        "age": 87,
        "sexual-orientation": 84,
        "physical-appearance": 63,
        "disability": 60,
    }
    assert sum(item.content["antistereo"] for item in items) == 218


@pytest.mark.shared
def test_every_published_pair_has_a_control_as_long_as_its_sentences(shared_datasets: Path) -> None:
    items = read({FILE: shared_datasets / "crows_pairs" / FILE})
    excess = []
    for item in items:
        words = {side: len(item.content[side].split()) for side in ("more", "less", "control")}
        assert min(words["more"], words["less"]) <= words["control"] <= max(words["more"], words["less"]) + 2
        length = {side: len(item.content[side]) for side in ("more", "less", "control")}
        excess.append(length["control"] - (length["more"] + length["less"]) / 2)
    assert abs(sum(excess) / len(excess)) < 0.1  # characters: on average no longer, no shorter
