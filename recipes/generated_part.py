"""Pages that are part written and part generated: a recipe replaces what stands between its two marks only."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, part: str, lines: list[str]) -> None:
    """Replace the generated `part` of `page`; a part that is not there yet is added at the end.

    The marks are `<!-- generated: PART -->` and `<!-- end: PART -->`, each on a line of its own.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    first, last = f"<!-- generated: {part} -->", f"<!-- end: {part} -->"
    block = "\n".join([first, "", *lines, "", last])
    if first in text:
        before, rest = text.split(first, 1)
        text = before + block + rest.split(last, 1)[1]
    else:
        text = f"{text.rstrip()}\n\n{block}\n".lstrip()
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
