"""The templates of the pages, and figures drawn for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fairsqueeze.report.charts import svg
from fairsqueeze.report.figure import Figure
from fairsqueeze.report.labels import measure_title, verdict_text


@cache
def environment() -> Environment:
    """Templates whose values are escaped, and in which a name that nobody gave is an error."""
    made = Environment(
        loader=PackageLoader("fairsqueeze.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(measure_title=measure_title, verdict=verdict_text)
    return made


def drawn(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Figures as SVG with caption, alternative text and group. Vega escapes every text in the SVG that it makes."""
    return [
        {
            "group": figure.group,
            "svg": Markup(svg(figure.chart, f"f{index}", inherit=True)),
            "caption": figure.caption,
            "alt": figure.alt,
        }
        for index, figure in enumerate(figures)
    ]
