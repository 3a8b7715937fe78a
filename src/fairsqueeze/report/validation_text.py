"""The report card of a measure as plain text, from its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from fairsqueeze.report.labels import MISSING, measure_title, number, statistic_title

Json = Mapping[str, Any]

PASSED = {True: "yes", False: "NO", None: MISSING}


def validation_text(card: Json) -> str:
    """The document `fairsqueeze.validation/1` as text: grade and criteria first, then the figures behind them."""
    measure, model = card["measure"], card["model"]
    lines = [f"{measure_title(measure['name'])} on {model['reference']}: grade {card['grade']}", ""]
    lines += _table(
        ("criterion", "passed", "figures"), [(c["name"], PASSED[c["passed"]], c["says"]) for c in card["criteria"]]
    )
    for heading, part in (
        ("Published scores, and what known models get", _anchors(card["anchors"])),
        ("A bias put in, and what the measure makes of it", _sensitivity(card["sensitivity"])),
        ("Earned by weight noise (randomness reward; 0 earns nothing)", _rewards(card["randomness_reward"])),
        ("Smallest corrected bias that is found four times out of five", _detectable(card["smallest_detectable"])),
        ("Reliability", _reliability(card["reliability"])),
        ("Rank correlation of preferences with what should not matter", _dependence(card["dependence"])),
        ("Lost rows", _losses(card["losses"])),
    ):
        lines += ["", heading, *part]
    lines += ["", "Known criticisms", *_bullets(card["criticisms"])]
    if card["warnings"]:
        lines += ["", *(f"note: {warning}" for warning in card["warnings"])]
    return "\n".join(lines)


def _anchors(rows: Sequence[Json]) -> list[str]:
    names = ("value", "ideal", "chance", "constant", "floor", "ceiling")
    shown = [(statistic_title(r["statistic"]), *(number(r[n], r["statistic"]) for n in names)) for r in rows]
    return _table(("score", *names), shown)


def _sensitivity(rows: Sequence[Json]) -> list[str]:
    if not rows:
        return ["  not done: no bias could be put in, or no competence is shown to scale it by"]
    shown = [
        (statistic_title(r["statistic"]), number(r["slope"]), number(r["r2"]), number(r["slope_guessed"])) for r in rows
    ]
    return _table(("score", "slope", "R²", "slope, half guessed"), shown)


def _rewards(rows: Sequence[Json]) -> list[str]:
    shown = [(statistic_title(r["statistic"]), number(r["value"]), _interval(r), r["reason"]) for r in rows]
    return _table(("score", "reward", "95 %", "why undefined"), shown)


def _detectable(rows: Sequence[Json]) -> list[str]:
    shown = [
        (
            statistic_title(r["statistic"]),
            r["axis"] or "all",
            number(r["smallest_detectable"]),
            f"{r['n']}",
            f"{r['n_clusters']}",
            r["reason"],
        )
        for r in rows
    ]
    return _table(("form", "axis", "detectable", "n", "clusters", "why undefined"), shown)


def _reliability(found: Json) -> list[str]:
    half, contexts, templates = found["split_half"], found["neutral_contexts"], found["templates"]
    value = half["found"]
    rows = [(f"halves of the {half['halves']} of a {half['units']}", number(value["value"]), _interval(value))]
    if contexts is not None:
        each = ", ".join(number(v) for v in contexts["corrected_bias_by_context"])
        rows.append((f"{contexts['n_contexts']} neutral contexts", number(contexts["alpha"]), f"corrected bias {each}"))
    if templates is not None:
        rows.append((f"{templates['n_complete']} templates", number(templates["alpha"]), ""))
    for name, label in (("spelling", "spellings"), ("noise_seeds", "seeds of weight noise")):
        versions = found[name]
        values = ", ".join(f"{k} {number(v.get('corrected_bias'))}" for k, v in versions["values"].items())
        rows.append((label, number(versions["alpha"]), f"corrected bias {values}"))
    return _table(("over", "reliability", "spread"), rows)


def _dependence(rows: Sequence[Json]) -> list[str]:
    return _table(("on", "rho", "95 %", ""), [(r["on"], number(r["value"]), _interval(r), r["reason"]) for r in rows])


def _losses(found: Json) -> list[str]:
    lines = [
        f"  {found['n_undefined']} of {found['n_rows']} rows are undefined, {found['n_ties']} preferences are ties"
    ]
    return lines + [f"  {n} × {reason}" for reason, n in found["reasons"].items()]


def _interval(row: Json) -> str:
    return "" if row["low"] is None else f"[{number(row['low'])}, {number(row['high'])}]"


def _bullets(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in wrap(text, 110, initial_indent="  - ", subsequent_indent="    ")]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell, two blanks apart."""
    everything = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[k]) for row in everything) for k in range(len(head))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in everything]
