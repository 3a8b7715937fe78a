"""Running text for perplexity: WikiText-2's test split where it is located, else the text that the package ships."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Literal

from fairsqueeze.errors import DataError

Text = Literal["wikitext2", "package"]
WIKITEXT = "test.txt"


def running_text(files: Mapping[str, Path], wanted: Text) -> tuple[str, str]:
    """(name of the text used, text). Asked for `wikitext2` without having it, the package's text is used and named."""
    if wanted == "wikitext2" and WIKITEXT in files:
        try:
            text = files[WIKITEXT].read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{files[WIKITEXT]} is not UTF-8 text: {error}.", "Fetch wikitext2 again.") from None
        return "wikitext2-test", text
    path = resources("fairsqueeze.stimuli").joinpath("text/package_text.txt")
    return "package-text", path.read_text(encoding="utf-8")


def sentences(text: str) -> list[str]:
    """Sentences of at least five words, headings of WikiText left out; each once, in order."""
    found = []
    for line in text.split("\n"):
        line = line.strip()
        if not line or line.startswith("="):
            continue
        found += [s.strip() for s in re.split(r"(?<=[.!?])\s+(?=[A-Z\"])", line) if len(s.split()) >= 5]
    return list(dict.fromkeys(found))
