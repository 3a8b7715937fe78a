"""Sentence pairs with a similarity from 0 to 5: STS-B's own files, and a user's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from fairsqueeze.errors import AssetError, DataError
from fairsqueeze.items import Item
from fairsqueeze.stimuli.labelled import read_examples


def sts_benchmark(files: Mapping[str, Path], part: Literal["train", "dev", "test"]) -> list[Item]:
    """STS-B as published: genre, file, year, number, score, two sentences, and in some rows their licences.

    Axis: the genre. Cluster: the source file, year and number of a pair, which are its own.
    """
    name = f"sts-{part}.tsv"
    if name not in files:
        raise AssetError(
            f"'stsb' is not on this machine: {name} was not found.",
            f"It can't be fetched; let FAIRSQUEEZE_DATA name a folder that holds stsb/original/{name}, "
            "or give file=PATH.",
        )
    path = files[name]
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line:
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) < 7:
            raise DataError(f"{path}, line {number}: {len(fields)} fields instead of 7 or more.", "Fetch it again.")
        found.append(_item(path, number, fields[0], fields[5], fields[6], fields[4]))
    return found


def from_file(file: str) -> list[Item]:
    """A user's pairs (`labelled.read_examples`), whose labels are numbers."""
    path = Path(file).expanduser()
    return [_item(path, n, "file", e.first, e.second, e.label) for n, e in enumerate(read_examples(path), start=1)]


def _item(path: Path, number: int, axis: str, first: str, second: str, score: str) -> Item:
    try:
        gold = float(score)
    except ValueError:
        gold = math.nan
    if not math.isfinite(gold):
        raise DataError(f"{path}, line {number}: the score {score!r} is no number.", "A similarity is a number.")
    content = {"first": first.strip(), "second": second.strip(), "gold": gold}
    return Item(f"{number}", axis, "", f"{number}", content)
