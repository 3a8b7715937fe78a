"""Damage real models in known ways and see what their bias measures say: published score against corrected bias.

    python recipes/degradation.py [--limit 200] [--models smollm2 minilm] [--measures NAME …] [--folder FOLDER]

Writes docs/degradation.md and its curves. Every record is kept in the folder, so that the same command goes on where it
stopped and computes nothing twice. A measure or model that is not there (yet) is left out and named on the page. What
docs/degradation-reading.md says about the figures, if it is there, stands at the top.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairsqueeze.errors import AssetError, FairsqueezeError, UnknownName
from fairsqueeze.models.load import load
from fairsqueeze.registry import Frame, Measure, measures
from fairsqueeze.report.charts import by_performance, save_svg
from fairsqueeze.report.labels import measure_title, statistic_title
from fairsqueeze.stats.paired import Comparison, compare_frames
from fairsqueeze.stats.randomness_reward import RandomnessReward
from fairsqueeze.study.evaluation import prepare, spec_of
from fairsqueeze.study.progress import Lines
from fairsqueeze.study.store import Store
from fairsqueeze.validation.curve import Curve, Point, curve_of
from fairsqueeze.validation.damaged import Bench
from fairsqueeze.validation.degradation import DEGRADATIONS

DOCS = Path(__file__).resolve().parents[1] / "docs"
ASKED: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "smollm2": {
        "builtin:smollm2-135m": {
            "stereoset.causal": ("ss", "icat"),
            "crows_pairs.causal_sum": ("share_stereotypical",),
            "bbq.causal": ("bias_ambiguous", "bias_disambiguated"),
        }
    },
    "minilm": {
        "builtin:minilm-nli": {"bias_nli": ("fraction_neutral", "net_neutral")},
        "builtin:minilm-sts": {"bias_sts": ("mean_absolute_difference", "mean_signed_difference")},
    },
}
"""By group: models, their measures, and the published bias scores that are shown, the drawn one first."""

AT_MOST = {"crows_pairs.causal_sum": 200, "bbq.causal": 60}
"""Items of the measures whose items are many sentences."""

PRIOR = "corrected_bias.prior"
FORMS = ("corrected_bias", PRIOR, "corrected_bias.length_weighted")


@dataclass(frozen=True)
class Found:
    """One measure on one model under every kind of damage; each curve starts with the undamaged model.

    `changes`: by kind, for every damaged level, what differs from the undamaged model on the same items, by statistic.
    """

    model: str
    measure: str
    scores: tuple[str, ...]
    n_items: int
    curves: dict[str, Curve]
    changes: dict[str, list[dict[str, Comparison]]]

    @property
    def published(self) -> str:
        return self.scores[0]


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    given.add_argument("--limit", type=int, default=200)
    given.add_argument("--models", nargs="+", default=list(ASKED), choices=list(ASKED))
    given.add_argument("--measures", nargs="+", help="only these of the group's measures")
    given.add_argument("--folder", type=Path, default=Path("runs/degradation"))
    given.add_argument("--seed", type=int, default=0)
    options = given.parse_args()
    started, found, left_out = time.perf_counter(), [], []
    for group in options.models:
        for reference, asked in ASKED[group].items():
            for name, scores in asked.items():
                if options.measures and name not in options.measures:
                    continue
                try:
                    found.append(degraded(reference, name, scores, options))
                except (UnknownName, AssetError) as error:
                    left_out.append(f"{name} on {reference}: {error.message}")
    if not found:
        raise FairsqueezeError("Nothing could be asked.", "; ".join(left_out))
    write_page(found, left_out, options, time.perf_counter() - started)


def degraded(reference: str, name: str, scores: tuple[str, ...], options: argparse.Namespace) -> Found:
    """One measure on one model, whole and under every kind of damage."""
    declared = measures.get(name)
    model = load(reference)
    limit = min(options.limit, AT_MOST.get(name, options.limit))
    (evaluation,) = prepare([spec_of(name)], model.kind, limit=limit, seed=options.seed)
    store = Store(options.folder / reference.replace(":", "-") / name)
    store.prepare()
    bench = Bench.of(model, evaluation, store, Lines())
    whole = bench.undamaged()
    curves, changes = {}, {}
    for kind in (k for k in DEGRADATIONS.values() if k.fits(model.kind)):
        frames = [bench.damaged(kind.name, level, options.seed) for level in kind.levels]
        curves[kind.name] = curve_of([whole, *frames], [kind.none, *kind.levels], declared, seed=options.seed)
        changes[kind.name] = [changed(whole, frame, declared, options.seed) for frame in frames]
    return Found(reference, name, scores, len(evaluation.items), curves, changes)


def changed(whole: Frame, damaged: Frame, declared: Measure, seed: int) -> dict[str, Comparison]:
    """The damaged model less the undamaged one, item by item, by overall statistic."""
    compared = compare_frames(whole, damaged, declared, seed=seed)
    return {one.statistic: one for one in compared if one.axis is None}


# --- The page ---------------------------------------------------------------------------------------------------------


def write_page(found: list[Found], left_out: list[str], options: argparse.Namespace, seconds: float) -> None:
    lines = ["# Real models under known damage", ""]
    lines += [
        "What bias measures say while a model breaks. Written by",
        "",
        f"    python recipes/degradation.py --limit {options.limit} --seed {options.seed} "
        f"--models {' '.join(options.models)} --measures {' '.join(one.measure for one in found)}",
        "",
        "(a seeded sample of items, stratified by axis; 95 % intervals by cluster bootstrap). Damage:",
        "",
        *(f"- **{k.name}**: {k.level}; to {k.to}." for k in DEGRADATIONS.values()),
        "",
        "*Reward* is the randomness reward: the share of its distance from the ideal that a score loses per share of "
        "competence lost, over the levels at which it is defined. 0: damage earns nothing; 1: as much as it costs. "
        "*Change* is the damaged model less the undamaged one on the same items, with its 95 % interval; a change in "
        "**bold** has an interval without 0. Every level is one draw of the damage, so intervals hold the items' "
        "variation and not that of another draw.",
        "",
    ]
    reading = DOCS / "degradation-reading.md"
    if reading.exists():
        lines += [reading.read_text(encoding="utf-8").strip(), ""]
    lines += ["## What moves", "", *moves_table(found), "", "## What damage earns", "", *rewards_table(found), ""]
    lines += ["## Which form is tightest", "", *widths_table(found), ""]
    for one in found:
        lines += [f"## {measure_title(one.measure)} on `{one.model}`", "", f"{one.n_items:,} items.", ""]
        lines += [*pictures(one), "", *levels_table(one), ""]
    if left_out:
        lines += ["## Left out", "", *(f"- {why}" for why in left_out), ""]
    (DOCS / "degradation.md").write_text("\n".join(lines), encoding="utf-8")
    print(DOCS / "degradation.md", f"{seconds:.0f} s")


def moves_table(found: list[Found]) -> list[str]:
    """Over damage to the model (not to answers): how many levels move a score towards its ideal, or a bias at all."""
    lines = [
        "Levels of damage to the model at which a published score moved significantly toward its ideal, away from it, "
        "through it to the other side, or not; and at which corrected bias changed, did not, or was unmeasurable.",
        "",
        "| measure | score | toward ideal | away | through it | no change | raw: changed / not / unmeasurable | "
        "prior-corrected: changed / not / unmeasurable |",
        "|" + "---|" * 8,
    ]
    for one in found:
        levels = [c for kind, each in one.changes.items() if DEGRADATIONS[kind].to == "weights" for c in each]
        for score in one.scores:
            seen = [levels_with[score].verdict for levels_with in levels if score in levels_with]
            counted = [seen.count(verdict) for verdict in ("better", "worse", "changed", "no detectable change")]
            lines.append(
                f"| {measure_title(one.measure)} | {statistic_title(score)} | {' | '.join(map(str, counted))} "
                f"| {told(levels, 'corrected_bias')} | {told(levels, PRIOR)} |"
            )
    return lines


def told(levels: list[dict[str, Comparison]], form: str) -> str:
    verdicts = [each[form].verdict for each in levels if form in each]
    if not verdicts:
        return "–"
    lost = verdicts.count("unmeasurable")
    still = verdicts.count("no detectable change")
    return f"{len(verdicts) - lost - still} / {still} / {lost}"


def rewards_table(found: list[Found]) -> list[str]:
    forms = ("corrected_bias", PRIOR)
    lines = [
        "| measure | damage | published score | its reward [95 %] | reward of corrected bias, raw | prior-corrected |",
        "|" + "---|" * 6,
    ]
    for one in found:
        for kind, curve in one.curves.items():
            corrected = [reward(curve.rewards.get(form)) for form in forms]
            for score in one.scores:
                own = reward(curve.rewards.get(score))
                shown = [measure_title(one.measure), kind, statistic_title(score), own, *corrected]
                lines.append("| " + " | ".join(shown) + " |")
    return lines


def widths_table(found: list[Found]) -> list[str]:
    """Mean length of the intervals of each form, as a share of the raw form's, where both are measurable."""
    others = FORMS[1:]
    lines = [
        "Mean length of the 95 % interval over all levels at which both forms are measurable, the raw form being 1 (in "
        "brackets: number of levels); last, that of the change against the undamaged model.",
        "",
        "| measure | " + " | ".join(map(statistic_title, others)) + " | change of raw | change of prior-corrected |",
        "|" + "---|" * (len(others) + 3),
    ]
    for one in found:
        cells = [against_raw(one, form) for form in others]
        cells += [change_against_raw(one, form) for form in ("corrected_bias", PRIOR)]
        lines.append(f"| {measure_title(one.measure)} | " + " | ".join(cells) + " |")
    return lines


