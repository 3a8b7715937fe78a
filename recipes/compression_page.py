"""Write the tables of docs/compression.md from what recipes/compression.py measured.

python recipes/compression_page.py runs/compression
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from compression import SCORES, label, rows
from generated_part import put

from fairsqueeze.registry import methods

PAGE = Path(__file__).parent.parent / "docs" / "compression.md"
HEAD = "| method | {} [95 %] | zeros, % | bits a weight | MB | speed × dense [95 %] | s (CPU s) | peak GiB |"

CALIBRATION = ("calibration", "sequences", "length", "text", "labelled", "pairs")
"""Settings that say what a method is calibrated on, not what it does."""
BYTES = {"float32": 4, "bfloat16": 2}
FASTER = 1.2
Named = tuple[str, dict[str, Any]]


def read(folder: Path, model: str) -> list[dict[str, Any]]:
    """The rows that are there, in the recipe's order."""
    paths = [folder / f"{label(row)}.json" for row in rows(model)]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def line(document: dict[str, Any]) -> str:
    weighed, spent = document["footprint"], document["spent"]
    cells = [
        f"`{document['row']}`{'' if document['dtype'] == 'float32' else ' in ' + document['dtype']}",
        interval(document["score"]["value"], document["score"]["low"], document["score"]["high"]),
        f"{100 * weighed['linear']['sparsity']:.1f}",
        bits(document),
        f"{weighed['bytes_dense'] / 1e6:.1f}",
        speed(document),
        f"{spent['wall_s']:.0f} ({spent['cpu_s']:.0f})" if document["method"] else "–",
        f"{spent['peak_gib']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def simulated(document: dict[str, Any]) -> bool:
    """Whether the compressed weights are stored dense, so that what they would save is only counted."""
    return bool(document["method"]) and methods.get(document["method"]).simulated


def bits(document: dict[str, Any]) -> str:
    """Bits that a compressed weight takes, or would take where it is stored dense (of low rank: in two factors)."""
    measured, width = document["measured"], 8 * BYTES[document["dtype"]]
    if not simulated(document):
        return f"{measured['bits_per_weight']:.2f}" if "bits_per_weight" in measured else str(width)
    taken = measured["bits_per_weight"] if "bits_per_weight" in measured else width * measured["factor_share"]
    return f"{taken:.2f} (simulated)"


def speed(document: dict[str, Any]) -> str:
    """Against dense; none of weights that are stored dense, which run as the dense ones do."""
    found = document["latency"]
    if simulated(document) or (document["method"] and not found):
        return "–"
    return interval(found["speedup"], found["speedup_low"], found["speedup_high"]) if found else "1"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "undefined"
    return number(value) if low is None or high is None else f"{number(value)} [{number(low)}, {number(high)}]"


def number(value: float) -> str:
    if abs(value) >= 1_000_000:
        return f"{value:.1e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def checks(documents: list[dict[str, Any]]) -> list[str]:
    """The order that is expected of perplexity, and what is really faster, as the rows have it."""
    half = {"sparsity": 0.5}
    wanted: dict[str, tuple[str, list[Named]]] = {
        "SparseGPT ≤ Wanda < magnitude < random at 50 %": (
            "≤<<",
            [("sparsegpt", half), ("wanda", half), ("magnitude.linear", half), ("random.linear", half)],
        ),
        "GPTQ < round to nearest at 4 bits": ("<", [("gptq", {"bits": 4}), ("rtn", {"bits": 4})]),
    }
    lines = []
    for what, (signs, names) in wanted.items():
        rows = [row_of(documents, method, settings) for method, settings in names]
        if all(rows):
            values = [row["score"]["value"] for row in rows if row]
            shown = ", ".join("undefined" if v is None else number(v) for v in values)
            lines.append(f"- {what}: {verdict(values, signs)} ({shown}).")
    fast = [d for d in documents if d["latency"] and not simulated(d) and d["latency"]["speedup_low"] >= FASTER]
    structured = [d for d in fast if methods.get(d["method"]).removes]
    quantised = [d for d in fast if methods.get(d["method"]).packs]
    names = ", ".join(d["row"] for d in fast) or "none"
    holds = "holds" if structured and quantised else "does NOT hold"
    return [
        *lines,
        f"- Faster than dense by {FASTER} × or more, its whole interval: {names}.",
        f"- At least one structured and one quantised row among them: {holds} "
        f"({len(structured)} structured, {len(quantised)} quantised).",
    ]


def row_of(documents: list[dict[str, Any]], method: str, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The row of this method at these settings, whatever it was calibrated on: of several the one on most tokens."""
    found = [
        d
        for d in documents
        if d["method"] == method and {k: v for k, v in d["settings"].items() if k not in CALIBRATION} == settings
    ]
    return max(found, key=lambda d: d["settings"].get("sequences", 0) * d["settings"].get("length", 0), default=None)


def verdict(values: list[float | None], signs: str) -> str:
    """Whether neighbours are in the order that the signs say, "≤" or "<"."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "undecided, a score is undefined"
    steps = zip(known, known[1:], signs, strict=False)
    return "holds" if all(a < b or (a == b and sign == "≤") for a, b, sign in steps) else "does NOT hold"


def main(out: Path) -> None:
    for model, (_, statistic) in SCORES.items():
        documents = read(out / model.removeprefix("builtin:"), model)
        if not documents:
            continue
        how = next((d["latency"] for d in documents if d["latency"]), None)
        timed = (
            f"{how['batch']} × {how['length']} tokens, {how['rounds']} rounds, {how['threads']} threads" if how else ""
        )
        lines = [f"### {model}\n", HEAD.format(statistic), f"|{'---|' * 8}", *map(line, documents)]
        lines += (
            [f"\nSpeed: a forward pass of {timed}, dense and compressed (of one precision) in turns.\n"] if how else []
        )
        put(PAGE, model.removeprefix("builtin:"), [*lines, *(checks(documents) if statistic == "perplexity" else [])])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
