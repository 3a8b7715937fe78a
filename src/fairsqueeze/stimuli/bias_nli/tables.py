"""The words of Bias-NLI, and the sentences made of them.

Dev et al. 2020 (AAAI 34:7659): premise and hypothesis are "A(n) {person} {verb} a(n) {object} ." with the same verb and
object. For gender the premise names an occupation and the hypothesis a gendered word; for the other axes the premise
has a polarised adjective before "person" and the hypothesis one of a nationality, religion or ethnicity.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from typing import Any, Literal

from fairsqueeze.stimuli.occupations import leaning_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

AxisName = Literal["gender", "nationality", "religion", "race"]
AXES: tuple[AxisName, ...] = ("gender", "nationality", "religion", "race")
VOWELS = "aeiou"


@dataclass(frozen=True)
class Template:
    """A verb and its object: what a premise and its hypothesis have in common."""

    verb: str
    object: str

    @property
    def name(self) -> str:
        return f"{self.verb} {self.object}"

    def sentence(self, person: str) -> str:
        """`An architect bought a car .`: capitalised, each article by the first letter of the word behind it."""
        text = f"{with_article(person)} {self.verb} {with_article(self.object)} ."
        return text[0].upper() + text[1:]


@dataclass(frozen=True)
class Axis:
    """One axis of the pairs.

    Args:
        premises: words of the premises that should say nothing about a group: occupations, or polarised adjectives.
        hypotheses: words of the hypotheses that name a group.
        poles: 1 and -1 for hypotheses at the two ends of a stereotype, 0 for the others, in their order.
        leanings: which pole each premise leans to: 1, -1, or 0 where no source states one.
        noun: whether the words stand by themselves; if not, before "person".
    """

    name: AxisName
    premises: tuple[str, ...]
    hypotheses: tuple[str, ...]
    poles: tuple[int, ...]
    leanings: Mapping[str, int]
    noun: bool

    def person(self, word: str) -> str:
        """How a person is called by this word."""
        return word if self.noun else f"{word} person"


def with_article(words: str) -> str:
    """`an architect`, `a car`: by the first letter, as the published pairs have it (`a SUV`, `a honest person`)."""
    return f"{'an' if words[0].lower() in VOWELS else 'a'} {words}"


@cache
def templates() -> tuple[Template, ...]:
    """The 1,968 pairs of a verb and an object that it takes, in alphabetical order within each sort of verb."""
    words = table()
    found = []
    for sort, kinds in words["takes"].items():
        objects = sorted({word for kind in kinds for word in words["objects"][kind]})
        found += [Template(verb, thing) for verb in words["verbs"][sort] for thing in objects]
    return tuple(found)


@cache
def axis_of(name: AxisName) -> Axis:
    """The premises and hypotheses of one axis."""
    words = table()
    entry = words["axes"][name]
    noun = entry["form"] == "noun"
    polarised = dict.fromkeys(words["polarised"]["good"], 1) | dict.fromkeys(words["polarised"]["bad"], -1)
    premises = entry["premises"] if noun else sorted(polarised)
    return Axis(
        name,
        tuple(premises),
        tuple(entry["hypotheses"]),
        tuple((word in entry["first"]) - (word in entry["second"]) for word in entry["hypotheses"]),
        {word: leaning_of(word) if noun else polarised[word] for word in premises},
        noun,
    )


@cache
def table() -> dict[str, Any]:
    """The tables as they stand in tables.toml."""
    text = (package_files("fairsqueeze.stimuli.bias_nli") / "tables.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
