"""The detailed tables of the page, as texts: estimates per measure and axis, changes, footprints, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairsqueeze.report.labels import (
    MISSING,
    interval_text,
    measure_title,
    megabytes,
    number,
    percent,
    statistic_title,
    statistic_unit,
    value_text,
    verdict_text,
)
from fairsqueeze.report.results import Results, Variant
from fairsqueeze.report.summary import Cell
from fairsqueeze.report.table import change_cells


@dataclass(frozen=True)
class Grid:
    """A table: a caption, the heads of its columns, and rows whose first cell is their head."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    open: bool = False


@dataclass(frozen=True)
class Section:
    """The tables of one measure or of one model, under one heading; `anchor` is unique in the page."""

    title: str
    anchor: str
    grids: Sequence[Grid]
    verdict: str = ""


def measure_sections(results: Results) -> list[Section]:
    """Per measure: a table of all statistics over all items, then one table per statistic with a row per axis."""
    sections = []
    for index, measure in enumerate(results.measures):
        names = results.statistics(measure)
        overall = Grid(
            f"{measure_title(measure)}: all items",
            ["statistic", *_heads(results)],
            [[Cell(statistic_title(s), _unit(s)), *_cells(results, measure, s, None)] for s in names],
            open=True,
        )
        grids = [overall]
        for statistic in names:
            axes = results.axes(measure, statistic)
            rows = [[Cell(axis), *_cells(results, measure, statistic, axis)] for axis in axes]
            if rows:
                caption = f"{measure_title(measure)}: {statistic_title(statistic)}, by axis"
                grids.append(Grid(caption, ["axis", *_heads(results)], rows))
        sections.append(Section(measure_title(measure), f"measure-{index}", grids))
    return sections


def change_sections(results: Results) -> list[Section]:
    """Per compared model: its paired differences from the dense model, over all items and then by axis."""
    heads = ["measure", "statistic", "dense", "this model", "difference", "p", "n", "detectable from", "changed sides"]
    sections = []
    for index, variant in enumerate(v for v in results.variants if v.comparison is not None):
        overall = [_change_row(c) for c in variant.comparisons if c.get("axis") is None]
        by_axis = [_change_row(c) for c in variant.comparisons if c.get("axis") is not None]
        grids = [Grid(f"{variant.label}: all items", [*heads, "verdict"], overall, open=True)]
        if by_axis:
            grids.append(Grid(f"{variant.label}: by axis", [*heads, "verdict"], by_axis))
        title = f"{variant.label} (reference)" if variant.kind == "reference" else variant.label
        sections.append(Section(title, f"change-{index}", grids, verdict_text(variant.verdict)))
    return sections


def footprint_rows(results: Results) -> Grid:
    """What each model costs, measured."""
    heads = [
        "model",
        "parameters",
        "zeros, all weights",
        "zeros, linear weights",
        "MB dense",
        "MB sparse",
        "MB zstd",
        "bits per weight, zstd",
        "GFLOPs per token",
        "if zeros cost nothing",
        "tokens per second",
        "speed against dense",
        "joules per token",
        "energy against dense",
    ]
    return Grid("What each model costs, measured", heads, [_footprint_row(v) for v in results.variants], open=True)


