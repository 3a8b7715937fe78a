"""Which way an occupation leans: the stereotype that a measure of gender and occupation is signed by."""

from __future__ import annotations

import sys
from functools import cache
from importlib.resources import files as package_files
from typing import Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Leaning = Literal[1, 0, -1]
"""1 male, -1 female, 0 not stated."""


def leaning_of(occupation: str) -> Leaning:
    """1 where at most 35 % of the people in this occupation are women, -1 where at least 65 % are, else 0.

    Source: shares of the US Bureau of Labor Statistics; see occupations.toml. 0 also where there is no figure.
    """
    return _leanings().get(occupation, 0)


@cache
def _leanings() -> dict[str, Leaning]:
    text = (package_files("fairsqueeze.stimuli") / "occupations.toml").read_text(encoding="utf-8")
    found: dict[str, Leaning] = {}
    for source in tomllib.loads(text).values():
        found |= dict.fromkeys(source["male"], 1) | dict.fromkeys(source["female"], -1)
    return found
