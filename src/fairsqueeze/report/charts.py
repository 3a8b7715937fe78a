"""Charts: plain rows in, an altair chart out. Colour never says anything alone; what is unmeasurable is drawn as such.

Colours are those of Okabe and Ito (2008), told apart with every common colour blindness; each family has a shape too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from fairsqueeze.report.labels import (
    measure_family_title,
    statistic_title,
    statistic_unit,
    statistic_with_unit,
    undefined_word,
)
from fairsqueeze.report.results import Results, Variant

Row = Mapping[str, Any]

BASE = "dense"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4FA3", "#8C6D31")
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)
INK = "#1b1b1b"
NOTE: dict[str, Any] = {"fontSize": 10, "color": INK, "opacity": 0.7}
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
WIDTH, HEIGHT, MARGIN_WIDTH = 290, 240, 78


def estimate_rows(
    results: Results, measure: str, statistic: str, performance: tuple[str, str] | None = None
) -> list[Row]:
    """One row per model for the charts.

    Keys: `variant, kind, family` (name of the last compression step, "dense" for the base, the label of a reference
    row), `sparsity` (percent), `value, low, high, ideal, chance, n, unmeasurable, statistic, measure`, and
    `performance` (the value of the task statistic named by `performance`, or None).
    """
    rows: list[Row] = []
    for variant in results.variants:
        estimate = variant.estimate(measure, statistic)
        if estimate is None:
            continue
        task = variant.estimate(*performance) if performance else None
        word = undefined_word(estimate)
        sparsity = variant.footprint.get("sparsity")
        rows.append(
            {
                "variant": variant.label,
                "kind": variant.kind,
                "family": family_of(variant),
                "sparsity": None if sparsity is None else 100 * sparsity,
                **{key: None if word else estimate.get(key) for key in ("value", "low", "high")},
                **{key: estimate.get(key) for key in ("ideal", "chance", "n")},
                "unmeasurable": word is not None,
                "measure": measure,
                "statistic": statistic,
                "performance": None if task is None or undefined_word(task) else task["value"],
                "performance_statistic": performance[1] if performance else None,
            }
        )
    return rows


def size_rows(results: Results) -> list[Row]:
    """Two rows per model, `stored densely` and `compressed with zstd`: `variant, encoding, megabytes` (10^6 bytes)."""
    kinds = (("stored densely", "bytes_dense"), ("compressed with zstd", "bytes_zstd"))
    return [
        {"variant": v.label, "encoding": name, "megabytes": v.footprint[key] / 1e6}
        for v in results.of_kind("dense", "compressed")
        for name, key in kinds
        if v.footprint.get(key) is not None
    ]


def family_of(variant: Variant) -> str:
    """What the model's line in a chart is called: its last compression step's name, or its label."""
    if variant.kind == "dense":
        return BASE
    steps = variant.audit.get("model", {}).get("steps") or []
    if variant.kind == "reference" or not steps:
        return variant.label
    names = [_step_name(step) for step in steps]
    return " + ".join(names)


def by_sparsity(rows: Sequence[Row]) -> alt.HConcatChart:
    """One statistic against measured sparsity, a line per method, reference rows in a panel at the right.

    Whiskers are 95 % intervals; the solid line is the ideal, the dashed one chance. A hollow symbol on the lower edge
    is a model for which the statistic is unmeasurable.
    """
    drawn = [r for r in rows if r["kind"] != "reference" and r["sparsity"] is not None]
    most = max((r["sparsity"] for r in drawn), default=0.0)
    span = alt.Scale(domain=[-0.05 * max(most, 10), 1.1 * max(most, 10)], nice=False)
    x = alt.X("sparsity:Q", title="measured sparsity, % of all weights", scale=span, axis=alt.Axis(tickCount=6))
    return _beside_references(drawn, rows, x)


def by_performance(rows: Sequence[Row]) -> alt.HConcatChart:
    """Bias against performance, a point per model, joined in order of sparsity; reference rows in a panel at the right.

    The horizontal axis is logarithmic where values span 10×. Models without a performance figure are left out; those
    whose bias is unmeasurable stand as hollow symbols on the lower edge.
    """
    drawn = [r for r in rows if r["kind"] != "reference" and r["performance"] is not None]
    values = [r["performance"] for r in drawn]
    wide = bool(values) and min(values) > 0 and max(values) / min(values) > 10
    span = alt.Scale(type="log", nice=False, padding=16) if wide else alt.Scale(zero=False, padding=16)
    name = statistic_with_unit(drawn[0]["performance_statistic"]) if drawn else "performance"
    axis = alt.Axis(format="~s", values=_ticks(min(values), max(values))) if wide else alt.Axis(tickCount=6)
    x = alt.X("performance:Q", title=f"{name}{' (logarithmic)' if wide else ''}", scale=span, axis=axis)
    return _beside_references(drawn, rows, x)


def by_damage(rows: Sequence[Row], title: str, heading: str = "") -> alt.HConcatChart:
    """A statistic against the degree of damage, a line per family; reference rows in a panel at the right.

    The solid line is the ideal, towards which damage must not pay. Hollow symbols on the lower edge are unmeasurable.

    Args:
        rows: as of `estimate_rows`, with `damage`, a number that grows with it, beside or in place of `sparsity`.
        title: of the axis of damage.
        heading: of the chart; measure and statistic of the first row by default.
    """
    drawn = [r for r in rows if r["kind"] != "reference" and r["damage"] is not None]
    x = alt.X("damage:Q", title=title, scale=alt.Scale(zero=True, padding=16), axis=alt.Axis(tickCount=6))
    return _beside_references(drawn, rows, x, heading)


def _ticks(low: float, high: float) -> list[float]:
    """Round values for a logarithmic axis: powers of ten, with 2 and 5 between them where there is room."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 3 else (1, 3) if len(powers) <= 5 else (1,)
    return [step * 10.0**power for power in powers for step in steps]


