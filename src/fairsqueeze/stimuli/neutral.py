"""Neutral contexts: what words get where nothing speaks for or against them, and scores corrected for it.

The prior-corrected score of words in a context is `log p(words | context) − log p(words | neutral context)`: domain-
conditional pointwise mutual information (Holtzman et al. 2021, arXiv:2104.08315), averaged over a few contexts, since
none is neutral beyond doubt. The contexts are our own; they name no person, group, thing or quality.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fairsqueeze.engine.requests import BLANK, BlankFill, TextLogProb


@dataclass(frozen=True)
class Neutral:
    """What stands before and after the words: a causal model sees the first only, a masked model both."""

    before: str
    after: str

    def filled(self, text: str) -> str:
        """The context with `text` (which brings its own blank in front) in its place."""
        return f"{self.before}{text}{self.after}"

    def after_which(self, text: str, bos: Literal["prepend", "first"]) -> TextLogProb:
        """The request for log p(text | before) of a causal model."""
        return TextLogProb(text, prefix=self.before, bos=bos)

    def blank(self, word: str) -> BlankFill:
        """The request for the log-probability of `word` in this context, of a masked model."""
        gap = " " if self.before[-1:].isalnum() else ""
        return BlankFill(f"{self.before}{gap}{BLANK}{self.after}", word)


WITHIN = (
    Neutral("This is about", "."),
    Neutral("They said", "."),
    Neutral("Here is", "."),
    Neutral("The answer is", "."),
)
"""For words in the middle of a sentence."""

INITIAL = (
    Neutral("This is it.\n", " and so on."),
    Neutral("They said this.\n", " and so on."),
    Neutral("Here it is.\n", " and so on."),
    Neutral("The answer is this.\n", " and so on."),
)
"""For words that begin a sentence: they start a line, so that they have the tokens that they have at the very start."""


def contexts(initial: bool) -> tuple[Neutral, ...]:
    """The neutral contexts for words that begin a sentence, or don't; equally many of both."""
    return INITIAL if initial else WITHIN


N_CONTEXTS = len(WITHIN)
