"""Sentence pairs for training the built-in classifier and regressor, with what is held out; nothing is kept here."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

LABELS = ("entailment", "neutral", "contradiction")
Pair = tuple[str, str, float]
MNLI_HELD_OUT = 2500


def nli(data: Path) -> tuple[list[Pair], list[Pair]]:
    """(training, held out): 2,500 MNLI matched items are held out, by seed 0; their premises are never trained on."""
    mnli = _mnli(data)
    chosen = set(np.random.default_rng(0).choice(len(mnli), MNLI_HELD_OUT, replace=False).tolist())
    held_out = [pair for k, pair in enumerate(mnli) if k in chosen]
    premises = {pair[0] for pair in held_out}
    rest = [pair for k, pair in enumerate(mnli) if k not in chosen and pair[0] not in premises]
    return _distinct([*rest, *rest, *_snli(data), *_cad(data), *_sick(data)]), held_out


def sts(data: Path) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """(train, dev, test) of STS-B, scores 0 to 5."""
    return tuple(_sts(data / f"stsb/original/sts-{part}.tsv") for part in ("train", "dev", "test"))


def _distinct(pairs: list[Pair]) -> list[Pair]:
    """At most two copies of a pair: MNLI counts twice, being the target."""
    seen: dict[Pair, int] = {}
    for pair in pairs:
        seen[pair] = min(2, seen.get(pair, 0) + 1)
    return [pair for pair, n in seen.items() for _ in range(n)]


def _mnli(data: Path) -> list[Pair]:
    path = data / "mnli_dev_matched/mnli_development_set_number_of_correct_responses.txt"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [(row[1].strip(), row[2].strip(), LABELS.index(row[3])) for row in rows]


def _snli(data: Path) -> list[Pair]:
    found = []
    for name in ("validation", "test"):
        with (data / f"snli_dev_test/{name}.tsv").open(encoding="utf-8", newline="") as file:
            found += [(r["premise"], r["hypothesis"], int(r["label"])) for r in csv.DictReader(file, delimiter="\t")]
    return found


def _cad(data: Path) -> list[Pair]:
    with (data / "snli_cad/all_combined/train.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(r["sentence1"], r["sentence2"], LABELS.index(r["gold_label"])) for r in rows]


def _sick(data: Path) -> list[Pair]:
    found = []
    for name in ("SICK_train", "SICK_trial", "SICK_test_annotated"):
        lines = (data / f"sick/semeval2014/{name}.txt").read_text(encoding="utf-8").splitlines()[1:]
        rows = [line.split("\t") for line in lines]
        found += [(r[1], r[2], LABELS.index(r[4].strip().lower())) for r in rows]
    return found


def _sts(path: Path) -> list[Pair]:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return [(r[5].strip(), r[6].strip(), float(r[4])) for r in rows]