def _beside_references(drawn: Sequence[Row], rows: Sequence[Row], x: alt.X, heading: str = "") -> alt.HConcatChart:
    """The models of `drawn` along `x`, and at the right, on the same vertical scale, the reference rows of `rows`."""
    references = [r for r in rows if r["kind"] == "reference"]
    families = _families(drawn)
    scale = _value_scale([*drawn, *references])
    heading = heading or f"{measure_family_title(rows[0]['measure'])}: {statistic_title(rows[0]['statistic'])}"
    unit = statistic_unit(rows[0]["statistic"])
    joined = _lines(_with_base(drawn, families), x, scale, families)
    layers = [*_guides(rows), *joined, *_marks(drawn, x, scale, unit, families)]
    main = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    panels = [main]
    if references:
        names = [r["variant"] for r in references]
        across = alt.X("variant:N", title="broken models", sort=names, axis=alt.Axis(labelAngle=-40, grid=False))
        layers = [*_guides(rows, words=False), *_marks(references, across, scale, None, names, legend=False)]
        panels.append(alt.layer(*layers).properties(width=max(MARGIN_WIDTH, 26 * len(names)), height=HEIGHT))
    chart = alt.hconcat(*panels, spacing=8).resolve_scale(color="independent", shape="independent")
    return _dressed(chart.properties(title=alt.TitleParams(heading, anchor="start", frame="group")))


def sizes(rows: Sequence[Row]) -> alt.LayerChart:
    """Bytes of each model, as stored densely and compressed with zstd, as labelled bars."""
    order = list(dict.fromkeys(r["variant"] for r in rows))
    kinds = list(dict.fromkeys(r["encoding"] for r in rows))
    most = 1.12 * max((r["megabytes"] for r in rows), default=1.0)
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("variant:N", sort=order, title=None, axis=alt.Axis(labelLimit=260)),
        yOffset=alt.YOffset("encoding:N", sort=kinds),
        x=alt.X("megabytes:Q", title="size, MB (millions of bytes)", scale=alt.Scale(domain=[0, most], nice=False)),
    )
    palette = alt.Scale(domain=kinds, range=["#999999", COLOURS[0]][: len(kinds)])
    bars = base.mark_bar(stroke=INK, strokeWidth=0.5).encode(color=alt.Color("encoding:N", title=None, scale=palette))
    numbers = base.mark_text(align="left", dx=4, fontSize=11, color=INK).encode(
        text=alt.Text("megabytes:Q", format=",.0f")
    )
    return _dressed(alt.layer(bars, numbers).properties(width=2 * WIDTH - 120, height=alt.Step(17)))


