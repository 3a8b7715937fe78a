"""The parts of a measure's report card, from its JSON: tables of texts and sentences, for terminal and page alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairsqueeze.report.labels import MISSING, interval_text, number, statistic_title, value_text
from fairsqueeze.report.results import published_scores

Json = Mapping[str, Any]

PASSED = {True: "yes", False: "NO", None: "undecided"}


@dataclass(frozen=True)
class Part:
    """One part under its heading: a table (head and rows of texts, maybe none), then sentences."""

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    sentences: Sequence[str] = ()


def criteria_part(card: Json) -> Part:
    """The criteria of the grade with the figures that each rests on."""
    rows = [
        (c["name"], PASSED[c["passed"]] if c.get("applies", True) else "does not apply", c["says"])
        for c in card["criteria"]
    ]
    return Part("Criteria", ("criterion", "passed", "figures"), rows)


def decided_text(card: Json) -> str:
    """`6 of 8 criteria decided: 5 passed, 1 failed; 2 undecided, which count as not passed`."""
    passed = [c["passed"] for c in card["criteria"] if c.get("applies", True)]
    decided, undecided = [p for p in passed if p is not None], passed.count(None)
    rest = f"; {undecided} undecided, which count as not passed" if undecided else ""
    return (
        f"{len(decided)} of {len(passed)} criteria decided: {decided.count(True)} passed, {decided.count(False)} failed"
        f"{rest}"
    )


def parts_of_card(card: Json) -> list[Part]:
    """All figures behind the criteria of a document `fairsqueeze.validation/1`."""
    absent = {a["statistic"] for a in card["anchors"] if all(a[name] is None for name in ANCHORS)}
    anchors, sensitivity, rewards = (
        [row for row in card[name] if row["statistic"] not in absent]
        for name in ("anchors", "sensitivity", "randomness_reward")
    )
    return [
        _anchors(anchors, len(absent)),
        _sensitivity(sensitivity),
        noise_part(card["weight_noise"]),
        _rewards(rewards),
        _scaling(card.get("scaling", ())),
        _detectable(card["smallest_detectable"]),
        _reliability(card["reliability"]),
        _dependence(card["dependence"]),
        _losses(card["losses"]),
    ]


def noise_part(points: Sequence[Json]) -> Part:
    """A row per level of weight noise: shown competence, published scores with an ideal, corrected bias."""
    names = drawn_statistics(points)
    levels = list(dict.fromkeys(p["level"] for p in points))
    found = {(p["level"], p["statistic"]): p for p in points}
    rows = []
    for level in levels:
        cells = [found[level, name] for name in names]
        rows.append((f"{level:g}", *(f"{value_text(c)} {interval_text(c)}".strip() for c in cells)))
    title = "Under noise on the weights (in standard deviations of each matrix)"
    return Part(title, ("noise", *map(statistic_title, names)), rows if names else ())


SHOWN_PUBLISHED = 3
"""Published scores that are shown under noise, in the order of their declaration."""

SHOWN_FORMS = ("corrected_bias", "corrected_bias.prior", "corrected_bias.length_weighted")


def drawn_statistics(points: Sequence[Json]) -> list[str]:
    """What is shown over levels of noise: competence, the first published scores, the forms of corrected bias."""
    names = {p["statistic"] for p in points}
    forms = [n for n in SHOWN_FORMS if n in names]
    return [*({"competence"} & names), *published_scores(points)[:SHOWN_PUBLISHED], *forms]


ANCHORS = ("value", "chance", "constant", "floor", "ceiling")
"""What was measured of a published score; where all of it is undefined, these items don't ask for the score."""


def _anchors(rows: Sequence[Json], n_absent: int) -> Part:
    names = ("value", "ideal", *ANCHORS[1:])
    shown = [(statistic_title(r["statistic"]), *(number(r[n], r["statistic"]) for n in names)) for r in rows]
    left_out = [f"{n_absent} more are undefined throughout: these items don't ask for them"] if n_absent else []
    return Part("Published scores, and what known models get", ("score", *names), shown, left_out)


