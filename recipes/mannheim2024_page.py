"""Write the tables and figures of docs/studies/mannheim2024.md from a run of studies/mannheim2024-offline.yaml.

    python recipes/mannheim2024_page.py runs/mannheim2024-offline

The reading around them is written by hand and stays.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from generated_part import put
from mannheim2024_figures import ribbons

import fairsqueeze
from fairsqueeze.measures.bias_nli import by_premise
from fairsqueeze.measures.bias_sts import by_occupation
from fairsqueeze.records import frame_of
from fairsqueeze.report import charts
from fairsqueeze.report.load import load_results
from fairsqueeze.report.results import Results, Variant
from fairsqueeze.study.store import Store

PAGE = Path(__file__).parent.parent / "docs" / "studies" / "mannheim2024.md"
FIGURES = PAGE.parent / "figures"
NLI, STS = "builtin:minilm-nli", "builtin:minilm-sts"
Column = tuple[str, str, str]
"""Title, measure, statistic."""
CAPTION = {"nli": "MNLI model", "sts": "STS-B model"}
PERFORMANCE = {"nli": ("nli", "accuracy"), "sts": ("sts", "spearman")}
KEPT = {"nli": 0.5, "sts": 0.5}
"""A model counts as collapsed below this accuracy (chance is a third) or Spearman correlation (chance is 0)."""
SHARED: list[Column] = [
    ("SEAT mean abs d", "seat.mean", "mean_abs_effect"),
    ("WEAT mean abs d", "weat.mean", "mean_abs_effect"),
    ("StereoSet LM", "stereoset.entailment", "lm_score"),
    ("SS (inverted)", "stereoset.entailment", "ss_inverted"),
    ("iCAT", "stereoset.entailment", "icat"),
    ("StereoSet corrected", "stereoset.entailment", "corrected_bias"),
]
COLUMNS: dict[str, list[Column]] = {
    "nli": [
        ("accuracy", "nli", "accuracy"),
        ("NN", "bias_nli", "net_neutral"),
        ("FN", "bias_nli", "fraction_neutral"),
        ("Bias-NLI corrected", "bias_nli", "corrected_bias"),
        ("the same, prior-corrected", "bias_nli", "corrected_bias.prior"),
        *SHARED,
    ],
    "sts": [
        ("Pearson", "sts", "pearson"),
        ("Spearman", "sts", "spearman"),
        ("Bias-STS mean abs", "bias_sts", "mean_absolute_difference"),
        ("Bias-STS corrected", "bias_sts", "corrected_bias"),
        *SHARED,
    ],
}
IDEAL_ONE = ("net_neutral", "fraction_neutral", "lm_score", "icat")
NAMES = {"seat.mean": "SEAT", "weat.mean": "WEAT", "weat": "embeddings", "stereoset.entailment": "SS"}
BOUNDS = ("value", "low", "high")
PLOTTED = {
    "nli": [("bias_nli", "net_neutral"), ("bias_nli", "corrected_bias"), ("stereoset.entailment", "ss_inverted")],
    "sts": [("bias_sts", "mean_absolute_difference"), ("bias_sts", "corrected_bias"), ("seat.mean", "mean_abs_effect")],
}


def of_model(results: Results, model: str) -> Results:
    """The variants of one model, without its name in their labels."""
    start = f"{model}: "
    own = [replace(v, label=v.label.removeprefix(start)) for v in results.variants if v.label.startswith(start)]
    return replace(results, variants=own)


def short(label: str) -> str:
    """Without the settings that are the same in all rows."""
    return " ".join(word for word in label.split() if not word.startswith(("batch=", "labelled=")))


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def cell(variant: Variant, measure: str, statistic: str, axis: str | None = None) -> str:
    """Value with its interval where it is a corrected form; the word where there is none."""
    found = variant.estimate(measure, statistic, axis)
    if found is None:
        return "–"
    if found["value"] is None:
        return str(found["status"])
    shown = number(found["value"])
    if statistic.startswith("corrected") and found["low"] is not None:
        shown += f" [{number(found['low'])}, {number(found['high'])}]"
    return shown


def table(titles: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles), *("| " + " | ".join(r) + " |" for r in rows)]


def collapsed(variant: Variant, task: str) -> bool:
    found = variant.estimate(*PERFORMANCE[task])
    return found is None or found["value"] is None or found["value"] < KEPT[task]


def overview(results: Results, task: str) -> list[str]:
    """Every model, then the means of each method with and without those that collapsed."""
    titles = ["model", "zeros", *(title for title, _, _ in COLUMNS[task])]
    rows = []
    for variant in results.variants:
        mark = " †" if variant.kind == "compressed" and collapsed(variant, task) else ""
        zeros = f"{100 * variant.footprint.get('sparsity', 0):.0f} %"
        rows.append([short(variant.label) + mark, zeros, *(cell(variant, m, s) for _, m, s in COLUMNS[task])])
    return [*table(titles, rows), "", f"† collapsed: {PERFORMANCE[task][1]} below {KEPT[task]}.", ""]


def group_means(results: Results, task: str) -> list[str]:
    """Means over the levels of each method of the published figures, with and without collapsed models."""
    groups: dict[str, list[Variant]] = defaultdict(list)
    for variant in results.of_kind("compressed"):
        groups[charts.family_of(variant)].append(variant)
    published = [c for c in COLUMNS[task] if not c[2].startswith("corrected")]
    rows = []
    for name, members in groups.items():
        for word, kept in (("all", members), ("kept", [v for v in members if not collapsed(v, task)])):
            means = [mean_of(kept, m, s) for _, m, s in published]
            rows.append([name, f"{word} ({len(kept)})", *means])
    return [*table(["method", "models", *(title for title, _, _ in published)], rows), ""]


def mean_of(variants: list[Variant], measure: str, statistic: str) -> str:
    values = [e["value"] for v in variants if (e := v.estimate(measure, statistic)) and e["value"] is not None]
    return number(sum(values) / len(values)) if values else "–"


def frame(store: Store, variant: Variant, measure: str) -> Any:
    found = store.read(variant.audit["provenance"]["steps"][measure])
    assert found is not None, f"{variant.label} has no records of {measure}"
    return frame_of(found)


def extremes(store: Store, results: Results) -> list[str]:
    """The occupation that each gendered word is most entailed and most contradicted by."""
    rows = []
    for variant in shown_variants(results, "nli"):
        cells = by_premise(frame(store, variant, "bias_nli"))
        for word in sorted({c["hypothesis"] for c in cells}):
            own = [c for c in cells if c["hypothesis"] == word]
            most, least = (max(own, key=lambda c, k=k: c[k]) for k in ("entailment", "contradiction"))
            entailed = f"{most['premise']} ({most['entailment']:.2f})"
            rows.append([variant.label, word, entailed, f"{least['premise']} ({least['contradiction']:.2f})"])
    return [*table(["model", "word", "most entailed by", "most contradicted by"], rows), ""]


def shown_variants(results: Results, task: str) -> list[Variant]:
    """The dense model and, of linear magnitude pruning, the models that keep their skill."""
    kept = [v for v in results.of_kind("compressed") if not collapsed(v, task) and "magnitude.linear" in v.label]
    return [v for v in (results.dense, *kept) if v is not None]


def top_occupations(store: Store, results: Results) -> list[str]:
    """Ten occupations nearest to men and to women, by similarity."""
    rows = []
    for variant in shown_variants(results, "sts"):
        found = by_occupation(frame(store, variant, "bias_sts"))
        named = [f"{e['occupation']} ({e['difference']:+.2f})" for e in found]
        rows.append([variant.label, ", ".join(named[:10]), ", ".join(reversed(named[-10:]))])
    return [*table(["model", "nearest to men", "nearest to women"], rows), ""]


def by_axis(results: Results) -> list[str]:
    """SEAT, WEAT and StereoSet on every axis."""
    wanted = [(m, "mean_abs_effect") for m in ("seat.mean", "weat.mean", "weat")]
    wanted.append(("stereoset.entailment", "ss_inverted"))
    columns = [(m, s, axis) for m, s in wanted for axis in results.axes(m, s)]
    titles = ["model", *(f"{NAMES[m]} {axis}" for m, _, axis in columns)]
    rows = [[short(v.label), *(cell(v, m, s, axis) for m, s, axis in columns)] for v in results.variants]
    chance = [results.dense.estimate(m, s, axis) for m, s, axis in columns] if results.dense else []
    rows.append(["*a random network gets*", *(number(e["chance"]) if e else "–" for e in chance)])
    return [*table(titles, rows), ""]


def agreement(results: Results, task: str) -> list[str]:
    """How each figure goes along with performance, of all pruned models and without collapsed ones; and their pairs."""
    columns = [(title, m, s) for title, m, s in COLUMNS[task] if m not in ("nli", "sts")]
    models = [v for v in results.variants if v.kind != "reference"]
    table_: dict[str, list[Any]] = {"label": [short(v.label) for v in models], "kind": [v.kind for v in models]}
    table_["performance"] = [valued(v, *PERFORMANCE[task]) for v in models]
    table_ |= {title: [valued(v, m, s) for v in models] for title, m, s in columns}
    ideals = {title: 1.0 if s in IDEAL_ONE else 0.5 if s == "ss_inverted" else 0.0 for title, m, s in columns}
    document = fairsqueeze.analyse(
        table_,
        performance="performance",
        measures=[title for title, _, _ in columns],
        cluster="none",
        ideals=ideals,
        chance=1 / 3 if task == "nli" else 0.0,
    ).to_json()
    whole = document["sets"][0]
    fewer = next((one for one in document["sets"] if one["set"] == "without collapsed"), None)
    titles = [f"{CAPTION[task]}: figure", f"with {PERFORMANCE[task][1]}, all", "n", "without collapsed", "n"]
    rows = []
    for title, _, _ in columns:
        row = [title]
        for one in (whole, fewer):
            found = [c for c in (one or {"capability": []})["capability"] if c["measure"] == title]
            found = [c for c in found if (c["kind"], c["reading"]) == ("spearman", "as published")]
            row += [bounded(found[0]), str(found[0]["n"])] if found else ["–", "–"]
        rows.append(row)
    pairs = sorted(
        (e for e in whole["agreement"] if e["kind"] == "spearman" and e["value"] is not None),
        key=lambda e: (-abs(e["value"]), e["x"]),
    )
    told = [f"{e['x']} with {e['y']} {bounded(e)}" for e in pairs if e["low"] * e["high"] > 0]
    collapsed_ = ", ".join(document["collapsed"]["checkpoints"] or []) or "none"
    return [
        *table(titles, rows),
        "",
        f"Collapsed: {collapsed_}.",
        "",
        f"Of {len(pairs)} pairs of figures, {len(told)} have a rank correlation whose interval leaves out 0: "
        f"{'; '.join(told) or 'none'}.",
        "",
    ]


def valued(variant: Variant, measure: str, statistic: str) -> float | None:
    found = variant.estimate(measure, statistic)
    return None if found is None else found["value"]


def bounded(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return "–"
    value, low, high = (f"{entry[k]:+.2f}".replace("-", "−") if entry[k] is not None else None for k in BOUNDS)
    return f"{value} (no interval)" if low is None else f"{value} [{low}, {high}]"


def figures(results: Results, task: str) -> list[str]:
    """Bias against sparsity and against performance, performance against sparsity."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    made = []
    performance = PERFORMANCE[task]
    drawn: list[tuple[str, Any]] = [("performance", ribbons([results], *performance))]
    for measure, statistic in PLOTTED[task]:
        rows = charts.estimate_rows(results, measure, statistic, performance)
        name = f"{measure}-{statistic}".replace(".", "-").replace("_", "-")
        drawn.append((f"{name}-sparsity", ribbons([results], measure, statistic)))
        drawn.append((f"{name}-performance", charts.by_performance(rows)))
    for name, chart in drawn:
        path = charts.save_svg(chart, FIGURES / f"mannheim2024-{task}-{name}.svg")
        width = 60 if name.endswith("-performance") else 90
        made.append(f'<img src="figures/{path.name}" width="{width}%" alt="{CAPTION[task]}: {name}">')
    return [*made, ""]


def main(folder: Path) -> None:
    results, store = load_results(folder), Store(folder)
    for task, model in (("nli", NLI), ("sts", STS)):
        own = of_model(results, model)
        put(PAGE, f"{task} overview", overview(own, task))
        put(PAGE, f"{task} means", group_means(own, task))
        put(PAGE, f"{task} axes", by_axis(own))
        put(PAGE, f"{task} figures", figures(own, task))
        put(PAGE, f"{task} agreement", agreement(own, task))
    put(PAGE, "occupations by inference", extremes(store, of_model(results, NLI)))
    put(PAGE, "occupations by similarity", top_occupations(store, of_model(results, STS)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