def provenance_rows(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per model, what leads back from its numbers to weights, data and command: pairs of a name and a text."""
    return [(v.label, _provenance(v)) for v in results.variants]


def _heads(results: Results) -> list[str]:
    return ["n", "undefined", "ideal", "chance", *(v.label for v in results.variants)]


def _cells(results: Results, measure: str, statistic: str, axis: str | None) -> list[Cell]:
    found = [v.estimate(measure, statistic, axis) for v in results.variants]
    cells = [Cell(value_text(e), interval_text(e)) for e in found]
    known = [e for e in found if e is not None]
    counts = [_span([e.get(key) for e in known]) for key in ("n", "n_undefined")]
    ideals = [_span([e.get(key) for e in known], statistic) for key in ("ideal", "chance")]
    return [*map(Cell, counts), *map(Cell, ideals), *cells]


def _span(values: Sequence[Any], statistic: str | None = None) -> str:
    """One text for a value that models share, `low to high` where they differ, `–` where none has it."""
    known = sorted({v for v in values if v is not None})
    show = (lambda v: f"{v:,}") if statistic is None else (lambda v: number(v, statistic))
    if not known:
        return MISSING
    return show(known[0]) if len(known) == 1 else f"{show(known[0])} to {show(known[-1])}"


def _unit(statistic: str) -> str:
    unit = statistic_unit(statistic)
    return "" if unit == statistic_title(statistic) else unit


def _change_row(change: Mapping[str, Any]) -> list[Cell]:
    axis = change.get("axis")
    measure = measure_title(change["measure"])
    base, other, difference, interval, n, detectable = change_cells(change)
    return [
        Cell(f"{measure}, {axis}" if axis else measure),
        Cell(statistic_title(change["statistic"])),
        Cell(base),
        Cell(other),
        Cell(difference, interval),
        Cell(_p(change)),
        Cell(n),
        Cell(detectable),
        Cell(_flips(change.get("flips"))),
        Cell(verdict_text(change["verdict"])),
    ]


def _p(change: Mapping[str, Any]) -> str:
    """The p-value, after Holm over the axes where there is one."""
    p = change.get("p_adjusted") if change.get("p_adjusted") is not None else change.get("p")
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _flips(flips: Mapping[str, Any] | None) -> str:
    """`61 up, 44 down`: items that changed sides toward the stereotype (a task: the right answer), and away from it."""
    if not flips:
        return MISSING
    return f"{flips['up']:,} up, {flips['down']:,} down"


def _footprint_row(variant: Variant) -> list[Cell]:
    facts = variant.footprint
    linear, bits, flops, latency = (
        facts.get(key) or {} for key in ("linear", "bits_per_weight", "flops_per_token", "latency")
    )
    parameters = facts.get("parameters")
    texts = [
        variant.label,
        MISSING if parameters is None else f"{parameters:,}",
        percent(facts.get("sparsity")),
        percent(linear.get("sparsity")),
        *(megabytes(facts.get(key)) for key in ("bytes_dense", "bytes_sparse", "bytes_zstd")),
        number(bits.get("zstd")),
        *(number(None if flops.get(key) is None else flops[key] / 1e9) for key in ("dense", "skipping_zeros")),
        number(latency.get("tokens_per_s")),
    ]
    speed = _against_dense(variant, latency, "speedup")
    return [*map(Cell, texts), speed, *_energy_cells(variant, variant.energy)]


def _against_dense(variant: Variant, found: Mapping[str, Any], key: str) -> Cell:
    """`× 1.52 [1.4, 1.6]`; nothing for the dense model itself."""
    if found.get(key) is None or variant.kind == "dense":
        return Cell(MISSING)
    low, high = (number(found.get(f"{key}_{bound}")) for bound in ("low", "high"))
    return Cell(f"× {found[key]:.2f}", f"[{low}, {high}]")


def _energy_cells(variant: Variant, energy: Mapping[str, Any]) -> list[Cell]:
    """Joules a token and against the dense model; `undefined` where it was tried and nothing counts them."""
    if energy and energy.get("joules_per_token") is None:
        return [Cell("undefined"), Cell("undefined")]
    joules = energy.get("joules_per_token")
    return [Cell(MISSING if joules is None else f"{joules:.3g}"), _against_dense(variant, energy, "against_dense")]


def _provenance(variant: Variant) -> list[tuple[str, str]]:
    model, source = variant.audit.get("model", {}), variant.audit.get("provenance", {})
    pairs: list[tuple[str, Any]] = [
        ("model", model.get("reference")),
        ("checkpoint id", model.get("id")),
        ("architecture", model.get("architecture")),
        ("compression steps", "; ".join(_step(s) for s in model.get("steps") or ()) or "none"),
        ("tokeniser", plain(model.get("tokenizer"))),
        ("command", source.get("command")),
        ("seed, limit", f"{plain(source.get('seed'))}, {plain(source.get('limit'))}"),
    ]
    for name, data in (source.get("data") or {}).items():
        pairs.append((f"data {name}", plain(data)))
    pairs += [
        ("libraries", plain(source.get("libraries"))),
        ("machine", plain(source.get("machine"))),
        ("time", f"{plain(source.get('wall_s'))} s wall, {plain(source.get('cpu_s'))} s CPU"),
        ("footprint", variant.footprint.get("note")),
        ("energy", variant.energy.get("basis")),
    ]
    return [(name, str(value)) for name, value in pairs if value not in (None, "")]


def _step(step: Any) -> str:
    if isinstance(step, Mapping) and "name" in step:
        settings = ", ".join(f"{k}={v}" for k, v in (step.get("parameters") or {}).items())
        return f"{step['name']}({settings})"
    return plain(step)


def plain(value: Any) -> str:
    """A JSON value as a line for people."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(k)} {plain(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words(key: Any) -> str:
    return str(key).replace("_", " ")
