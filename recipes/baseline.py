"""Measure what docs/baseline.md states: SmolLM2-135M in full, then pruned by magnitude at 60 % and at random at 40 %.

    FAIRSQUEEZE_DATA=../shared/datasets python recipes/baseline.py runs/baseline

Each part is a run of the command line in a process of its own, timed, with its peak memory; finished parts are kept.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

MODEL = "builtin:smollm2-135m"
PARTS = {
    "crows_pairs": ["-m", "crows_pairs.causal_sum"],
    "stereoset": ["-m", "stereoset.causal"],
    "piqa": ["-t", "multiple_choice.piqa"],
    "perplexity": ["-t", "perplexity"],
}
VARIANTS = {"magnitude 60 %": ("magnitude.linear", "0.6"), "random 40 %": ("random.linear", "0.4")}


def timed(*words: str) -> dict[str, float]:
    """Run `fairsqueeze words…`; wall seconds, CPU seconds and peak resident GiB of that process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "fairsqueeze.cli", *words], stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 3):
        sys.exit(f"fairsqueeze {' '.join(words)} ended with {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": time.monotonic() - start, "cpu_s": cpu, "peak_gib": after.ru_maxrss / 2**20}


def audit(model: str, folder: Path, words: list[str]) -> None:
    """Audit into `folder` unless it is there; leaves `timing.json` beside `audit.json`."""
    if (folder / "timing.json").exists():
        return
    found = timed("audit", model, *words, "--out", str(folder))
    (folder / "timing.json").write_text(json.dumps(found))
    print(folder.name, found, flush=True)


def main(out: Path) -> None:
    for name, words in PARTS.items():
        audit(MODEL, out / name, words)
    both = [*PARTS["crows_pairs"], *PARTS["stereoset"], *PARTS["perplexity"]]
    for label, (method, sparsity) in VARIANTS.items():
        folder = out / method
        if not (folder / "model" / "fairsqueeze.json").exists():
            setting = f"sparsity={sparsity}"
            timed("compress", MODEL, "--method", method, "--set", setting, "--out", str(folder / "model"))
        audit(str(folder / "model"), folder / "audit", both)
        print(label, "done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
