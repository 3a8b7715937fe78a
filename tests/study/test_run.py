"""Running a study: what its folder holds is the study as it now stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairsqueeze.errors import StepFailed
from fairsqueeze.models.load import load
from fairsqueeze.report.load import load_results
from fairsqueeze.study.plan import plan
from fairsqueeze.study.run import run, status
from fairsqueeze.study.study import Study

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
    assert status(back, tmp_path, print)["finished"] == 2
    assert {e["n"] for v in load_results(tmp_path).variants for e in v.estimates} == {6}


def test_a_study_of_which_nothing_could_be_scored_says_why(tiny_folder: Path, tmp_path: Path) -> None:
    from fairsqueeze.testing.tiny import save_tiny

    broken = load(tiny_folder)
    broken.network.get_input_embeddings().weight.data[0, 0] = float("nan")
    save_tiny(broken, tmp_path / "broken")
    with pytest.raises(StepFailed, match=r"dense.*NaN"):
        run(plan(study(tmp_path / "broken")), tmp_path / "out")
