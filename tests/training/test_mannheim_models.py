"""The recipe that makes the six models of the pruned-RoBERTa study: end to end on a tiny RoBERTa and a few pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fairsqueeze.models.load import load
from fairsqueeze.study.study import Study
from fairsqueeze.testing.tiny import save_tiny, tiny_model

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "mannheim2024_models.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save_tiny(tiny_model("roberta", "masked"), folder / "base")
    sizes = {"train": 60, "validation_matched": 11, "validation_mismatched": 10, "validation": 15}
    for task, parts in (
        ("mnli", ("train", "validation_matched", "validation_mismatched")),
        ("stsb", ("train", "validation")),
    ):
        (folder / task).mkdir()
        for part in parts:
            labels = ("entailment", "neutral", "contradiction") if task == "mnli" else ("0.0", "2.5", "5.0")
            rows = [f"{part} {k}\tsecond {k}\t{labels[k % 3]}" for k in range(sizes[part])]
            text = "\n".join(["sentence1\tsentence2\tlabel", *rows]) + "\n"
            (folder / task / f"{part}.tsv").write_text(text, encoding="utf-8")
    words = [sys.executable, str(RECIPE), str(folder / "out"), "--glue", str(folder), "--base", str(folder / "base")]
    done = subprocess.run([*words, "--steps", "1"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "out"


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_three_models_a_task_with_labels_in_the_order_of_glue(made: Path) -> None:
    for number in (1, 2, 3):
        model = load(made / f"mnli-{number}")
        assert (model.kind, model.network.config.id2label[1]) == ("pair_classifier", "neutral")
        assert load(made / f"stsb-{number}").kind == "pair_regressor"
    assert load(made / "mnli-1").id != load(made / "mnli-2").id


@pytest.mark.parametrize("name", ["mnli-1", "mnli-2", "mnli-3", "stsb-1", "stsb-2", "stsb-3"])
def test_nothing_that_is_reported_on_was_trained_or_selected_by(made: Path, name: str) -> None:
    tested = {(r["sentence1"], r["sentence2"]) for r in read(made / f"{name}-test.jsonl")}
    used = [read(made / f"{name}-{part}.jsonl") for part in ("train", "validation")]
    assert tested
    assert not tested & {(r["first"], r["second"]) for rows in used for r in rows}
    if name.startswith("mnli"):
        assert {r["label"] for r in used[0]} == {0.0, 1.0, 2.0}


def test_the_study_file_names_what_the_recipe_makes(made: Path) -> None:
    study = Study.from_file(ROOT / "studies" / "mannheim2024.yaml")
    here = {str(path.name) for path in made.iterdir()}
    assert {Path(model).name for model in study.models} <= here
    for model in study.models:
        evaluations = [spec.parameters for spec in study.evaluations(model)]
        steps = [step.parameters for variant in study.grid(model) for step in variant]
        files = {v for p in (*evaluations, *steps) for v in p.values() if str(v).startswith("runs/")}
        assert {Path(str(file)).name for file in files} <= here
        assert all(Path(model).name in str(file) for file in files)
