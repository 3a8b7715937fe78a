"""Write docs/studies/agreement.md: what two published tables say about their measures, by fairsqueeze.analyse.

    FAIRSQUEEZE_DATA=../shared/datasets python recipes/agreement_page.py        (about a minute)

Reads external_results/hessenthaler2022 and external_results/bhattarai_llm_pruning there; the page holds derived
statistics only, never the tables.
"""

from __future__ import annotations

import csv
import os
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

import fairsqueeze
from fairsqueeze.stats.few_rows import least_interval

PAGE = Path(__file__).parent.parent / "docs" / "studies" / "agreement.md"
HERE = Path(__file__).parents[2] / "shared" / "datasets"
DATA = Path(os.environ.get("FAIRSQUEEZE_DATA") or HERE) / "external_results"
STUDENTS = {
    "hidden match": "mnli_kd_hl_results.csv",
    "initialised": "mnli_kd_hl_all_init_results.csv",
    "initialised, least biased": "mnli_kd_hl_bias7_init_results.csv",
    "one layer initialised": "mnli_kd_diff_layers_init_results.csv",
    "logits only": "mnli_kd_hl_no_init_results.csv",
}
NLI = ("gender_net_neutral", "gender_fraction_neutral", "racial_net_neutral", "racial_fraction_neutral")
TESTS = {
    "weat_gender": ("weat_6", "weat_7", "weat_8"),
    "weat_race": ("weat_3", "weat_4", "weat_5"),
    "seat_gender": ("sent-weat6", "sent-weat6b", "sent-weat7", "sent-weat7b", "sent-weat8", "sent-weat8b"),
    "seat_race": ("sent-weat3", "sent-weat3b", "sent-weat4", "sent-weat5", "sent-weat5b"),
}
IDEALS = {**dict.fromkeys(NLI, 1.0), **dict.fromkeys(TESTS, 0.0)}
NAMES = {
    "gender_net_neutral": "Bias-NLI net neutral, gender",
    "gender_fraction_neutral": "Bias-NLI fraction neutral, gender",
    "racial_net_neutral": "Bias-NLI net neutral, race",
    "racial_fraction_neutral": "Bias-NLI fraction neutral, race",
    "weat_gender": "WEAT mean &#124;d&#124;, gender",
    "weat_race": "WEAT mean &#124;d&#124;, race",
    "seat_gender": "SEAT mean &#124;d&#124;, gender",
    "seat_race": "SEAT mean &#124;d&#124;, race",
    "weat_7_effect_size": "WEAT-7 d",
    "Matched Acc": "accuracy",
}


