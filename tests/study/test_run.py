"""Running a study: what its folder holds is the study as it now stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairsqueeze.errors import BadSetting, StepFailed
from fairsqueeze.models.load import load
from fairsqueeze.report.load import load_results
from fairsqueeze.spec import Spec
from fairsqueeze.study.audit import AuditOptions
from fairsqueeze.study.plan import PlannedVariant, plan
from fairsqueeze.study.run import run, variant_key
from fairsqueeze.study.status import status
from fairsqueeze.study.store import Store
from fairsqueeze.study.study import Study
from fairsqueeze.testing.tiny import save_tiny, tiny_model

pytestmark = pytest.mark.usefixtures("small_registry")


def study(model: Path, **named: object) -> Study:
    return Study(name="small", models=[str(model)], tasks=["fluency"], references=["random"], **named)


def test_an_edited_study_reports_only_what_it_now_asks(tiny_folder: Path, tmp_path: Path) -> None:
    for limit in (6, 8):
        run(plan(study(tiny_folder, limit=limit)), tmp_path)
        shown = load_results(tmp_path)
        assert [v.label for v in shown.variants] == ["dense", "reference: random"]
        assert {e["n"] for v in shown.variants for e in v.estimates} == {limit}
    back = plan(study(tiny_folder, limit=6))
    assert run(back, tmp_path).computed == []
    assert status(Store(tmp_path))["finished"] == 2
    assert {e["n"] for v in load_results(tmp_path).variants for e in v.estimates} == {6}


def test_another_first_seed_draws_other_intervals_from_the_same_records(tiny_folder: Path, tmp_path: Path) -> None:
    """The seed of the intervals is part of what a variant is: a document of another one is not found in its place."""
    intervals = []
    for seed in (0, 1):
        outcome = run(plan(study(tiny_folder, seeds=[seed])), tmp_path)
        assert outcome.computed == ["dense", "reference: random"]
        (dense, _) = load_results(tmp_path).variants
        intervals.append([(e["low"], e["high"]) for e in dense.estimates])
    assert intervals[0] != intervals[1]
    assert len(Store(tmp_path).steps()) == 3  # the dense model was not asked again; the reference row is another model


def test_a_study_of_which_nothing_could_be_scored_says_why(tiny_folder: Path, tmp_path: Path) -> None:
    broken = load(tiny_folder)
    broken.network.get_input_embeddings().weight.data[0, 0] = float("nan")
    models = [str(tmp_path / name) for name in ("a", "b")]
    for folder in models:
        save_tiny(broken, Path(folder))
    with pytest.raises(StepFailed) as told:
        run(plan(study(tiny_folder).model_copy(update={"models": models})), tmp_path / "out")
    for model in models:
        assert re.search(rf"{model}: dense: .*NaN", told.value.message)
        assert f"{model}: reference: random: not begun" in told.value.message
    assert told.value.exit_code == 1


def test_workers_are_of_the_local_executor(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"workers is 4.*Leave workers out"):
        run(plan(study(tiny_folder)), tmp_path / "out", executor="ray", workers=4)
    assert not (tmp_path / "out").exists()


def test_other_weights_under_the_same_path_are_scored_anew(tmp_path: Path) -> None:
    """A study that calls a variant finished because its folder has the same name would report another model."""
    folder, ids = tmp_path / "model", []
    for seed in (0, 1):
        save_tiny(tiny_model("llama", "causal", seed=seed), folder)
        outcome = run(plan(study(folder)), tmp_path / "out")
        assert outcome.computed == ["dense", "reference: random"]
        ids.append([v.audit["model"]["id"] for v in load_results(tmp_path / "out").variants])
    assert ids[0][0] != ids[1][0]
    assert run(plan(study(folder)), tmp_path / "out").computed == []


def test_another_file_under_the_name_that_a_setting_gives_is_another_variant(tiny_folder: Path, tmp_path: Path) -> None:
    text, keys = tmp_path / "text.txt", []
    for content in ("one text", "another text"):
        text.write_text(content)
        step = Spec("neurons.activation", {"share": 0.5, "text": str(text)})
        keys.append(variant_key(PlannedVariant(str(tiny_folder), (step,)), [], AuditOptions()))
    assert keys[0] != keys[1]


def test_variants_of_two_models_that_fail_alike_are_both_told(tiny_folder: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        broken = load(tiny_folder)
        broken.network.get_input_embeddings().weight.data[0, 0] = float("nan")
        save_tiny(broken, folder)
    models = [str(tiny_folder), *map(str, folders)]
    outcome = run(plan(study(tiny_folder).model_copy(update={"models": models})), tmp_path / "out")
    assert [name.rpartition(": ")[0] for name in outcome.failed] == [str(folder) for folder in folders]
    assert outcome.computed == [f"{tiny_folder}: dense", f"{tiny_folder}: reference: random"]
