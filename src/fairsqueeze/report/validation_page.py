"""The report card of a measure as one HTML page that needs no network, from its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairsqueeze.errors import StoreError
from fairsqueeze.report.damage import card_curves
from fairsqueeze.report.details import Grid, plain
from fairsqueeze.report.environment import drawn, environment
from fairsqueeze.report.figure import Figure, save_all
from fairsqueeze.report.labels import measure_title
from fairsqueeze.report.summary import Cell
from fairsqueeze.report.validation_parts import Json, Part, criteria_part, decided_text, parts_of_card

SCHEMA = "fairsqueeze.validation/1"


def checked_card(document: Any, where: str) -> Json:
    """`document` if it is a report card; StoreError otherwise."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise StoreError(f"{where} is no report card of fairsqueeze.", "Run fairsqueeze validate with another --out.")
    return document


def render_card(card: Json) -> str:
    """The page as HTML text. The same card gives the same text, byte for byte."""
    source = card["provenance"]
    pairs: list[tuple[str, Any]] = [
        ("model", card["model"]["reference"]),
        ("checkpoint id", card["model"]["id"]),
        ("measure", f"{card['measure']['name']}, version {card['measure']['version']}"),
        ("settings", plain(card["measure"].get("parameters") or {}) or "none"),
        ("seed, limit", f"{plain(source.get('seed'))}, {plain(source.get('limit'))}"),
        *((f"data {name}, sha256", plain(sha256)) for name, sha256 in (source.get("data") or {}).items()),
        ("libraries", plain(source.get("libraries"))),
        ("machine", plain(source.get("machine"))),
        ("time", f"{plain(source.get('wall_s'))} s wall, {plain(source.get('cpu_s'))} s CPU"),
    ]
    return (
        environment()
        .get_template("validation.html.j2")
        .render(
            card=card,
            title=f"{measure_title(card['measure']['name'])} on {card['model']['reference']}",
            command=source.get("command"),
            decided=decided_text(card),
            criteria=_grid(criteria_part(card)),
            figures=drawn(card_curves(card)),
            parts=[
                {"title": p.title, "grid": _grid(p) if p.rows else None, "sentences": p.sentences}
                for p in parts_of_card(card)
            ],
            provenance=[(name, str(value)) for name, value in pairs],
        )
    )


def save_card_page(card: Json, path: Path) -> Path:
    """Write `render_card` to `path`."""
    path.write_text(render_card(card), encoding="utf-8")
    return path


def save_card_figures(card: Json, folder: Path) -> list[Path]:
    """Write the curves as SVG and PNG into `folder`; returns the paths."""
    figures: Sequence[Figure] = card_curves(card)
    return save_all(figures, folder)


def _grid(part: Part) -> Grid:
    return Grid(part.title, part.head, [[Cell(text) for text in row] for row in part.rows], open=True)
