"""A figure: a chart with its caption, and what it shows in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairsqueeze.report.charts import save_png, save_svg


@dataclass(frozen=True)
class Figure:
    """One chart: `name` is a file name, `group` the heading under which it stands, `alt` says what it shows."""

    name: str
    group: str
    chart: Any
    caption: str
    alt: str


def file_name(measure: str, what: str) -> str:
    """A file name of plain letters, digits, dots, dashes and underscores."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in f"{measure}.{what}")


def save_all(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Write every figure as SVG and as PNG into `folder`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for figure in figures:
        paths.append(save_svg(figure.chart, folder / f"{figure.name}.svg"))
        paths.append(save_png(figure.chart, folder / f"{figure.name}.png"))
    return paths