def rows_of(name: str) -> list[dict[str, str]]:
    with (DATA / "hessenthaler2022" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def students() -> dict[str, list[Any]]:
    """All students with their teachers, a run that stands in two files once; WEAT and SEAT as mean |d| per axis."""
    rows = [{**r, "family": "teacher", "role": "teacher"} for r in rows_of("bert_mnli_teacher_results.csv")]
    seen = set()
    for family, file in STUDENTS.items():
        for r in rows_of(file):
            run = (r["seed"], r["num_hidden_layers"], r["best_score"], r["weat_7_effect_size"])
            if run not in seen:
                seen.add(run)
                rows.append({**r, "family": family, "role": "student"})
    table: dict[str, list[Any]] = {c: [r[c] for r in rows] for c in ("seed", "role", "best_score", *NLI)}
    table["label"] = [
        f"{r['family']} {r.get('init_layers', '')}, {r.get('num_hidden_layers', 12)} layers, seed {r['seed']}"
        for r in rows
    ]
    for measure, tests in TESTS.items():
        table[measure] = [float(np.mean([abs(float(r[f"{t}_effect_size"])) for t in tests])) for r in rows]
    return table


def interval(entry: Any) -> str:
    if entry is None or entry["value"] is None:
        return "–"
    if entry["low"] is None:
        return f"{signed(entry['value'])} (no interval)"
    return f"{signed(entry['value'])} [{signed(entry['low'])}, {signed(entry['high'])}]"


def bounds(entry: Any) -> str:
    return "–" if entry["low"] is None else f"[{signed(entry['low'])}, {signed(entry['high'])}]"


def corrected(reward: dict[str, Any]) -> dict[str, Any]:
    """A reward with the interval that decides: at the level that Bonferroni asks over all measures."""
    return {**reward, "low": reward["low_corrected"], "high": reward["high_corrected"]}


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def capability(document: dict[str, Any], kind: str, reading: str = "as published", which: int = 0) -> dict[str, Any]:
    entries = document["sets"][which]["capability"]
    return {e["measure"]: e for e in entries if (e["kind"], e["reading"]) == (kind, reading)}


def agreement(document: dict[str, Any], kind: str) -> dict[tuple[str, str], Any]:
    return {(e["x"], e["y"]): e for e in document["sets"][0]["agreement"] if e["kind"] == kind}


def hidden_match() -> list[str]:
    """Accuracy with WEAT-7 and net neutral within the hidden-match runs, rows independent and seeds as clusters."""
    options: dict[str, Any] = {"performance": "best_score", "measures": ["weat_7_effect_size", "gender_net_neutral"]}
    path = DATA / "hessenthaler2022" / STUDENTS["hidden match"]
    heads = ["correlation of accuracy with", "Pearson, rows", "Pearson, seeds", "Spearman, rows", "Spearman, seeds"]
    found = [fairsqueeze.analyse(path, cluster=c, **options).to_json() for c in ("none", "seed")]
    rows = [
        [NAMES[m], *(interval(capability(d, kind)[m]) for kind in ("pearson", "spearman") for d in found)]
        for m in options["measures"]
    ]
    return grid(heads, rows)


def all_students(seeds: dict[str, Any], alone: dict[str, Any]) -> list[str]:
    heads = ["measure, as distance from its ideal", "with accuracy, seeds", "with accuracy, rows"]
    heads += ["without collapsed, rows", "randomness reward, teachers", "its interval for all eight"]
    fewer = [s["set"] for s in alone["sets"]].index("without collapsed")
    rewards = {r["measure"]: r for r in seeds["sets"][0]["randomness_reward"]}
    reading = "distance from the ideal"
    rows = []
    for m in IDEALS:
        cells = [capability(d, "spearman", reading)[m] for d in (seeds, alone)]
        cells += [capability(alone, "spearman", reading, fewer)[m], rewards[m]]
        rows.append([NAMES[m], *map(interval, cells), bounds(corrected(rewards[m]))])
    return grid(heads, rows)


def pairs(seeds: dict[str, Any], alone: dict[str, Any]) -> list[str]:
    """The strongest pairs of different instruments, and how they do with accuracy held constant."""
    heads = [
        "pair",
        "Spearman, seeds",
        "Spearman, rows",
        "given accuracy, rows",
        "Kendall, rows",
        "direction, teachers",
    ]
    clustered = [agreement(seeds, k) for k in ("spearman", "direction")]
    kinds = [agreement(alone, k) for k in ("spearman", "partial_spearman", "kendall")]
    other = [p for p in kinds[0] if not all("neutral" in name for name in p)]
    rows = []
    for pair in sorted(other, key=lambda p: -abs(kinds[0][p]["value"]))[:6]:
        cells = [clustered[0][pair], *(k.get(pair) for k in kinds), clustered[1].get(pair)]
        rows.append([" / ".join(NAMES[name] for name in pair), *map(interval, cells)])
    return grid(heads, rows)


def validity(alone: dict[str, Any]) -> list[str]:
    figures = alone["sets"][0]["validity"]["figures"]
    rows = [[f["name"].replace("_", " "), interval(f), str(f["n_pairs"])] for f in figures]
    return grid(["figure", "mean Spearman's ρ, rows", "pairs"], rows)


def midterm(document: dict[str, Any]) -> list[str]:
    fewer = [s["set"] for s in document["sets"]].index("without collapsed")
    rows = []
    for m, entry in capability(document, "spearman").items():
        without = capability(document, "spearman", which=fewer)[m]
        rows.append([m, interval(entry), interval(without), f"{entry['n']}, {without['n']}"])
    first = grid(["measure, as published", "with accuracy", "without collapsed", "n"], rows)
    kinds = [agreement(document, k) for k in ("spearman", "kendall", "direction")]
    rows = [[f"{x} / {y}", *(interval(k[x, y]) for k in kinds)] for x, y in kinds[0]]
    return [*first, "", *grid(["pair", "Spearman", "Kendall", "direction of change"], rows)]


def grid(heads: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows)]


