"""StereoSet: its file as items of the intrasentence and the intersentence part."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any, Literal

from fairsqueeze.engine.requests import BLANK
from fairsqueeze.errors import DataError
from fairsqueeze.items import Item

AXES = frozenset({"gender", "profession", "race", "religion"})
OPTIONS = {"stereotype": "s", "anti-stereotype": "a", "unrelated": "u"}
"""Gold labels, and the letters that stand for them: S, A, U."""

REMEDY = "Fetch the original file with `fairsqueeze fetch {asset}`."
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def read(path: Path, part: Literal["intrasentence", "intersentence"]) -> list[Item]:
    """The items of one part, in the order of the file; 2,106 intrasentence ones in the development file.

    Axis: the bias type. Group and cluster: the target term. `content`: `context` and, for each of "s", "a", "u",
    `{"id", "sentence"}`; intrasentence options also have `word` (what the reference code takes for the word at BLANK:
    the sentence's word at the place of the context's last word with BLANK, without punctuation; None if there is none)
    and `span` (what stands in place of BLANK; None unless the sentence is the context with BLANK filled once, up to
    case), and the item has `initial`: whether no word stands before BLANK.

    Raises:
        DataError: not a StereoSet file; names the place in it.
    """
    remedy = REMEDY.format(asset="stereoset_test" if path.name == "test.json" else "stereoset")
    examples = _examples(path, part, remedy)
    items = []
    for number, example in enumerate(examples):
        where = f"{path}: data.{part}[{number}]"
        items.append(_item(example, part, where, remedy))
    ids = {item.id for item in items}
    if len(ids) != len(items):
        raise DataError(f"{path}: data.{part} has two items with one id.", remedy)
    return items


def _examples(path: Path, part: str, remedy: str) -> list[Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.", remedy) from None
    except json.JSONDecodeError as error:
        if not path.stat().st_size:
            raise DataError(f"{path} is empty.", remedy) from None
        raise DataError(f"{path}, line {error.lineno}: no valid JSON: {error.msg}.", remedy) from None
    try:
        examples = document["data"][part]
    except (KeyError, TypeError):
        raise DataError(f"{path} has no data.{part}.", remedy) from None
    if not isinstance(examples, list) or not examples:
        raise DataError(f"{path}: data.{part} is no list, or an empty one.", remedy)
    return examples


def _item(example: Any, part: str, where: str, remedy: str) -> Item:
    fields = {name: _text(example, name, where, remedy) for name in ("id", "target", "bias_type", "context")}
    if fields["bias_type"] not in AXES:
        raise DataError(
            f"{where}: bias_type is {fields['bias_type']!r}; expected one of {', '.join(sorted(AXES))}.", remedy
        )
    context = fields["context"]
    content: dict[str, Any] = {"context": context}
    if part == "intrasentence":
        if BLANK not in context:
            raise DataError(f"{where}: the context has no {BLANK}.", remedy)
        content["initial"] = not any(c.isalnum() for c in context.split(BLANK)[0])
    sentences = example.get("sentences")
    if not isinstance(sentences, list) or len(sentences) != len(OPTIONS):
        raise DataError(f"{where}: expected a list of {len(OPTIONS)} sentences.", remedy)
    for sentence in sentences:
        label = _text(sentence, "gold_label", where, remedy)
        if label not in OPTIONS or OPTIONS[label] in content:
            raise DataError(f"{where}: gold_label is {label!r}; expected each of {', '.join(OPTIONS)} once.", remedy)
        text = _text(sentence, "sentence", where, remedy)
        option: dict[str, Any] = {"id": _text(sentence, "id", where, remedy), "sentence": text}
        if part == "intrasentence":
            option |= {"word": word_at_blank(context, text), "span": span_at_blank(context, text)}
        content[OPTIONS[label]] = option
    return Item(fields["id"], fields["bias_type"], fields["target"], fields["target"], content)


def word_at_blank(context: str, sentence: str) -> str | None:
    """The word that StereoSet's dataloader scores as the filling of BLANK, without punctuation; None if there is none.

    It counts words from the left, so where a filling has several words it takes the first.
    """
    at = max(index for index, word in enumerate(context.split(" ")) if BLANK in word)
    words = sentence.split(" ")
    if at >= len(words):
        return None
    return words[at].translate(_NO_PUNCTUATION) or None


def span_at_blank(context: str, sentence: str) -> str | None:
    """What `sentence` has in the place of BLANK; None unless it is `context` with its only BLANK filled, up to case."""
    if context.count(BLANK) != 1:
        return None
    before, after = context.split(BLANK)
    span = sentence[len(before) : len(sentence) - len(after)]
    fits = sentence.lower().startswith(before.lower()) and sentence.lower().endswith(after.lower())
    return span if fits and span.strip() else None


def _text(value: Any, name: str, where: str, remedy: str) -> str:
    text = value.get(name) if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: {name!r} is missing or no text.", remedy)
    return text
