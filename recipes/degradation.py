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
from fairsqueeze.registry import measures
from fairsqueeze.report.charts import by_performance, save_svg
from fairsqueeze.report.labels import measure_title, statistic_title
from fairsqueeze.stats.randomness_reward import RandomnessReward
from fairsqueeze.study.evaluation import prepare, spec_of
from fairsqueeze.study.progress import Lines
from fairsqueeze.study.store import Store
from fairsqueeze.validation.curve import Curve, Point, curve_of
from fairsqueeze.validation.damaged import Bench
from fairsqueeze.validation.degradation import DEGRADATIONS

DOCS = Path(__file__).resolve().parents[1] / "docs"
ASKED = {
    "smollm2": {
        "builtin:smollm2-135m": {
            "stereoset.causal": "ss",
            "crows_pairs.causal_sum": "share_stereotypical",
            "bbq.causal": "bias_ambiguous",
        }
    },
    "minilm": {
        "builtin:minilm-nli": {"bias_nli": "fraction_neutral"},
        "builtin:minilm-sts": {"bias_sts": "mean_absolute_difference"},
    },
}
"""By group: models, their measures, and the published score that is drawn (else the first that has an ideal)."""

AT_MOST = {"crows_pairs.causal_sum": 200, "bbq.causal": 60}
"""Items of the measures whose items are many sentences."""

FORMS = ("corrected_bias", "corrected_bias.prior", "corrected_bias.length_weighted")


@dataclass(frozen=True)
class Found:
    """One measure on one model under every kind of damage; each curve starts with the undamaged model."""

    model: str
    measure: str
    published: str
    n_items: int
    curves: dict[str, Curve]


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
            for name, published in asked.items():
                if options.measures and name not in options.measures:
                    continue
                try:
                    found.append(degraded(reference, name, published, options))
                except (UnknownName, AssetError) as error:
                    left_out.append(f"{name} on {reference}: {error.message}")
    if not found:
        raise FairsqueezeError("Nothing could be asked.", "; ".join(left_out))
    write_page(found, left_out, options, time.perf_counter() - started)


def degraded(reference: str, name: str, published: str, options: argparse.Namespace) -> Found:
    """One measure on one model, whole and under every kind of damage."""
    declared = measures.get(name)
    model = load(reference)
    limit = min(options.limit, AT_MOST.get(name, options.limit))
    (evaluation,) = prepare([spec_of(name)], model.kind, limit=limit, seed=options.seed)
    store = Store(options.folder / reference.replace(":", "-") / name)
    store.prepare()
    bench = Bench.of(model, evaluation, store, Lines())
    whole = bench.undamaged()
    curves = {}
    for kind in (k for k in DEGRADATIONS.values() if k.fits(model.kind)):
        frames = [bench.damaged(kind.name, level, options.seed) for level in kind.levels]
        none = 1.0 if kind.name == "temperature" else 0.0
        curves[kind.name] = curve_of([whole, *frames], [kind.none, *kind.levels], declared, seed=options.seed)
    names = [s.name for s in declared.statistics if s.ideal is not None and s.resample]
    return Found(reference, name, published if published in names else names[0], len(evaluation.items), curves)


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
        "*Stays*: whether the undamaged model's corrected bias lies within the interval of the damaged one's.",
        "",
    ]
    reading = DOCS / "degradation-reading.md"
    if reading.exists():
        lines += [reading.read_text(encoding="utf-8").strip(), ""]
    lines += ["## What damage earns", "", *rewards_table(found), ""]
    for one in found:
        lines += [f"## {measure_title(one.measure)} on `{one.model}`", "", f"{one.n_items:,} items.", ""]
        lines += [*pictures(one), "", *levels_table(one), ""]
    if left_out:
        lines += ["## Left out", "", *(f"- {why}" for why in left_out), ""]
    (DOCS / "degradation.md").write_text("\n".join(lines), encoding="utf-8")
    print(DOCS / "degradation.md", f"{seconds:.0f} s")


def rewards_table(found: list[Found]) -> list[str]:
    lines = [
        "| measure | damage | published score | its reward [95 %] | reward of corrected bias [95 %] |",
        "|" + "---|" * 5,
    ]
    for one in found:
        for kind, curve in one.curves.items():
            lines.append(
                f"| {measure_title(one.measure)} | {kind} | {statistic_title(one.published)} "
                f"| {reward(curve.rewards.get(one.published))} | {reward(curve.rewards.get('corrected_bias'))} |"
            )
    return lines


def levels_table(one: Found) -> list[str]:
    forms = [f for f in FORMS if any(curve.of(f) for curve in one.curves.values())]
    head = ["damage", "level", statistic_title(one.published), "competence", *map(statistic_title, forms), "stays"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for kind, curve in one.curves.items():
        for index, point in enumerate(curve.of(one.published)):
            if index == 0 and kind != next(iter(one.curves)):
                continue
            label = "none" if index == 0 else kind
            shown = [cell(point), cell(curve.of("competence")[index]), *(cell(curve.of(f)[index]) for f in forms)]
            stays = "" if index == 0 else inside(curve.of("corrected_bias"), index)
            lines.append(f"| {label} | {point.level if index else ''} | " + " | ".join(shown) + f" | {stays} |")
    return lines


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


def inside(points: list[Point], index: int) -> str:
    first, point = points[0], points[index]
    if first.value is None or point.low is None or point.high is None:
        return first.status if first.value is None else point.status
    return "yes" if point.low <= first.value <= point.high else "no"


def reward(found: RandomnessReward | None) -> str:
    if found is None:
        return "–"
    if found.value is None:
        return found.reason
    interval = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.value:.2f}{interval}"


if __name__ == "__main__":
    main()
