"""What damage does to a published score and to corrected bias: both curves, side by side, each told in words too.

In a study, the damage of a model is the share of its dense model's shown competence that is gone; on a report card, the
noise on the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fairsqueeze.report.charts import Row, by_damage, estimate_rows
from fairsqueeze.report.figure import Figure, file_name
from fairsqueeze.report.labels import interval_text, measure_title, percent, statistic_title, value_text
from fairsqueeze.report.results import JSON, Results, Variant, corrected_statistic, published_scores
from fairsqueeze.report.validation_parts import SHOWN_FORMS, SHOWN_PUBLISHED

LOST = "competence lost, % of the dense model's"
NOISE = "noise on the weights, in standard deviations of each matrix"

ASIDE = 0.02
"""Share of the axis by which each form stands beside the one before, so that intervals don't hide each other."""

_READING = (
    "A published score that runs to its ideal (solid line) as damage grows rewards a model for being broken; corrected "
    "bias should keep its height, with a growing interval, until it is unmeasurable (hollow, on the lower edge). "
)


def study_curves(results: Results, measure: str) -> Iterator[Figure]:
    """For each dense model: the first published score and corrected bias of its models against competence lost.

    Nothing where no competence is shown, or no model but the dense one was scored.
    """
    statistics = results.statistics(measure)
    corrected = corrected_statistic(statistics)
    competence = next((s for s in ("competence", "competence.prior") if s in statistics), None)
    dense_models = list(results.of_kind("dense"))
    for dense in dense_models:
        published = published_scores([e for e in dense.estimates if e["measure"] == measure])
        own = Results("", "", [v for v in results.variants if _dense_of(v, dense_models) is dense])
        if (
            corrected is None
            or competence is None
            or not published
            or len(list(own.of_kind("dense", "compressed"))) < 2
        ):
            continue
        lost = competence_lost(own, dense, measure, competence)
        if len(set(lost.values()) - {None}) < 2:
            continue
        which = dense.label if len(dense_models) > 1 else ""
        for statistic in (published[0], corrected):
            rows = [{**r, "damage": lost[r["variant"]]} for r in estimate_rows(own, measure, statistic)]
            yield _figure(rows, which)


def competence_lost(results: Results, dense: Variant, measure: str, statistic: str) -> dict[str, float | None]:
    """By label: share of the dense model's competence that is gone, in percent; None where undefined or it has none."""
    whole = _known(dense.estimate(measure, statistic))
    found: dict[str, float | None] = {}
    for variant in results.variants:
        left = _known(variant.estimate(measure, statistic))
        found[variant.label] = None if whole is None or whole <= 0 or left is None else 100 * (1 - left / whole)
    return found


def card_curves(card: JSON) -> list[Figure]:
    """Published scores, and all forms of corrected bias in one chart, against the noise that `validate` put on."""
    points, measure = card["weight_noise"], card["measure"]["name"]
    title, found = measure_title(measure), []
    for statistic in published_scores(points)[:SHOWN_PUBLISHED]:
        rows = _noise_rows(points, measure, statistic, statistic_title(statistic))
        caption = f"{statistic_title(statistic)} of {measure} under noise. {_READING}Whiskers: 95 % intervals."
        found.append(_noise_figure(rows, title, caption, f"{title}: {statistic_title(statistic)}"))
    forms = [f for f in SHOWN_FORMS if any(p["statistic"] == f for p in points)]
    rows = [
        {**r, "damage": r["damage"] + ASIDE * place * max(p["level"] for p in points)}
        for place, form in enumerate(forms)
        for r in _noise_rows(points, measure, form, statistic_title(form))
    ]
    if rows:
        caption = f"Corrected bias of {measure} under the same noise. {_READING}Whiskers: 95 % intervals."
        found.append(_noise_figure(rows, title, caption, f"{title}: corrected bias"))
    return found


def _noise_rows(points: Sequence[JSON], measure: str, statistic: str, family: str) -> list[Row]:
    return [
        {
            "variant": f"noise {p['level']:g}",
            "kind": "compressed",
            "family": family,
            "damage": p["level"],
            **{key: p[key] for key in ("value", "low", "high", "ideal", "chance")},
            "unmeasurable": p["value"] is None,
            "measure": measure,
            "statistic": statistic,
        }
        for p in points
        if p["statistic"] == statistic
    ]


def _noise_figure(rows: Sequence[Row], group: str, caption: str, heading: str) -> Figure:
    told = []
    for family in dict.fromkeys(r["family"] for r in rows):
        told.append(f"{family}, " + "; ".join(f"{r['variant']}: {_value(r)}" for r in rows if r["family"] == family))
    name = file_name(rows[0]["measure"], f"{rows[0]['statistic']}.under_noise")
    return Figure(name, group, by_damage(rows, NOISE, heading), caption, f"{group} under noise. {'. '.join(told)}.")


def _figure(rows: Sequence[Row], which: str) -> Figure:
    measure, statistic = rows[0]["measure"], rows[0]["statistic"]
    of = f" ({which})" if which else ""
    caption = (
        f"{statistic_title(statistic)} of {measure}{of} against competence lost. {_READING}Whiskers: 95 % intervals."
    )
    told = "; ".join(f"{r['variant']} ({_lost(r)}): {_value(r)}" for r in rows)
    alt = f"{measure_title(measure)}{of}, {statistic_title(statistic)}, by competence lost. {told}."
    name = file_name(measure, f"{statistic}.by_damage{'.' if which else ''}{which}")
    return Figure(name, measure_title(measure), by_damage(rows, LOST), caption, alt)


def _lost(row: Row) -> str:
    known = row["damage"]
    return "competence undefined" if known is None else f"{percent(known / 100)} of competence lost"


def _value(row: Row) -> str:
    state = {**row, "status": "unmeasurable" if row["unmeasurable"] else "ok"}
    return f"{value_text(state)} {interval_text(state)}".strip()


def _known(estimate: Any) -> float | None:
    return None if estimate is None else estimate["value"]


def _dense_of(variant: Variant, dense_models: Sequence[Variant]) -> Variant:
    """The dense model that a variant came from; the first where nothing tells."""
    own = (d for d in dense_models if d is variant or (variant.kind != "dense" and d.origin == variant.origin))
    return next(own, dense_models[0])
