"""Measure what docs/compression.md states: every method at its levels, on SmolLM2-135M and the MiniLM classifiers.

    FAIRSQUEEZE_DATA=../shared/datasets python recipes/compression.py runs/compression [MODEL…] [--only TEXT]

Each row is a process of its own: time and peak memory of compressing, bytes of the result, its score, and its speed in
turns with the dense model. Rows that are there are kept, so that the same command goes on where it stopped. Then:

    python recipes/compression_page.py runs/compression
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TEXT = "wikitext2"
"""Calibration text of all methods that need one: the validation split; perplexity is of the test split."""
FULL = {"calibration": TEXT, "sequences": 128, "length": 512}
SMALL = {"calibration": TEXT, "sequences": 32, "length": 256}
"""Calibration of the rows whose time and memory are promised, and of the others."""
LANGUAGE = "builtin:smollm2-135m"
SCORES = {
    LANGUAGE: ("perplexity", "perplexity"),
    "builtin:minilm-nli": ("nli", "accuracy"),
    "builtin:minilm-sts": ("sts", "pearson"),
}
LIMITS = {LANGUAGE: 16, "builtin:minilm-nli": 600, "builtin:minilm-sts": 600}
"""Windows, items and pairs of a score: one fixed sample a model, so that rows are compared on the same ones."""
SPARSITIES = (0.3, 0.5, 0.7)
DTYPES = {"torchao.int4_weight_only": "bfloat16"}
"""Precision of the model where it is not float32: of the dense one that speed is compared with as well."""
LATENCY = {"batch": 1, "length": 256, "repeats": 7}
PAIRS = str(Path(__file__).with_name("sentence_pairs.jsonl"))
"""Sixteen occupations with either pronoun, which heads.fairness weighs heads by."""
Row = tuple[str, dict[str, Any]]


def rows(model: str) -> list[Row]:
    """(method, settings) of every row for this model; the dense one is ("", {})."""
    pairs = {"labelled": "mnli" if model == "builtin:minilm-nli" else "stsb"}
    judged = {"text": TEXT, "sequences": 32} if model == LANGUAGE else pairs
    found: list[Row] = [("", {}), ("random.linear", {"sparsity": 0.5})]
    found += [("magnitude.linear", {"sparsity": s}) for s in SPARSITIES]
    found += [("wanda", {"sparsity": 0.5, **FULL}), ("sparsegpt", {"sparsity": 0.5, **FULL})]
    found += [("rtn", {"bits": 4}), ("gptq", {"bits": 4, **FULL})]
    found += [("dynamic_int8", {}), ("dynamic_int8", {"per_channel": True}), ("torchao.int8_dynamic", {})]
    found += [("low_rank.svd", {"rank": 0.5}), ("heads.gradient", {"share": 1 / 3, **judged})]
    found += [("neurons.activation", {"share": 0.5}), ("blocks.cosine", {"share": 0.4})]
    found += [("magnitude.all", {"sparsity": 0.5}), ("magnitude.iterative", {"sparsity": 0.5, **judged})]
    found += [("heads.threshold", {"threshold": 0.9, **judged, "sequences": 32})]
    return found if model != LANGUAGE else [*found, *more(judged)]


def more(judged: dict[str, Any]) -> list[Row]:
    """What is measured on the language model alone."""
    found: list[Row] = [(f"magnitude.{scope}", {"sparsity": 0.5}) for scope in ("row", "global", "global_attention")]
    found += [(method, {"sparsity": 0.7, **SMALL}) for method in ("wanda", "sparsegpt")]
    found += [("magnitude.nm", {"keep": 2, "of": 4})]
    found += [(method, {"keep": 2, "of": 4, **SMALL}) for method in ("wanda.nm", "sparsegpt.nm")]
    found += [("sparsegpt.quantised", {"sparsity": 0.5, "bits": 4, **SMALL})]
    found += [(method, {"sparsity": 0.5, **judged}) for method in ("taylor", "movement")]
    grouped = {"bits": 3, "group": 64}
    found += [("rtn", {"bits": 8}), ("rtn", {"bits": 4, "group": 64}), ("rtn", grouped)]
    found += [("gptq", {**grouped, **SMALL}), ("awq", {"bits": 4, **SMALL}), ("awq", {**grouped, **SMALL})]
    found += [("torchao.int8_weight_only", {}), ("torchao.int4_weight_only", {})]
    found += [("low_rank.svd", {"rank": 0.7}), ("low_rank.activation", {"rank": 0.5, **SMALL})]
    found += [("heads.magnitude", {"share": 1 / 3}), ("heads.random", {"share": 1 / 3})]
    found += [("neurons.magnitude", {"share": 0.25}), ("neurons.activation", {"share": 0.25})]
    found += [("blocks.cosine", {"share": 0.2}), ("blocks.every", {"k": 5}), ("random.all", {"sparsity": 0.5})]
    return [*found, ("heads.fairness", {"pairs": PAIRS, **judged}), ("vocabulary.trim", {"text": TEXT})]


def label(row: Row) -> str:
    """The row's name, and that of its file."""
    method, settings = row
    shown = {k: v for k, v in settings.items() if k not in ("text", "labelled", "pairs") and FULL.get(k) != v}
    inside = ",".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in shown.items())
    return f"{method or 'dense'}({inside})" if inside else method or "dense"


