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

PAGE = Path(__file__).parent.parent / "docs" / "compression.md"
HEAD = "| method | {} [95 %] | zeros, % | bits a weight | MB | speed × dense [95 %] | s (CPU s) | peak GiB |"


def read(folder: Path, model: str) -> list[dict[str, Any]]:
    """The rows that are there, in the recipe's order."""
    paths = [folder / f"{label(row)}.json" for row in rows(model)]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def line(document: dict[str, Any]) -> str:
    weighed, spent, speed = document["footprint"], document["spent"], document["latency"]
    simulated = document["measured"].get("bits_per_weight")
    packed = simulated is not None and "storable" not in document["measured"]
    bits = f"{simulated:.2f}{' (simulated)' if packed else ''}" if simulated is not None else "32"
    cells = [
        f"`{document['row']}`{'' if document['dtype'] == 'float32' else ' in ' + document['dtype']}",
        interval(document["score"]["value"], document["score"]["low"], document["score"]["high"]),
        f"{100 * weighed['linear']['sparsity']:.1f}",
        bits,
        f"{weighed['bytes_dense'] / 1e6:.1f}",
        interval(speed["speedup"], speed["speedup_low"], speed["speedup_high"]) if speed else "1",
        f"{spent['wall_s']:.0f} ({spent['cpu_s']:.0f})" if document["method"] else "–",
        f"{spent['peak_gib']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "undefined"
    return number(value) if low is None or high is None else f"{number(value)} [{number(low)}, {number(high)}]"


def number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def checks(documents: list[dict[str, Any]]) -> list[str]:
    """The order that is expected of perplexity, and what is really faster, as the rows have it."""
    by_row = {d["row"]: d["score"]["value"] for d in documents}
    wanted = {
        "SparseGPT ≤ Wanda < magnitude < random at 50 %": [
            "sparsegpt(sparsity=0.5)",
            "wanda(sparsity=0.5)",
            "magnitude.linear(sparsity=0.5)",
            "random.linear(sparsity=0.5)",
        ],
        "GPTQ < round to nearest at 4 bits": ["gptq(bits=4)", "rtn(bits=4)"],
    }
    lines = []
    for what, names in wanted.items():
        if all(name in by_row for name in names):
            values = [by_row[name] for name in names]
            holds = "holds" if values == sorted(values) else "does NOT hold"
            lines.append(f"- {what}: {holds} ({', '.join(number(v) for v in values)}).")
    faster = [d["row"] for d in documents if d["latency"] and d["latency"]["speedup_low"] >= 1.2]
    return [*lines, f"- Faster than dense by 1.2 × or more, its whole interval: {', '.join(faster) or 'none'}."]


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
