"""The tests: which four sets of words or sentences each compares, generated from the tables words.toml and tests.toml.

Sources: WEAT 1-10 from Caliskan et al. 2017 (Science 356:183, supplement); the b variants, "angry black woman" and
"double bind" from May et al. 2019 (arXiv:1903.10561); religion from Meade et al. 2022 (ACL, arXiv:2110.08527). Eight
double-bind tests are long passages after Heilman et al. 2004; the package does not carry them, they are read from the
data set `weat_seat` where it is found.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, Literal

from fairsqueeze.errors import DataError
from fairsqueeze.stimuli.weat.sentences import Word, word_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = "weat_seat"
"""The data set that holds the double-bind passages."""

SETS = ("X", "Y", "A", "B")
"""Two sets of targets and two of attributes; the stereotype joins X with A and Y with B."""

_FILE_SETS = dict(zip(SETS, ("targ1", "targ2", "attr1", "attr2"), strict=True))


@dataclass(frozen=True)
class Text:
    """A word or sentence of a test: what the model reads, and the word or name that it is about."""

    text: str
    word: str


@dataclass(frozen=True)
class Test:
    """One association test.

    Args:
        name: as the published files have it (`weat6`, `sent-weat6b`, `heilman_double_bind_likable_1-`).
        axis: gender, race, religion, illness or age; None for tests 1 and 2, which no group is the subject of.
        categories: what each of the sets X, Y, A, B is called.
        texts: the four sets.
        absent: why the test can't be run here; "" if it can.
    """

    __test__ = False  # not a test case of pytest's

    name: str
    axis: str | None
    categories: Mapping[str, str]
    texts: Mapping[str, tuple[Text, ...]] = field(default_factory=dict)
    absent: str = ""


def word_tests() -> list[Test]:
    """The 19 tests on bare words: WEAT 1-10 with variants, angry black woman, double bind."""
    return [_words(name) for name, entry in _tests().items() if "words" in entry["as"]]


def sentence_tests(files: Mapping[str, Path]) -> list[Test]:
    """The 35 tests on sentences, as the studies use them.

    23 of bleached sentences, and twelve that are not made from templates: angry black woman and double bind as bare
    words (4) and double-bind passages (8).

    Args:
        files: located files by name. A passage whose file is not among them is returned as absent, with the reason.

    Raises DataError if a passage's file is malformed.
    """
    generated = [_sentences(name) for name, entry in _tests().items() if "sentences" in entry["as"]]
    bare = [_words(name) for name, entry in _tests().items() if entry.get("bare_in_seat", False)]
    return generated + bare + [_passage(name, files.get(f"{name}.jsonl")) for name in _table("tests.toml")["passages"]]


def passage_chance() -> dict[str, float]:
    """Mean |d| of random networks (`chance`) on the double-bind passages, by test: they can't be simulated without."""
    return {name: entry["chance"] for name, entry in _table("tests.toml")["passages"].items()}


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((package_files("fairsqueeze.stimuli.weat") / name).read_text(encoding="utf-8"))


def _tests() -> dict[str, dict[str, Any]]:
    return _table("tests.toml")["tests"]


@cache
def _set(name: str) -> tuple[str, tuple[Word, ...]]:
    """The category and the words of a set of words.toml."""
    table = _table("words.toml")
    entry = table["sets"][name]
    kinds = {word: kind for kind, words in entry.get("kinds", {}).items() for word in words}
    forms = {word: (one, many) for word, (one, many) in table["forms"].items()}
    words = [word_of(word, kinds.get(word, entry["kind"]), forms, table["articles"]) for word in entry["words"]]
    return entry["category"], tuple(words)


def _test(name: str, published: str, texts: Mapping[str, tuple[Text, ...]]) -> Test:
    entry = _tests()[name]
    categories = {s: _set(entry[s])[0] for s in SETS}
    return Test(published, entry["axis"] or None, categories, texts)


def _words(name: str) -> Test:
    sets = {s: _set(_tests()[name][s])[1] for s in SETS}
    return _test(name, name, {s: tuple(Text(word.text, word.text) for word in words) for s, words in sets.items()})


def _sentences(name: str) -> Test:
    entry = _tests()[name]
    left_out = entry.get("left_out", {})
    texts = {
        s: tuple(
            Text(sentence, word.text)
            for word in _set(entry[s])[1]
            for sentence in word.sentences(left_out.get(word.text, ""))
        )
        for s in SETS
    }
    return _test(name, f"sent-{name}", texts)


def _passage(name: str, path: Path | None) -> Test:
    axis = _table("tests.toml")["passages"][name]["axis"]
    if path is None:
        return Test(name, axis, dict.fromkeys(SETS, ""), absent=f"needs the data set {DATA}")
    return read_test(path, name, axis)


def read_test(path: Path, name: str, axis: Literal["gender", "race", "religion", "illness", "age"] | None) -> Test:
    """A test from a file of sent-bias or Bias Bench: JSON with targ1, targ2, attr1 and attr2.

    A text's word is its first one: double-bind passages begin with the person's name.
    Raises DataError if the file is not such a test.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        categories = {s: str(content[key]["category"]) for s, key in _FILE_SETS.items()}
        texts = {
            s: tuple(Text(t, t.split()[0]) for t in map(_text, content[key]["examples"]))
            for s, key in _FILE_SETS.items()
        }
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{path} is not an association test: {type(error).__name__} {error}.",
            f"Expected JSON with targ1, targ2, attr1, attr2, each with category and examples; fetch {DATA} again.",
        ) from error
    if not all(texts.values()):
        raise DataError(f"{path} has an empty set.", f"Fetch {DATA} again.")
    return Test(name, axis, categories, texts)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is not a text")
    return value
