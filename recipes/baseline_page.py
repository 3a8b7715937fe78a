"""Write docs/baseline.md from what recipes/baseline.py measured.

python recipes/baseline_page.py runs/baseline
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from generated_part import put

PAGE = Path(__file__).parent.parent / "docs" / "baseline.md"
SHOWN = {
    "crows_pairs": [
        ("crows_pairs.causal_sum", s)
        for s in ("share_stereotypical", "competence", "corrected_bias", "competence.prior", "corrected_bias.prior")
    ],
    "stereoset": [
        ("stereoset.causal", s)
        for s in ("lm_score", "ss", "icat", "competence", "corrected_bias", "competence.prior", "corrected_bias.prior")
    ],
    "piqa": [("multiple_choice.piqa", "accuracy"), ("multiple_choice.piqa", "accuracy_norm")],
    "perplexity": [("perplexity", s) for s in ("perplexity", "nats_per_token", "nats_per_byte")],
}
COMPARED = [
    ("perplexity", "perplexity"),
    ("stereoset.causal", "lm_score"),
    ("stereoset.causal", "ss"),
    ("stereoset.causal", "icat"),
    ("stereoset.causal", "share_stereotypical"),
    ("stereoset.causal", "corrected_bias"),
    ("stereoset.causal", "corrected_bias.prior"),
    ("crows_pairs.causal_sum", "share_stereotypical"),
    ("crows_pairs.causal_sum", "corrected_bias"),
    ("crows_pairs.causal_sum", "corrected_bias.prior"),
]


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "audit.json").read_text())


def cell(document: dict[str, Any], measure: str, statistic: str, axis: str | None = None) -> str:
    """`value [low, high]`, or the word for why there is none."""
    found = [
        e for e in document["estimates"] if (e["measure"], e["statistic"], e["axis"]) == (measure, statistic, axis)
    ]
    if not found:
        return "–"
    e = found[0]
    if e["value"] is None:
        return e["status"]
    interval = "" if e["low"] is None else f" [{number(e['low'])}, {number(e['high'])}]"
    return number(e["value"]) + interval


def number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def full(out: Path) -> list[str]:
    """The tables of the dense model in full, with time."""
    lines = []
    for name, wanted in SHOWN.items():
        document = read(out / name)
        timing = json.loads((out / name / "timing.json").read_text())
        engine = document["provenance"]["engine"]
        n = {e["measure"]: e["n"] for e in document["estimates"] if e["axis"] is None}
        lines += [f"### {wanted[0][0]}\n", "| statistic | value [95 %] |", "|---|---|"]
        lines += [f"| `{s}` | {cell(document, m, s)} |" for m, s in wanted]
        speed = engine["tokens_asked"] / engine["seconds"]
        lines += [
            f"\n{n[wanted[0][0]]:,} items; {timing['wall_s']:.0f} s wall, {timing['cpu_s']:.0f} s CPU from the command "
            f"to its end, {timing['peak_gib']:.2f} GiB peak. Scoring alone: {engine['seconds']:.0f} s for "
            f"{engine['tokens_asked']:,} tokens asked, of which {engine['tokens_forwarded']:,} went through the model "
            f"({speed:.0f} tokens asked per second).\n"
        ]
    return lines


def axes(out: Path) -> list[str]:
    lines = [
        "### Per axis\n",
        "| measure | axis | n | published | corrected (raw) | corrected (prior) |",
        "|---|---|---|---|---|---|",
    ]
    for name, measure, published in (
        ("stereoset", "stereoset.causal", "ss"),
        ("crows_pairs", "crows_pairs.causal_sum", "share_stereotypical"),
    ):
        document = read(out / name)
        for axis in sorted({e["axis"] for e in document["estimates"] if e["axis"]}):
            n = next(e["n"] for e in document["estimates"] if e["axis"] == axis and e["statistic"] == published)
            cells = [cell(document, measure, s, axis) for s in (published, "corrected_bias", "corrected_bias.prior")]
            lines.append(f"| {measure} | {axis} | {n} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def pruned(out: Path) -> list[str]:
    """Dense, magnitude 60 % and random 40 % side by side."""
    dense = {name: read(out / name) for name in SHOWN}
    home = {m: name for name, wanted in SHOWN.items() for m, _ in wanted}
    variants = [read(out / method / "audit") for method in ("magnitude.linear", "random.linear")]
    lines = ["| measure | statistic | dense | magnitude 60 % | random 40 % |", "|---|---|---|---|---|"]
    for measure, statistic in COMPARED:
        cells = [cell(d, measure, statistic) for d in (dense[home[measure]], *variants)]
        lines.append(f"| {measure} | `{statistic}` | " + " | ".join(cells) + " |")
    return lines


def main(out: Path) -> None:
    document = read(out / "crows_pairs")
    machine, libraries = document["provenance"]["machine"], document["provenance"]["libraries"]
    lines = [
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; torch "
        f"{libraries['torch']}, transformers {libraries['transformers']}. Checkpoint `{document['model']['id']}`.\n",
        "## The dense model\n",
        *full(out),
        *axes(out),
        "## What pruning does, and what the scores say of it\n",
        *pruned(out),
    ]
    put(PAGE, "measurements", lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
