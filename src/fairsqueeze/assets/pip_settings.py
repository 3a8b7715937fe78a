"""Where the user's pip would look for a wheel, and how it gets there: its configuration files and PIP_ variables."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_DEFAULT_INDEX = "https://pypi.org/simple"


@dataclass(frozen=True)
class PipSettings:
    """What of pip's configuration bears on finding a wheel; `indexes` and `find_links` in pip's order."""

    indexes: tuple[str, ...] = (_DEFAULT_INDEX,)
    find_links: tuple[str, ...] = ()
    cert: str | None = None
    proxy: str | None = None


def has_pip() -> bool:
    """Whether this Python can run pip."""
    return importlib.util.find_spec("pip") is not None


def read() -> PipSettings:
    """The settings that pip itself reports; without pip, those of the PIP_ variables alone."""
    values = _variables(os.environ)
    if has_pip():
        shown = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
        )
        values = parse(shown.stdout) | values
    return from_values(values)


def from_values(values: Mapping[str, str]) -> PipSettings:
    """Settings from pip's option names (`index-url`, …), each a string in which blanks separate several."""
    indexes: list[str] = []
    if values.get("no-index", "").lower() not in ("1", "true", "yes", "on"):
        indexes = [values.get("index-url", _DEFAULT_INDEX), *values.get("extra-index-url", "").split()]
    return PipSettings(
        indexes=tuple(url.rstrip("/") for url in indexes),
        find_links=tuple(values.get("find-links", "").split()),
        cert=values.get("cert"),
        proxy=values.get("proxy"),
    )


def parse(listing: str) -> dict[str, str]:
    """What `pip config list` prints (`section.name='value'` lines), by name; [download] goes before [global]."""
    values: dict[str, str] = {}
    for section in ("global", "download", ":env:"):
        for line in listing.splitlines():
            key, equals, value = line.partition("=")
            if equals and key.startswith(f"{section}."):
                values[key.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return values


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix("PIP_").lower().replace("_", "-"): value
        for key, value in environment.items()
        if key.startswith("PIP_") and value
    }
