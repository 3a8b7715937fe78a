"""The plots of the pruned-RoBERTa study: a figure against the share of weights that are gone, one panel a method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import altair as alt

from fairsqueeze.report.charts import COLOURS, INK, estimate_rows, family_of
from fairsqueeze.report.labels import measure_title, statistic_title
from fairsqueeze.report.results import Results, Variant

WIDTH, HEIGHT, COLUMNS = 165, 125, 4


def gone(variant: Variant, dense: Variant) -> float:
    """Percent of the dense model's weights that are zero or taken out."""
    return 100 * (1 - variant.footprint["nonzeros"] / dense.footprint["nonzeros"])


def ribbon_rows(models: Sequence[Results], measure: str, statistic: str) -> list[dict[str, Any]]:
    """Per method and setting: mean over the models that were pruned alike, with their range.

    The range is smallest to largest over models, as in the study; of one model its 95 % interval. Undefined values are
    left out of mean and range; where none is defined, `value` is None. Each method starts with the dense models.
    """
    cells: dict[tuple[str, str], list[tuple[float, dict[str, Any]]]] = defaultdict(list)
    for results in models:
        found = {row["variant"]: row for row in estimate_rows(results, measure, statistic)}
        dense = results.dense
        pruned = list(results.of_kind("compressed"))
        if dense is None:
            continue
        for family in dict.fromkeys(family_of(v) for v in pruned):
            cells[family, ""].append((0.0, dict(found[dense.label])))
        for variant in pruned:
            cells[family_of(variant), variant.label].append((gone(variant, dense), dict(found[variant.label])))
    return [_summary(family, label, members) for (family, label), members in cells.items()]


def _summary(family: str, label: str, members: Sequence[tuple[float, dict[str, Any]]]) -> dict[str, Any]:
    defined = [row for _, row in members if row["value"] is not None]
    values = [row["value"] for row in defined]
    alone = len(members) == 1
    return {
        "family": family,
        "label": label,
        "gone": sum(share for share, _ in members) / len(members),
        "value": sum(values) / len(values) if values else None,
        "low": (defined[0]["low"] if alone else min(values)) if values else None,
        "high": (defined[0]["high"] if alone else max(values)) if values else None,
        "n_models": len(members),
        "n_undefined": len(members) - len(values),
        "ideal": members[0][1]["ideal"],
        "chance": members[0][1]["chance"],
    }


def ribbons(models: Sequence[Results], measure: str, statistic: str) -> alt.FacetChart:
    """One panel a method: line and ribbon of `ribbon_rows`; the ideal dashed, chance dotted, undefined a cross."""
    rows = ribbon_rows(models, measure, statistic)
    shown = [v for row in rows for v in (row["value"], row["low"], row["high"]) if v is not None]
    span = max(shown, default=1.0) - min(shown, default=0.0)
    lines = {key: rows[0][key] for key in ("ideal", "chance") if rows and rows[0][key] is not None}
    if not min(shown, default=0.0) - span <= lines.get("chance", 0.0) <= max(shown, default=1.0) + span:
        del lines["chance"]  # too far away: it would press the curves flat
    marks = list(lines.values())
    floor, top = min([*shown, *marks], default=0.0), max([*shown, *marks], default=1.0)
    margin = 0.06 * (top - floor or 1.0)
    for row in rows:
        row["floor"] = floor - margin if row["value"] is None else None
    scale = alt.Scale(domain=[floor - 1.6 * margin, top + margin], nice=False, zero=False)
    base = alt.Chart(alt.Data(values=rows))
    x = alt.X("gone:Q", title="weights gone, %", axis=alt.Axis(tickCount=5))
    y = alt.Y("value:Q", title=statistic_title(statistic), scale=scale)
    layers = [
        base.mark_area(opacity=0.2, color=COLOURS[0]).encode(x, alt.Y("low:Q", scale=scale), alt.Y2("high:Q")),
        base.mark_line(color=COLOURS[0], strokeWidth=1.5).encode(x, y),
        base.mark_point(color=COLOURS[0], filled=True, size=24, opacity=1).encode(x, y),
        base.mark_point(shape="cross", angle=45, filled=True, color=INK, size=55, opacity=1).encode(
            x, alt.Y("floor:Q", scale=scale)
        ),
    ]
    for key, dash in (("ideal", [5, 3]), ("chance", [1, 3])):
        if key in lines:
            layers.append(base.mark_rule(strokeDash=dash, color=INK).encode(alt.Y(f"{key}:Q", scale=scale)))
    panels = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    names = list(dict.fromkeys(row["family"] for row in rows))
    facet = alt.Facet("family:N", title=None, sort=names, header=alt.Header(labelFontSize=11, labelFontWeight="bold"))
    title = f"{measure_title(measure)}: {statistic_title(statistic)}"
    return panels.facet(facet, columns=COLUMNS, title=title).configure_view(stroke="#cccccc")