def findings(document: dict[str, Any]) -> list[str]:
    found = [f"- {f['text']}" for f in document["findings"]] or ["- none: the evidence does not reach."]
    text = "\n".join(found)
    for key, name in NAMES.items():
        text = text.replace(key, name)
    return [text]


def needed(n: int) -> str:
    """The least Spearman correlation of n independent rows whose interval leaves 0."""
    least = next(r for r in np.arange(0.0, 1.0, 0.01) if (least_interval("spearman", r, n) or (0.0,))[0] > 0)
    return f"{least:.2f}"


TEMPLATE = """# Do bias measures agree? Two published tables, read again

Written by `recipes/agreement_page.py`; every number below is computed by `fairsqueeze.analyse`. The tables are
other people's work and are not in this repository. Intervals are 95 %; p-values are corrected by Holm over all
pairs of a kind, intervals of randomness rewards that decide by Bonferroni over all measures.

## In short

{SHORT}

## Distilled students (MNLI)

Hidden-match runs, 27 students of 3 teachers. "Rows" takes each student as independent, "seeds" the students of
one teacher as dependent.

{HIDDEN}

All students with their teachers, a run that stands in two files once: {COUNTS}

{CAPABILITY}

Bias-NLI is read as 1 - (net or fraction neutral); WEAT and SEAT are means of absolute effect sizes per axis
(WEAT 6–8 and 3–5, SEAT 6–8b and 3–5b). A positive correlation: better models look more biased. Collapsed:
{COLLAPSED}. Randomness reward: the share of the teacher's distance from the ideal that is gone per share of its
accuracy above chance that is gone; 1 pays damage in full. Its last column is at the level that Bonferroni asks over
the eight measures (99.4 %), and decides.

Pairs of different instruments, the strongest six:

{PAIRS}

Multitrait–multimethod matrix (four measures × gender, race):

{VALIDITY}

Net and fraction neutral come from the same answers, so they are no independent methods, and they make the
convergent figure look better than it is.

What `analyse` says by itself, with three teachers as clusters:

{FINDINGS}

## Study 1, mid-term: nine pruned RoBERTa models

{NINE}

What `analyse` says by itself:

{NINE_FINDINGS}

Every interval spans most of what is possible. With nine independent rows a rank correlation must be about
{NEEDED} before its interval leaves 0, before any correction; and {NINE_COLLAPSED} of the nine have collapsed to
chance.

## How `analyse` reads a table

Any table of results will do, one row per checkpoint (or per checkpoint and measure). What the names of the columns
don't tell can be given, and the output says what was chosen:

    fairsqueeze analyse results.csv --performance accuracy --chance 0.33 --measure weat --measure net_neutral \\
        --ideal weat=0 --ideal net_neutral=1 --parent kind=dense --cluster model

- **Ideals and chance** known by name are put on the scale of the values: net neutral has the ideal 1 among shares and
  100 among percentages. Values that could be either (largest above 1, up to 2) or neither get none, and the output
  asks for it. Cells such as `47.3%` are read as 47.3 where all of a column have the sign. A column named like a measure
  that a cell keeps from being read is named with that cell.
- **Undefined values** are not filled in, and they are not spread at random: corrected bias is null above all where a
  checkpoint has collapsed. Each figure is about the rows where all it needs is defined, which `n` counts; the output
  says how many are undefined, and how many of these have collapsed. Krippendorff's α compares two measures by their
  ranks among the rows that both have; without undefined values it is the published α of the ranks, of all measures
  together.
- **Fronts.** The probability of being on a front comes from normal draws from the intervals, independent between
  checkpoints. Checkpoints that answered the same items err alike, so their differences are surer than that: a place on
  the front looks less decided than it is.
- **Cost.** 10,000 checkpoints × 30 measures take 21 s of one core (22 s with undefined values; 20.5 s of
  wall time); a test holds it to 60 s.

## Reproduce

    FAIRSQUEEZE_DATA=../shared/datasets python recipes/agreement_page.py
"""