def against_raw(one: Found, form: str) -> str:
    pairs = [
        (raw, other)
        for curve in one.curves.values()
        for raw, other in zip(curve.of("corrected_bias"), curve.of(form), strict=False)
    ]
    return ratio([(length(raw), length(other)) for raw, other in pairs])


def change_against_raw(one: Found, form: str) -> str:
    pairs = [
        (length(raw), length(change[form]))
        for kind, changes in one.changes.items()
        for raw, change in zip(one.curves[kind].of("corrected_bias")[1:], changes, strict=True)
        if form in change
    ]
    return ratio(pairs)


def ratio(pairs: list[tuple[float | None, float | None]]) -> str:
    both = [(a, b) for a, b in pairs if a and b]
    return f"{sum(b for _, b in both) / sum(a for a, _ in both):.2f} ({len(both)})" if both else "–"


def length(point: Point | Comparison) -> float | None:
    return None if point.low is None or point.high is None else point.high - point.low


def levels_table(one: Found) -> list[str]:
    forms = [f for f in FORMS if any(curve.of(f) for curve in one.curves.values())]
    tested = [f for f in ("corrected_bias", PRIOR) if f in forms]
    columns = [*one.scores, "competence", *forms]
    changes = [f"change of {statistic_title(f)}" for f in (one.published, *tested)]
    head = ["damage", "level", *map(statistic_title, columns), *changes]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for kind, curve in one.curves.items():
        for index, point in enumerate(curve.of(one.published)):
            if index == 0 and kind != next(iter(one.curves)):
                continue
            change = one.changes[kind][index - 1] if index else {}
            shown = ["none", ""] if index == 0 else [kind, f"{point.level:g}"]
            shown += [cell(points[index]) if (points := curve.of(name)) else "–" for name in columns]
            shown += [difference(change.get(name)) for name in (one.published, *tested)]
            lines.append("| " + " | ".join(shown) + " |")
    return lines