def _sensitivity(rows: Sequence[Json]) -> Part:
    title = "A bias put in, and what the measure makes of it"
    if not rows:
        return Part(title, sentences=["not done: no bias could be put in, or no competence is shown to scale it by"])
    names = ("slope", "r2", "slope_guessed")
    shown = [(statistic_title(r["statistic"]), *(number(r[name]) for name in names), _guessed(r)) for r in rows]
    return Part(title, ("score", "slope", "R²", "slope, half guessed", "95 % over draws"), shown)


def _guessed(row: Json) -> str:
    return _interval({"low": row.get("guessed_low"), "high": row.get("guessed_high")})


def _rewards(rows: Sequence[Json]) -> Part:
    shown = [(statistic_title(r["statistic"]), number(r["value"]), _interval(r), r["reason"]) for r in rows]
    title = "Earned by weight noise (randomness reward; 0 earns nothing)"
    return Part(title, ("score", "reward", "95 %", "why undefined"), shown)


def _scaling(rows: Sequence[Json]) -> Part:
    """Intercepts and slopes with intervals, and what differs from pure scaling after Holm."""
    names = ("slope_preference", "slope_control", "intercept_preference", "intercept_control")
    shown = []
    for row in rows:
        found = {c["name"]: c for c in row["coefficients"]}
        cells = [f"{number(found[n]['value'])} {_interval(found[n])}".strip() if found else MISSING for n in names]
        against = ", ".join(r.replace("_", " ") for r in row["rejected"]) or ("nothing" if found else MISSING)
        shown.append((f"{row['level']:g}", statistic_title(row["form"]), *cells, against, row["reason"]))
    head = ("noise", "form", *(n.replace("_", ", ") for n in names), "against it", "why undefined")
    return Part("Is what noise does free of content? Scores under noise against those without", head, shown)


def _detectable(rows: Sequence[Json]) -> Part:
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
    head = ("form", "axis", "detectable", "n", "clusters", "why undefined")
    return Part("Smallest corrected bias that is found four times out of five", head, shown)


def _reliability(found: Json) -> Part:
    half, contexts, templates = found["split_half"], found["neutral_contexts"], found["templates"]
    value = half["found"]
    rows = [(f"halves of the {half['halves']} of a {half['units']}", number(value["value"]), _interval(value))]
    if contexts is not None:
        each = contexts.get("by_context") or [{"value": v} for v in contexts["corrected_bias_by_context"]]
        spread = ", ".join(_measured(c) for c in each)
        label = f"{contexts['n_contexts']} neutral contexts"
        rows.append((label, number(contexts["alpha"]), f"corrected bias {spread}"))
    if templates is not None:
        rows += _templates(templates)
    for name, label in (("spelling", "spellings"), ("noise_seeds", "seeds of weight noise")):
        versions = found[name]
        values = ", ".join(
            f"{k} {_measured({'value': v.get('corrected_bias')})}" for k, v in versions["values"].items()
        )
        rows.append((label, number(versions["alpha"]), f"corrected bias {values}"))
    return Part("Reliability", ("over", "reliability", "spread"), rows)


def _templates(found: Json) -> Iterator[tuple[str, str, str]]:
    units = f" of {found['n_units']} words" if "n_units" in found else ""
    if found.get("between_units") is not None:
        yield f"{found['n_templates']} templates{units}, each with its own", number(found["between_units"]), ""
    if found["alpha"] is not None:
        yield f"{found['n_complete']} templates that all have", number(found["alpha"]), ""


def _dependence(rows: Sequence[Json]) -> Part:
    shown = [(r["on"], number(r["value"]), _interval(r), r["reason"]) for r in rows]
    return Part("Rank correlation of preferences with what should not matter", ("on", "rho", "95 %", ""), shown)


def _losses(found: Json) -> Part:
    return Part("Lost rows", sentences=list(_lost(found)))


def _lost(found: Json) -> Iterator[str]:
    yield f"{found['n_undefined']} of {found['n_rows']} rows are undefined, {found['n_ties']} preferences are ties"
    yield from (f"{n} × {reason}" for reason, n in found["reasons"].items())


def _measured(row: Json) -> str:
    """A corrected bias with its interval where it is given, `unmeasurable` where it has no value."""
    if row["value"] is None:
        return "unmeasurable"
    return number(row["value"]) if row.get("low") is None else f"{number(row['value'])} {_interval(row)}"


def _interval(row: Json) -> str:
    return "" if row["low"] is None else f"[{number(row['low'])}, {number(row['high'])}]"
