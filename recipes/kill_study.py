"""Kill a study ten times with SIGKILL at random moments, go on each time, and compare with an undisturbed run.

    python recipes/kill_study.py runs/kill --model builtin:minilm-mlm --workers 1

Prints what was kept at each kill, whether any finished file was written again (its inode or time would differ), and
whether the records are those of the undisturbed run, bit for bit apart from times. 12 checkpoints × 4 measures.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from fairsqueeze.records import METADATA_KEY
from fairsqueeze.study.store import Store

TIMING = ("wall_s", "cpu_s", "peak_rss_bytes", "command")
KILLS = 10


def study_of(model: str) -> dict[str, Any]:
    sparsities = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    return {
        "name": "kill",
        "models": [model],
        "pipelines": [[{"magnitude.linear": {"sparsity": sparsities}}], [{"rtn": {"bits": 8}}]],
        "references": ["random"],
        "tasks": ["pseudo_perplexity"],
        "measures": ["crows_pairs.unchanged", "crows_pairs.changed", "stereoset.masked"],
        "limit": 6,
    }


def kept(out: Path) -> dict[str, tuple[int, int]]:
    files = [*(out / "records").glob("*.parquet"), *(out / "variants").glob("*.json")]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def records(out: Path) -> dict[str, Any]:
    found, store = {}, Store(out)
    for step in store.steps():
        table = store.read(step)
        assert table is not None
        told = json.loads(table.schema.metadata[METADATA_KEY])
        found[step] = ({k: v for k, v in told.items() if k not in TIMING}, table.replace_schema_metadata(None))
    return found


def start(file: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    words = ["study", "run", str(file), "--out", str(out), "-q"]
    words += ["--workers", str(workers)] if workers > 1 else []
    return subprocess.Popen([sys.executable, "-m", "fairsqueeze.cli", *words], stdout=subprocess.DEVNULL)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("folder", type=Path)
    given.add_argument("--model", default="builtin:minilm-mlm")
    given.add_argument("--workers", type=int, default=1)
    given.add_argument("--seed", type=int, default=0)
    options = given.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    file, draw = options.folder / "study.yaml", random.Random(options.seed)
    file.write_text(yaml.safe_dump(study_of(options.model)), encoding="utf-8")
    expected, out = options.folder / "undisturbed", options.folder / "killed"
    begun = time.monotonic()
    assert start(file, expected, options.workers).wait() == 0
    print(f"undisturbed: {len(kept(expected))} files in {time.monotonic() - begun:.0f} s")
    seen: dict[str, tuple[int, int]] = {}
    again = 0
    for moment in sorted(draw.sample(range(1, len(kept(expected)) - 1), KILLS)):
        child = start(file, out, options.workers)
        while len(kept(out)) < moment and child.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        time.sleep(1)  # workers of a killed parent end by themselves
        now = kept(out)
        again += sum(now.get(name) != state for name, state in seen.items())
        seen = now
        print(f"killed with {len(now)} files kept; {again} written again so far")
    code = start(file, out, options.workers).wait()
    now = kept(out)
    again += sum(now.get(name) != state for name, state in seen.items())
    ours, theirs = records(out), records(expected)
    same = ours.keys() == theirs.keys() and all(
        told == theirs[step][0] and table.equals(theirs[step][1]) for step, (told, table) in ours.items()
    )
    print(f"exit code {code}; {len(now)} files; written again: {again}; records equal: {same}")
    raise SystemExit(0 if code == 0 and same and not again else 1)


if __name__ == "__main__":
    main()