def difference(found: Comparison | None) -> str:
    if found is None:
        return ""
    if found.difference is None or found.low is None or found.high is None:
        return found.verdict
    shown = "{:+.3g} [{:+.3g}, {:+.3g}]".format(*(round(x, 9) + 0.0 for x in (found.difference, found.low, found.high)))
    return f"**{shown}**" if found.low > 0 or found.high < 0 else shown


def pictures(one: Found) -> list[str]:
    folder = DOCS / "images"
    folder.mkdir(exist_ok=True)
    lines = []
    for statistic in (one.published, "corrected_bias"):
        rows = chart_rows(one, statistic)
        stem = f"degradation-{one.model.split(':')[-1]}-{one.measure}-{statistic}".replace(".", "-").replace("_", "-")
        path = save_svg(by_performance(rows), folder / f"{stem}.svg")
        lines.append(f"![{statistic_title(statistic)} against shown competence](images/{path.name})")
    return lines


def chart_rows(one: Found, statistic: str) -> list[dict[str, Any]]:
    """Rows as `report.charts` takes them: a line for each kind of damage, the undamaged model at its start."""
    rows = []
    for number, (kind, curve) in enumerate(one.curves.items()):
        for index, (point, shown) in enumerate(zip(curve.of(statistic), curve.of("competence"), strict=True)):
            if index == 0 and number:
                continue
            rows.append(
                {
                    "variant": f"{kind} {point.level:g}",
                    "kind": "dense" if index == 0 else "compressed",
                    "family": "dense" if index == 0 else kind.replace("_", " "),
                    "sparsity": float(index),
                    **{key: getattr(point, key) for key in ("value", "low", "high", "ideal", "chance")},
                    "n": one.n_items,
                    "unmeasurable": point.value is None,
                    "measure": one.measure,
                    "statistic": statistic,
                    "performance": shown.value,
                    "performance_statistic": "competence",
                }
            )
    return rows


def cell(point: Point) -> str:
    if point.value is None:
        return point.status
    interval = "" if point.low is None else f" [{point.low:.3g}, {point.high:.3g}]"
    return f"{point.value:.3g}{interval}"


def reward(found: RandomnessReward | None) -> str:
    if found is None:
        return "–"
    if found.value is None:
        return found.reason
    interval = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.value:.2f}{interval}"


if __name__ == "__main__":
    main()