def short(seeds: dict[str, Any], alone: dict[str, Any], nine: dict[str, Any]) -> list[str]:
    """The reading, with its numbers."""
    reading = "distance from the ideal"
    weat, race = (capability(alone, "spearman", reading)[m] for m in ("weat_gender", "racial_net_neutral"))
    rewards = {r["measure"]: corrected(r) for r in seeds["sets"][0]["randomness_reward"]}
    paid = {m: r for m, r in rewards.items() if r["low"] is not None and not r["low"] <= 0 <= r["high"]}
    named = "; ".join(f"{NAMES[m]} {interval(r)}" for m, r in paid.items()) or "none"
    beyond = next(f for f in alone["sets"][0]["validity"]["figures"] if f["name"] == "beyond_method")
    ranking = alone["sets"][0]["ranking"]
    tested = [e for e in agreement(seeds, "spearman").values() if e["p_adjusted"] is not None]
    shown = sum(e["p_adjusted"] <= 0.05 and not e["low"] <= 0 <= e["high"] for e in tested)
    lines = [
        f"With accuracy of a distilled student goes WEAT's gender bias ({interval(weat)}, rows: better models look "
        f"more biased) and, the other way, Bias-NLI's race bias ({interval(race)}).",
        f"Measures whose randomness reward differs from 0 ({len(paid)} of {len(rewards)}, three teachers, intervals "
        f"that hold for all {len(rewards)} at once): {named}. "
        "Above 0, a student is paid for losing competence; of the others the intervals include 0.",
        f"The eight rankings of the checkpoints have a Krippendorff's α of {interval(ranking)} (rows; 1 would be full "
        "agreement). Different measures of one axis correlate more than one measure on different axes by "
        f"{interval(beyond)}: below 0, a score follows its instrument more than its axis.",
        f"{alone['n']} rows are three teachers with their students. As independent rows they show much; as three "
        f"families {shown} of {len(tested)} pairs of measures. The first reading speaks about these students only, the "
        "second about other teachers too.",
        f"Nine rows (study 1, mid-term) give {len(nine['findings']) or 'no'} findings. That is not evidence that "
        "pruning does no harm.",
    ]
    return ["\n  ".join(textwrap.wrap(f"- {line}", 118)) for line in lines]


def main() -> None:
    table = students()
    options: dict[str, Any] = {"performance": "best_score", "measures": list(IDEALS), "ideals": IDEALS, "chance": 1 / 3}
    seeds = fairsqueeze.analyse(table, cluster="seed", parent="role=teacher", **options).to_json()
    without_roles = {k: v for k, v in table.items() if k != "role"}
    alone = fairsqueeze.analyse(without_roles, cluster="none", **options).to_json()
    nine = fairsqueeze.analyse(DATA / "bhattarai_llm_pruning" / "midterm_results.csv").to_json()
    rankings = [interval(d["sets"][0]["ranking"]) for d in (seeds, alone)]
    blocks = {
        "SHORT": short(seeds, alone, nine),
        "HIDDEN": hidden_match(),
        "CAPABILITY": all_students(seeds, alone),
        "PAIRS": pairs(seeds, alone),
        "VALIDITY": validity(alone),
        "FINDINGS": findings(seeds),
        "NINE": midterm(nine),
        "NINE_FINDINGS": findings(nine),
        "NINE_COLLAPSED": [str(len(nine["collapsed"]["checkpoints"]))],
        "COLLAPSED": ["; ".join(seeds["collapsed"]["checkpoints"])],
        "NEEDED": [needed(nine["n"])],
        "COUNTS": [
            f"{seeds['n']} rows, of which 3 teachers. Krippendorff's α over all eight rankings is {rankings[0]} "
            f"by seeds, {rankings[1]} by rows (1 would be full agreement)."
        ],
    }
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(TEMPLATE.format(**{k: "\n".join(v) for k, v in blocks.items()}), encoding="utf-8")


if __name__ == "__main__":
    main()