def svg(chart: alt.TopLevelMixin, prefix: str, *, inherit: bool = False) -> str:
    """The chart as SVG text whose ids begin with `prefix`, so that several can stand in one page.

    With `inherit`, ink takes the colour of the text around it, so that the chart suits light and dark pages.
    """
    import vl_convert

    text = vl_convert.vegalite_to_svg(chart.to_json(validate=False), vl_version=_vegalite_version())
    names = dict.fromkeys(re.findall(r'\bid="([^"]+)"', text))  # vega numbers on from chart to chart
    for index, name in enumerate(names):
        own = f"{prefix}-{index}"
        text = text.replace(f'id="{name}"', f'id="{own}"').replace(f"url(#{name})", f"url(#{own})")
    return text.replace(INK, "currentColor") if inherit else text


def save_svg(chart: alt.TopLevelMixin, path: Path) -> Path:
    """Write the chart as an SVG file; returns its path."""
    path.write_text(svg(chart, path.stem), encoding="utf-8")
    return path


def save_png(chart: alt.TopLevelMixin, path: Path, scale: float = 2.0) -> Path:
    """Write the chart as a PNG on white, `scale` pixels per point; returns its path."""
    import vl_convert

    chart = chart.properties(background="white")
    path.write_bytes(
        vl_convert.vegalite_to_png(chart.to_json(validate=False), scale=scale, vl_version=_vegalite_version())
    )
    return path


def _guides(rows: Sequence[Row], words: bool = True) -> list[alt.Chart]:
    """Lines at the ideal (solid) and at chance (dashed), each named where it stands; one line where both are equal."""
    if not rows:
        return []
    ideal = next((r["ideal"] for r in rows if r["ideal"] is not None), None)
    chance = next((r["chance"] for r in rows if r["chance"] is not None), None)
    named = (
        [("ideal = chance", ideal, True)] if ideal == chance else [("ideal", ideal, True), ("chance", chance, False)]
    )
    layers = []
    for name, at, solid in named:
        if at is None:
            continue
        data = _data([{"at": at, "name": name}])
        rule = alt.Chart(data).mark_rule(color=INK, strokeWidth=1, strokeDash=[1, 0] if solid else [5, 4])
        layers.append(rule.encode(y="at:Q"))
        if words:
            word = alt.Chart(data).mark_text(align="left", baseline="bottom", dx=4, dy=-2, **NOTE)
            layers.append(word.encode(y="at:Q", x=alt.value(0), text="name:N"))
    return layers


def _lines(rows: Sequence[Row], x: alt.X, scale: alt.Scale, families: Sequence[str]) -> list[alt.Chart]:
    known = [r for r in rows if not r["unmeasurable"]]
    line = alt.Chart(_data(known)).mark_line(strokeWidth=1.5, opacity=0.75, clip=True)
    colour = _colour(families, alt.Legend(title=None))
    order = "damage:Q" if known and "damage" in known[0] else "sparsity:Q"
    return [line.encode(x=x, y=alt.Y("value:Q", scale=scale), color=colour, order=order)] if known else []


