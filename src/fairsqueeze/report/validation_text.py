"""The report card of a measure as plain text, from its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap

from fairsqueeze.report.labels import measure_title
from fairsqueeze.report.validation_parts import Json, Part, criteria_part, decided_text, parts_of_card


def validation_text(card: Json) -> str:
    """The document `fairsqueeze.validation/1` as text: grade and criteria first, then the figures behind them."""
    measure, model = card["measure"], card["model"]
    lines = [f"{measure_title(measure['name'])} on {model['reference']}: grade {card['grade']}", decided_text(card)]
    lines += ["", *_lines(criteria_part(card))]
    for part in parts_of_card(card):
        lines += ["", part.title, *_lines(part)]
    lines += ["", "Known criticisms", *_bullets(card["criticisms"])]
    if card["warnings"]:
        lines += ["", *(f"note: {warning}" for warning in card["warnings"])]
    return "\n".join(lines)


def _lines(part: Part) -> list[str]:
    table = _table(part.head, part.rows) if part.head else []
    return table + [f"  {sentence}" for sentence in part.sentences]


def _bullets(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in wrap(text, 110, initial_indent="  - ", subsequent_indent="    ")]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell, two blanks apart."""
    everything = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[k]) for row in everything) for k in range(len(head))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in everything]
