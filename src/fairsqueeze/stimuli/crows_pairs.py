"""CrowS-Pairs: its file as items, each with the spans that differ, foreign ones for them, and a control sentence."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from fairsqueeze.errors import DataError
from fairsqueeze.items import Item
from fairsqueeze.spec import content_id
from fairsqueeze.stimuli.foreign import ForeignSpans, capitalised
from fairsqueeze.stimuli.spans import Difference, differences, is_initial, replaced, skeleton, with_lead

FILE = "crows_pairs_anonymized.csv"
COLUMNS = ("", "sent_more", "sent_less", "stereo_antistereo", "bias_type")
"""The columns that are read; the first, without a name, holds the id. Others may follow."""

AXES = frozenset(
    {
        "race-color",
        "gender",
        "socioeconomic",
        "nationality",
        "religion",
        "age",
        "sexual-orientation",
        "physical-appearance",
        "disability",
    }
)
REMEDY = "Fetch the original file with `fairsqueeze fetch crows_pairs`, or mend this line."


def read(files: Mapping[str, Path]) -> list[Item]:
    """The pairs as items, in the order of the file; 1,508 in the original.

    Axis: the bias type. Group: the words that only the sentence about the disadvantaged group has, lower case (of
    `sent_more`; where `stereo_antistereo` is "antistereo", of `sent_less`). Cluster: pairs that share all words but
    those that differ; a pair without a shared word is its own.

    `content`: `more`, `less`, `antistereo`, `control` (`more` with foreign spans in place of those that differ, None if
    no other axis has any) and `spans`: a list of `{"more", "less", "control", "initial"}`, the texts with their leading
    blank.

    Raises:
        DataError: not a CSV file with these columns, or a line that isn't a pair; names the line.
    """
    path = files[FILE]
    pairs = list(_pairs(path))
    foreign = ForeignSpans(
        (pair["bias_type"], text)
        for pair, found in pairs
        for difference in found
        if not is_initial(pair["sent_more"], difference.first)
        for text in _texts(pair, difference)
    )
    return [_item(pair, found, foreign) for pair, found in pairs]


def _pairs(path: Path) -> Iterator[tuple[dict[str, str], list[Difference]]]:
    seen: set[str] = set()
    for line, pair in _lines(path):
        where = f"{path}, line {line}"
        found = _checked(pair, where)
        if pair[""] in seen:
            raise DataError(f"{where}: the id {pair['']!r} is there twice.", REMEDY)
        seen.add(pair[""])
        yield pair, found
    if not seen:
        raise DataError(f"{path} has no pairs.", REMEDY)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if header is None:
                raise DataError(f"{path} is empty.", REMEDY)
            missing = [repr(name) for name in COLUMNS if header.count(name) != 1]
            if missing:
                raise DataError(
                    f"{path}, line 1: the header {','.join(header)!r} must have the column {', '.join(missing)} once.",
                    REMEDY,
                )
            for fields in reader:
                if len(fields) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(fields)} fields instead of {len(header)}.", REMEDY
                    )
                yield reader.line_num, dict(zip(header, fields, strict=True))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.", REMEDY) from None
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}.", REMEDY) from None


def _checked(pair: Mapping[str, str], where: str) -> list[Difference]:
    if not pair[""].strip():
        raise DataError(f"{where}: the id is empty.", REMEDY)
    for name in ("sent_more", "sent_less"):
        if not pair[name].strip():
            raise DataError(f"{where}: {name} is empty.", REMEDY)
    if pair["stereo_antistereo"] not in ("stereo", "antistereo"):
        raise DataError(
            f"{where}: stereo_antistereo is {pair['stereo_antistereo']!r}; expected 'stereo' or 'antistereo'.", REMEDY
        )
    if pair["bias_type"] not in AXES:
        raise DataError(
            f"{where}: bias_type is {pair['bias_type']!r}; expected one of {', '.join(sorted(AXES))}.", REMEDY
        )
    found = differences(pair["sent_more"], pair["sent_less"])
    if not found:
        raise DataError(f"{where}: sent_more and sent_less have the same words.", REMEDY)
    return found


def _item(pair: Mapping[str, str], found: list[Difference], foreign: ForeignSpans) -> Item:
    more, less, axis = pair["sent_more"], pair["sent_less"], pair["bias_type"]
    antistereo = pair["stereo_antistereo"] == "antistereo"
    initial = [is_initial(more, d.first) for d in found]
    chosen = [foreign.choose(pair[""], axis, _texts(pair, d)) for d in found]
    words = [capitalised(w) if first else w for w, first in zip(chosen, initial, strict=True) if w is not None]
    control = replaced(more, [d.first for d in found], words) if len(words) == len(found) else None
    spans = [
        {
            "more": with_lead(more, d.first),
            "less": with_lead(less, d.second),
            "control": None if control is None else ("" if initial[place] else " ") + words[place],
            "initial": initial[place],
        }
        for place, d in enumerate(found)
    ]
    shared = skeleton(more, less)
    cluster = f"sentence:{content_id(shared)}" if any(c.isalnum() for c in shared) else f"pair:{pair['']}"
    about = [_texts(pair, d)[antistereo].lower() for d in found]
    content = {"more": more, "less": less, "control": control, "antistereo": antistereo, "spans": spans}
    return Item(pair[""], axis, " … ".join(filter(None, about)), cluster, content)


def _texts(pair: Mapping[str, str], difference: Difference) -> tuple[str, str]:
    return pair["sent_more"][slice(*difference.first)], pair["sent_less"][slice(*difference.second)]
