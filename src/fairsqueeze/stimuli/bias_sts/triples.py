"""Bias-STS as triples: the same sentence about a man, about a woman and about somebody of an occupation.

Published: the 16,980 triples that Hessenthaler et al. 2022 and Mannheim 2024 use, 283 sentences of STS-B with a man as
subject × 60 occupations (eight sentences stand in it twice). Own: 86 templates of the package × the same occupations.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Literal

import numpy as np

from fairsqueeze.errors import AssetError, DataError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Source = Literal["auto", "published", "own"]
PUBLISHED = "bias_evaluation_STS-B.tsv"
DATA = "bias_sts"
REMEDY = f"Expected man, occupation, woman, occupation sentence, separated by tabs; fetch {DATA} again."
COLUMNS = 4
EVERYDAY = frozenset(
    ["a", "an", "the", "is", "are", "of", "in", "on", "with", "to", "at", "and", "into", "onto", "some", "for", "from"]
) | {"his", "her", "it", "by", "up", "down"}
"""Words that two sentences may have in common without being about the same thing."""


@dataclass(frozen=True)
class Template:
    """The same sentence about a man and a woman."""

    man: str
    woman: str

    @property
    def gentleman(self) -> str:
        """The sentence about the man in other words."""
        return _other_word(self.man, "man", "gentleman")

    @property
    def lady(self) -> str:
        """The sentence about the woman in other words."""
        return _other_word(self.woman, "woman", "lady")

    @property
    def content(self) -> frozenset[str]:
        """Words that say what the sentence is about."""
        return frozenset(re.findall(r"[a-z]+", self.man.lower())) - EVERYDAY - {"man"}


@dataclass(frozen=True)
class Triple:
    """A template and its sentence about somebody of an occupation. `number` tells equal ones apart."""

    template: Template
    occupation: str
    sentence: str
    number: int = 0


def triples(files: Mapping[str, Path], source: Source) -> tuple[str, list[Triple]]:
    """(which sentences are used: published or own, the triples).

    Raises AssetError where the published ones are asked for and not here, DataError where their file is malformed.
    """
    if source == "own" or (source == "auto" and PUBLISHED not in files):
        return "own", _own()
    if PUBLISHED not in files:
        raise AssetError(f"{PUBLISHED} is not on this machine.", f"Run `fairsqueeze fetch {DATA}`, or give source=own.")
    return "published", read(files[PUBLISHED])


def read(path: Path) -> list[Triple]:
    """The triples of the published file; DataError, with the line, where it is not one."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}.", REMEDY) from None
    found = []
    seen: Counter[tuple[str, str]] = Counter()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        triple = _triple(line.split("\t"), f"{path}, line {number}")
        key = (triple.template.man, triple.occupation)
        found.append(Triple(triple.template, triple.occupation, triple.sentence, seen[key]))
        seen[key] += 1
    if not found:
        raise DataError(f"{path} is empty.", REMEDY)
    return found


def _triple(columns: Sequence[str], where: str) -> Triple:
    if len(columns) != COLUMNS:
        raise DataError(f"{where} has {len(columns)} columns.", REMEDY)
    man, sentence, woman, again = (text.strip() for text in columns)
    others = {differing(man, woman), differing(man, sentence)}
    occupation = differing(man, sentence)
    if sentence != again or differing(man, woman) != ("man", "woman") or occupation is None or None in others:
        raise DataError(f"{where} is not one sentence about a man, an occupation and a woman.", REMEDY)
    if occupation[0] != "man":
        raise DataError(f"{where}: the occupation does not stand for the man.", REMEDY)
    return Triple(Template(man, woman), occupation[1], sentence)


def differing(one: str, other: str) -> tuple[str, str] | None:
    """The only word in which two sentences differ, in both; None if they differ otherwise."""
    words, others = one.split(), other.split()
    pairs = [(a, b) for a, b in zip(words, others, strict=False) if a != b]
    return pairs[0] if len(words) == len(others) and len(pairs) == 1 else None


def unrelated(templates: Sequence[Template]) -> list[Template]:
    """For every template another one that shares no content word with it, each standing for one (a permutation).

    Each is used once, so that what a sentence does by itself to a model's scores cancels over all. Where templates are
    too alike for that, some are left with one that shares words, as few as a greedy search over fixed rotations finds;
    never with themselves (unless there is one only).
    """
    order = np.random.default_rng(len(templates)).permutation(len(templates))
    content = [templates[k].content for k in order]
    best, fewest = 1, len(order) + 1
    for shift in range(1, len(order)):
        shared = sum(bool(own & content[(k + shift) % len(order)]) for k, own in enumerate(content))
        if shared < fewest:
            best, fewest = shift, shared
    partner = {int(k): int(order[(place + best) % len(order)]) for place, k in enumerate(order)}
    _repair(partner, [template.content for template in templates])
    return [templates[partner[k]] for k in range(len(templates))]


def _repair(partner: dict[int, int], content: Sequence[frozenset[str]]) -> None:
    """Swap partners of templates until no swap lowers the number of pairs that share words."""
    for k in partner:
        if not content[k] & content[partner[k]]:
            continue
        for other in partner:
            mine, theirs = partner[other], partner[k]
            fits = not content[k] & content[mine] and not content[other] & content[theirs]
            if fits and mine != k and theirs != other:
                partner[k], partner[other] = mine, theirs
                break


def _own() -> list[Triple]:
    text = (package_files("fairsqueeze.stimuli.bias_sts") / "templates.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    found = []
    for activity in table["activities"]:
        template = Template(f"A man is {activity}.", f"A woman is {activity}.")
        for occupation in table["occupations"]:
            article = "An" if occupation[0] in "aeiou" else "A"
            found.append(Triple(template, occupation, f"{article} {occupation} is {activity}."))
    return found


def _other_word(text: str, word: str, other: str) -> str:
    return re.sub(rf"\b{word}\b", other, text, count=1)
