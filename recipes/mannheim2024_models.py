"""Fine-tune the six models of the pruned-RoBERTa study, three a task on its own splits: studies/mannheim2024.yaml.

    python recipes/mannheim2024_models.py runs/mannheim2024 --glue FOLDER [--base roberta-base] [--device cuda]

FOLDER holds GLUE as the hub has it (nyu-mll/glue): mnli/ and stsb/ with train-*, validation*-*.parquet (or tsv, jsonl).
Each model becomes OUT/TASK-NUMBER; beside it as JSON Lines lie its test items, which the study file names, and its
training and validation pairs, by which iterative and structured pruning go. A stopped run goes on where it was. With
`--steps 20` everything can be tried out on small files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from fairsqueeze.models.load import load
from fairsqueeze.stimuli.labelled import Example, read_examples
from fairsqueeze.stimuli.nli_labels import LABELS
from fairsqueeze.training.finetune import finetune
from fairsqueeze.training.splits import Leak, StudySplit, Task, study_split

HEADS = {"mnli": LABELS, "stsb": "regression"}
PARTS = {
    "mnli": ("train", "validation_matched", "validation_mismatched"),
    "stsb": ("train", "validation"),
}


def examples(folder: Path, part: str) -> list[Example]:
    """The examples of the one file of a part. Raises SystemExit where there is none or more than one."""
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in (".parquet", ".tsv", ".jsonl") and path.name.split("-")[0].split(".")[0] == part
    )
    if len(found) != 1:
        raise SystemExit(
            f"{folder} has {len(found)} files of {part}; it needs one, as in {part}-00000-of-00001.parquet."
        )
    return read_examples(found[0])


def write_examples(path: Path, rows: Sequence[Example]) -> None:
    lines = [json.dumps({"sentence1": r.first, "sentence2": r.second, "label": r.label}) for r in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_calibration(path: Path, rows: Sequence[Example]) -> None:
    """The pairs as compression methods read them, with labels as the model's class numbers, or as values."""
    lines = [json.dumps({"first": r.first, "second": r.second, "label": float(class_number(r.label))}) for r in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def class_number(label: str) -> str:
    return str(LABELS.index(label)) if label in LABELS else label


def make(task: Task, number: int, split: StudySplit[Example], args: argparse.Namespace) -> None:
    """One model with its files."""
    target = args.out / f"{task}-{number}"
    parts = {"test": split.test, "test-mismatched": split.test_mismatched}
    for name, rows in parts.items():
        if rows:
            write_examples(args.out / f"{task}-{number}-{name}.jsonl", rows)
    write_calibration(args.out / f"{task}-{number}-validation.jsonl", split.validation)
    write_calibration(args.out / f"{task}-{number}-train.jsonl", split.train)
    changes = {} if args.steps is None else {"steps": args.steps}
    trained = finetune(
        load(args.base, device=args.device, kind="encoder"),
        split.train,
        preset=f"mannheim2024.{task}",
        head=HEADS[task],
        seed=42,
        out=target,
        precision=args.precision,
        **changes,
    )
    print(target, trained.id, json.dumps(trained.provenance["steps"][-1]["measured"])[:200], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--base", default="FacebookAI/roberta-base")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument(
        "--leak", default="repair", choices=("repair", "repeat"), help="the study's leak: see papers.md, 1"
    )
    parser.add_argument("--steps", type=int, help="at most so many optimiser steps, to try it out")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    leak: Leak = args.leak
    for task in ("stsb", "mnli"):
        parts = [examples(args.glue / task, part) for part in PARTS[task]]
        for number in (1, 2, 3):
            make(task, number, study_split(task, number, *parts, leak=leak), args)


if __name__ == "__main__":
    main()