def _marks(
    rows: Sequence[Row], x: alt.X, scale: alt.Scale, title: str | None, families: Sequence[str], legend: bool = True
) -> list[alt.Chart]:
    """Points with whiskers, and hollow symbols on the lower edge for what is unmeasurable."""
    axis = alt.Axis(tickCount=6) if title else alt.Axis(labels=False, ticks=False, domain=False)
    y = alt.Y("value:Q", title=title, scale=scale, axis=axis)
    colour = _colour(families, alt.Legend(title=None)) if legend else alt.value(INK)
    shape = _shape(families, alt.Legend(title=None)) if legend else alt.value("triangle-down")
    known = [r for r in rows if not r["unmeasurable"]]
    lost = [r for r in rows if r["unmeasurable"]]
    whiskers = alt.Chart(_data([r for r in known if r["low"] is not None])).mark_rule(strokeWidth=1.5, clip=True)
    points = alt.Chart(_data(known)).mark_point(size=70, filled=True, opacity=1)
    hollow = alt.Chart(_data(lost)).mark_point(size=90, filled=False, strokeWidth=2, opacity=1)
    layers = []
    if any(r["low"] is not None for r in known):
        layers.append(whiskers.encode(x=x, y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q", color=colour))
    layers.append(points.encode(x=x, y=y, color=colour, shape=shape))
    if lost:
        layers.append(hollow.encode(x=x, y=alt.value("height"), color=colour, shape=shape))
        word = alt.Chart(_data(lost[:1])).mark_text(align="right", baseline="bottom", dx=-4, dy=-9, **NOTE)
        if title:
            place = {"x": alt.value("width"), "y": alt.value("height"), "text": alt.value("hollow: unmeasurable")}
            layers.append(word.encode(**place))
    return layers


def _value_scale(rows: Sequence[Row]) -> alt.Scale:
    """Room for every interval, the ideal and chance, and a band at the bottom for hollow symbols."""
    found = [r[key] for r in rows for key in ("value", "low", "high", "ideal", "chance") if r[key] is not None]
    if not found:
        return alt.Scale(domain=[-1, 1])
    low, high = min(found), max(found)
    reach = (high - low) or abs(high) or 1.0
    return alt.Scale(domain=[low - 0.16 * reach, high + 0.08 * reach], nice=False, zero=False)


def _with_base(rows: Sequence[Row], families: Sequence[str]) -> list[Row]:
    """The rows with the dense model as the start of every family's line."""
    base = [r for r in rows if r["family"] == BASE]
    return [r for r in rows if r["family"] != BASE] + [{**b, "family": f} for b in base for f in families if f != BASE]


def _families(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(r["family"] for r in rows))


def _colour(families: Sequence[str], legend: alt.Legend | None) -> alt.Color:
    others = [f for f in families if f != BASE]
    paint = {BASE: INK, **{f: COLOURS[k % len(COLOURS)] for k, f in enumerate(others)}}
    return alt.Color(
        "family:N", legend=legend, scale=alt.Scale(domain=list(families), range=[paint[f] for f in families])
    )


def _shape(families: Sequence[str], legend: alt.Legend | None) -> alt.Shape:
    others = [f for f in families if f != BASE]
    form = {BASE: "diamond", **{f: SHAPES[k % len(SHAPES)] for k, f in enumerate(others)}}
    return alt.Shape(
        "family:N", legend=legend, scale=alt.Scale(domain=list(families), range=[form[f] for f in families])
    )


def _data(rows: Sequence[Row]) -> alt.Data:
    return alt.Data(values=[dict(r) for r in rows])


def _step_name(step: Any) -> str:
    if isinstance(step, Mapping):
        return str(step["name"]) if "name" in step else str(next(iter(step), ""))
    return str(step)


def _dressed(chart: Any) -> Any:
    """The chart with the house's fonts, on a transparent ground."""
    words = {"labelFont": FONT, "titleFont": FONT, "labelColor": INK, "titleColor": INK}
    sizes = {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"}
    legend = {"labelFontSize": 12, "labelLimit": 260, "orient": "bottom", "columns": 3, "symbolOpacity": 1}
    return (
        chart.properties(background="transparent", padding=6)
        .configure(aria=False, font=FONT)
        .configure_axis(**words, **sizes, gridColor=INK, gridOpacity=0.12)
        .configure_legend(**words, **legend)
        .configure_view(stroke=INK, strokeOpacity=0.3)
        .configure_title(font=FONT, fontSize=13, fontWeight="bold", color=INK, offset=10)
    )


def _vegalite_version() -> str:
    """The vega-lite version that the installed altair writes, as vl-convert names it: `6.1`."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
