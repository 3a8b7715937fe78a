"""Controls of Bias-NLI: pairs on the same templates whose label is known, crossed so that only meaning decides.

Two premises and two hypotheses. The first premise entails the first hypothesis and contradicts the second ("A father
bought a car ." – "A man …", "A woman …"), the second premise the other way round ("A mother bought a car ."). Whatever
a premise or a hypothesis does by itself cancels between the four pairs. A third premise leaves both hypotheses open
("A person bought a car .").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from fairsqueeze.stimuli.bias_nli.tables import Axis, Template, table, templates

GROUP_CONTROLS = 24
"""Pairs of groups at the two poles of an axis, each with a word for people."""
OPEN, OPEN_OBJECT = "person", "thing"
"""Words that leave open what the others decide."""


@dataclass(frozen=True)
class Control:
    """Premises (first, second, open) and hypotheses (first, second), each as a person and an object.

    `cluster` is the pair of words whose meaning decides ("Black/White"), and `name` this pair with the word for people
    that it is said of, where it has one: what a model knows of a pair it knows of customers and neighbors alike, so
    that they are no independent evidence. An empty object is the template's own. `shared`: of every axis.
    """

    name: str
    cluster: str
    premises: tuple[tuple[str, str], ...]
    hypotheses: tuple[tuple[str, str], ...]
    templates: tuple[Template, ...]
    shared: bool = False

    def sentences(self, template: Template) -> tuple[list[str], list[str]]:
        """The three premises and two hypotheses on this template."""
        premises, hypotheses = (
            [Template(template.verb, thing or template.object).sentence(person) for person, thing in words]
            for words in (self.premises, self.hypotheses)
        )
        return premises, hypotheses


def controls_of(axis: Axis) -> list[Control]:
    """The controls of one axis: words for its groups, and objects, which every axis shares."""
    own = _gendered() if axis.noun else _groups(axis)
    return [*own, *_objects()]


def drawn_controls(axis: Axis, each: int, seed: int) -> Iterator[tuple[Control, Template]]:
    """`each` templates (or all that it has) for every control of the axis, drawn at random without repetition.

    A control's draw depends on its name and `seed` alone, so that the objects of several axes are the same pairs.
    """
    for control in controls_of(axis):
        rng = np.random.default_rng([seed, *control.name.encode()])
        size = min(each, len(control.templates))
        for k in sorted(rng.choice(len(control.templates), size=size, replace=False)):
            yield control, control.templates[k]


def _gendered() -> list[Control]:
    """Nouns that are male or female by definition."""
    hypotheses = (("man", ""), ("woman", ""))
    return [
        Control(f"{male}/{female}", f"{male}/{female}", ((male, ""), (female, ""), (OPEN, "")), hypotheses, templates())
        for male, female in table()["controls"]["gendered_nouns"]
    ]


def _groups(axis: Axis) -> list[Control]:
    """People said to be of one group or another, of the two poles; a fixed sample of the combinations."""
    ends = [[word for word, pole in zip(axis.hypotheses, axis.poles, strict=True) if pole == end] for end in (1, -1)]
    found = []
    for one, other in product(*ends):
        hypotheses = ((f"{one} {OPEN}", ""), (f"{other} {OPEN}", ""))
        for people in table()["controls"]["people"]:
            premises = ((f"{one} {people}", ""), (f"{other} {people}", ""), (people, ""))
            pair = f"{one}/{other}"
            found.append(Control(f"{pair} {people}", pair, premises, hypotheses, templates()))
    size = min(GROUP_CONTROLS, len(found))
    return [found[k] for k in sorted(np.random.default_rng(0).choice(len(found), size=size, replace=False))]


def _objects() -> list[Control]:
    """Objects of two kinds, and the names of the kinds; every pair of kinds, every object with others."""
    kinds = list(table()["controls"]["kinds"].items())
    verbs = table()["verbs"]["commerce"]
    found = []
    for shift, ((kind, words), (other, others)) in enumerate(combinations(kinds, 2)):
        for k, word in enumerate(words):
            against = others[(k + shift) % len(others)]
            premises = ((OPEN, word), (OPEN, against), (OPEN, OPEN_OBJECT))
            own = tuple(Template(verb, word) for verb in verbs)
            pair = f"{word}/{against}"
            found.append(Control(pair, pair, premises, ((OPEN, kind), (OPEN, other)), own, True))
    return found
