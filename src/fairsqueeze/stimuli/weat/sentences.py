"""The semantically bleached sentences of SEAT: what is said of a word, by its kind.

May et al. 2019 (NAACL, arXiv:1903.10561), section 3: every word goes into all sentences that its kind allows ("This is
Katie.", "The daughter is there."). The templates here are those behind the published files, whose sentences they
reproduce; each has a letter, by which tests.toml names the few sentences that the published files lack.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import Literal

Kind = Literal["name", "thing", "person", "mass", "adjective", "verb", "he", "him", "his"]

_COUNTED = (
    "This is {a} {one}.",
    "That is {a} {one}.",
    "There is {a} {one}.",
    "Here is {a} {one}.",
    "The {one} is here.",
    "The {one} is there.",
)
_SEVERAL = (
    "These are {many}.",
    "Those are {many}.",
    "They are {many}.",
    "The {many} are here.",
    "The {many} are there.",
)

TEMPLATES: dict[Kind, tuple[str, ...]] = {
    "name": (
        "This is {one}.",
        "That is {one}.",
        "There is {one}.",
        "Here is {one}.",
        "{one} is here.",
        "{one} is there.",
        "{one} is a person.",
        "The person's name is {one}.",
    ),
    "thing": (*_COUNTED, "{A} {one} is a thing.", "It is {a} {one}.", *_SEVERAL, "{Many} are things."),
    "person": (*_COUNTED, "{A} {one} is a person.", *_SEVERAL, "{Many} are people."),
    "mass": ("This is {one}.", "That is {one}.", "There is {one}.", "It is {one}."),
    "adjective": ("This is {one}.", "That is {one}.", "They are {one}."),
    "verb": tuple(f"{who} {how} {{one}}." for how in ("will", "did", "can", "may") for who in ("This", "That")),
    "he": ("{One} is here.", "{One} is there.", "Here {one} is.", "There {one} is.", "{One} is a person."),
    "him": ("It is {one}.", "This is {one}.", "That is {one}."),
    "his": (
        "This is {one}.",
        "That is {one}.",
        "There is {one}.",
        "Here is {one}.",
        "It is {one}.",
        "{One} is there.",
        "{One} is here.",
    ),
}


@dataclass(frozen=True)
class Word:
    """A word as the WEAT lists have it, with what its sentences need.

    Args:
        text: the word of the list (`parents`).
        kind: which templates it goes into.
        one, many: singular and plural in the sentences (`parent`, `parents`).
        article: "a" or "an", before the singular.
    """

    text: str
    kind: Kind
    one: str
    many: str
    article: str

    def sentences(self, left_out: str = "") -> list[str]:
        """All sentences of the word but those whose letters (a for the first template, …) are in `left_out`."""
        words = {"one": self.one, "many": self.many, "a": self.article, "A": self.article.capitalize()}
        words |= {"One": _capital(self.one), "Many": _capital(self.many)}
        lettered = zip(ascii_lowercase, TEMPLATES[self.kind], strict=False)
        return [template.format(**words) for letter, template in lettered if letter not in left_out]


def word_of(text: str, kind: Kind, forms: dict[str, tuple[str, str]], articles: dict[str, str]) -> Word:
    """The word `text` with its forms: those given, else by the rules of English spelling (`bus`, `buses`)."""
    one, many = forms.get(text, (text, _plural(text)))
    article = articles.get(one, "an" if one[0].lower() in "aeiou" else "a")
    return Word(text, kind, one, many, article)


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return f"{word[:-1]}ies"
    return f"{word}s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