def measure(model: str, row: Row, folder: Path) -> None:
    """One row, in this process: compress, weigh, score, time; written to `folder` as one JSON file."""
    from fairsqueeze.compress.apply import compress
    from fairsqueeze.compress.latency import measure_latency
    from fairsqueeze.models.load import load
    from fairsqueeze.registry import methods
    from fairsqueeze.study.audit import audit

    method, settings = row
    dtype = DTYPES.get(method, "float32")
    dense = load(model, dtype=dtype)
    before_gib = peak_gib()
    wall, cpu = time.monotonic(), time.process_time()
    result = compress(dense, method, **settings) if method else dense
    spent = {"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu, "peak_gib": peak_gib()}
    timed = bool(method) and not methods.get(method).simulated
    speed = measure_latency({"dense": dense, "compressed": result}, **LATENCY)["compressed"] if timed else None
    task, statistic = SCORES[model]
    scored = audit(result, tasks=[task], limit=LIMITS.get(model), timing=False)
    score = next(e for e in scored.estimates if e.statistic == statistic and e.axis is None)
    document = {
        "model": model,
        "row": label(row),
        "method": method,
        "settings": settings,
        "dtype": dtype,
        "id": result.id,
        "spent": {**spent, "loaded_gib": before_gib},
        "measured": result.provenance["steps"][-1]["measured"] if method else {},
        "footprint": scored.footprint,
        "latency": speed.to_json() if speed else None,
        "score": {"task": task, **score.to_json()},
    }
    path = folder / f"{label(row)}.json"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(document, indent=1))
    os.replace(unfinished, path)


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def known(model: str) -> bool:
    from fairsqueeze.assets.catalogue import entries

    return model.removeprefix("builtin:") in {entry.name for entry in entries("model")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="*", default=list(SCORES))
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    parser.add_argument("--without", nargs="+", default=[], help="rows by name that are left for later")
    parser.add_argument("--row", type=int, help="one row by number, in this process")
    given = parser.parse_args()
    for model in given.models:
        if not known(model):
            print(f"{model} is not in the catalogue yet: left out", flush=True)
            continue
        folder = given.out / model.removeprefix("builtin:")
        folder.mkdir(parents=True, exist_ok=True)
        if given.row is not None:
            measure(model, rows(model)[given.row], folder)
            continue
        for number, row in enumerate(rows(model)):
            if given.only not in label(row) or label(row) in given.without or (folder / f"{label(row)}.json").exists():
                continue
            words = [sys.executable, __file__, str(given.out), model, "--row", str(number)]
            start = time.monotonic()
            code = subprocess.run(words, check=False).returncode
            done = f"{time.monotonic() - start:.0f} s" if code == 0 else f"FAILED with {code}"
            print(f"{model} {label(row)}: {done}", flush=True)


if __name__ == "__main__":
    main()
