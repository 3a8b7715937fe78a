"""MNLI's development items as items: which of them, from which file, and which no built-in model was trained on."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fairsqueeze.errors import AssetError, DataError
from fairsqueeze.items import Item
from fairsqueeze.stimuli.labelled import Example, malformed, read_examples
from fairsqueeze.stimuli.nli_labels import LABELS, label_named

Part = Literal["held_out", "all"]

DEV = "mnli_development_set_number_of_correct_responses.txt"
HARDNESS = "mnli_validation_matched_hardness.csv"
HELD_OUT = 2500


def held_out(n: int) -> np.ndarray:
    """Which of the `n` matched items were kept from training the built-in classifiers: sorted positions in the file.

    2,500 drawn by `default_rng(0)`, as in `recipes/pair_data.py`; no premise of theirs was trained on either.
    """
    return np.sort(np.random.default_rng(0).choice(n, HELD_OUT, replace=False))


def matched(files: Mapping[str, Path], part: Part) -> list[Item]:
    """The items of the matched development set in the order of the file, in full 9,815; held out 2,500."""
    examples = _dev(_present(files, DEV, "mnli_dev_matched"))
    chosen = held_out(len(examples)) if part == "held_out" else np.arange(len(examples))
    return items_of([(int(k), examples[k]) for k in chosen], "matched", files[DEV])


def hard(files: Mapping[str, Path], part: Part) -> list[Item]:
    """Items that a classifier can't guess from the hypothesis alone, in tokenised text: matched, then mismatched.

    4,573 matched items, of which 1,136 are held out (found by their place in the hardness list), and 4,530 mismatched
    ones, none of which was trained on.
    """
    first = _hard(files, "MNLIMatchedHard")
    places = _hard_places(_present(files, HARDNESS, "mnli_dev_matched"))
    if len(places) != len(first):
        raise DataError(
            f"{files[HARDNESS]} marks {len(places)} items as hard, MNLIMatchedHard holds {len(first)}.",
            "The two do not belong together; fetch both again.",
        )
    n = len(_dev(_present(files, DEV, "mnli_dev_matched")))
    kept = set(held_out(n).tolist()) if part == "held_out" else set(range(n))
    chosen = [(k, example) for k, example in zip(places, first, strict=True) if k in kept]
    source = files["MNLIMatchedHard/s1.test"]
    second = list(enumerate(_hard(files, "MNLIMismatchedHard")))
    return [*items_of(chosen, "matched", source), *items_of(second, "mismatched", source)]


def from_files(file: str, mismatched: str) -> list[Item]:
    """Items of a user's own file, axis `file`; with a second file, axes `matched` and `mismatched`."""
    axis = "matched" if mismatched else "file"
    found = _numbered(Path(file).expanduser(), axis)
    return found + (_numbered(Path(mismatched).expanduser(), "mismatched") if mismatched else [])


def items_of(examples: Sequence[tuple[int, Example]], axis: str, path: Path) -> list[Item]:
    """(place in its file, example) as items: clusters are items that share a premise; `gold` is a label by its name.

    Labels may also be numbers in GLUE's order: 0 entailment, 1 neutral, 2 contradiction.
    """
    first_with: dict[str, int] = {}
    found = []
    for place, example in examples:
        gold = LABELS[int(example.label)] if example.label in ("0", "1", "2") else label_named(example.label)
        if gold is None:
            raise malformed(path, place + 1, f"its label {example.label!r} is no label of inference")
        premise = first_with.setdefault(example.first, place)
        content = {"premise": example.first, "hypothesis": example.second, "gold": gold}
        found.append(Item(f"{axis}:{place}", axis, gold, f"{axis}:{premise}", content))
    return found


def _numbered(path: Path, axis: str) -> list[Item]:
    return items_of(list(enumerate(read_examples(path))), axis, path)


def _present(files: Mapping[str, Path], name: str, asset: str) -> Path:
    if name not in files:
        raise AssetError(
            f"{asset!r} is not on this machine: {name} was not found.",
            f"It can't be fetched; let FAIRSQUEEZE_DATA name a folder that holds {asset}/{name}, or give file=PATH.",
        )
    return files[name]


def _dev(path: Path) -> list[Example]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[1:], start=2):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) != 5:
            raise malformed(path, number, f"{len(fields)} fields instead of 5")
        found.append(Example(fields[1].strip(), fields[2].strip(), fields[3]))
    return found


def _hard(files: Mapping[str, Path], folder: str) -> list[Example]:
    parts = []
    for name in ("s1", "s2", "labels"):
        path = _present(files, f"{folder}/{name}.test", "mnli_hard_and_samples")
        parts.append([line.strip() for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")])
    if len({len(part) for part in parts}) != 1:
        raise DataError(f"{folder} has {[len(part) for part in parts]} lines in its three files.", "Fetch it again.")
    return [Example(*fields) for fields in zip(*parts, strict=True)]


def _hard_places(path: Path) -> list[int]:
    with path.open(encoding="utf-8", newline="") as file:
        return [k for k, row in enumerate(csv.DictReader(file)) if row["hardness"] == "1"]
