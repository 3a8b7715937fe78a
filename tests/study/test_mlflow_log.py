"""Logging to MLflow: every variant once, with its parameters and estimates."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from fairsqueeze.errors import BadSetting
from fairsqueeze.study.plan import plan
from fairsqueeze.study.run import run
from fairsqueeze.study.study import Study

pytestmark = pytest.mark.usefixtures("small_registry")


def study(model: Path, sparsities: list[float]) -> Study:
    pipelines = [[{"magnitude.linear": {"sparsity": sparsities}}]]
    return Study(name="logged", models=[str(model)], pipelines=pipelines, tasks=["fluency"], limit=6)


def test_every_variant_is_logged_once(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'fairsqueeze[mlflow]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "")  # what is set below is taken back with it
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    from mlflow.tracking import MlflowClient

    for sparsities in ([0.5], [0.5], [0.5, 0.6]):
        run(plan(study(tiny_folder, sparsities)), tmp_path / "out", mlflow=str(tmp_path / "logged"))
    client = MlflowClient(tracking_uri=(tmp_path / "logged").as_uri())
    experiment = client.get_experiment_by_name("logged")
    runs = {one.data.params["variant"]: one for one in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"dense", "magnitude.linear 50 %", "magnitude.linear 60 %"}
    assert len(client.search_runs([experiment.experiment_id])) == 3
    half = runs["magnitude.linear 50 %"]
    assert half.data.params["step1"] == "magnitude.linear"
    assert half.data.params["step1.sparsity"] == "0.5"
    documents = [json.loads(path.read_text()) for path in (tmp_path / "out" / "variants").glob("*.json")]
    (document,) = [one for one in documents if one["label"] == "magnitude.linear 50 %"]
    (value,) = [e["value"] for e in document["audit"]["estimates"] if e["statistic"] == "logprob" and e["axis"] is None]
    assert half.data.metrics["fluency/logprob"] == pytest.approx(value)


def test_a_run_that_was_killed_while_it_was_logged_is_logged_whole_the_next_time(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'fairsqueeze[mlflow]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_metric", killed)
        with pytest.raises(KeyboardInterrupt):
            run(plan(study(tiny_folder, [0.5])), tmp_path / "out", mlflow=str(tmp_path / "logged"))
    run(plan(study(tiny_folder, [0.5])), tmp_path / "out", mlflow=str(tmp_path / "logged"))
    client = MlflowClient(tracking_uri=(tmp_path / "logged").as_uri())
    found = client.search_runs([client.get_experiment_by_name("logged").experiment_id])
    assert [(one.info.status, "fluency/logprob" in one.data.metrics) for one in found] == [("FINISHED", True)] * 2


def test_a_server_that_does_not_answer_is_told_before_the_work(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'fairsqueeze[mlflow]'")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(BadSetting, match=r"Nothing can be logged to MLflow at http://127.0.0.1:9: ") as told:
        run(plan(study(tiny_folder, [0.5])), tmp_path / "out", mlflow="http://127.0.0.1:9")
    assert told.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_without_mlflow_one_is_told_how_to_get_it(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(BadSetting, match=r"pip install 'fairsqueeze\[mlflow\]'"):
        run(plan(study(tiny_folder, [0.5])), tmp_path / "out", mlflow="logged")
    assert not (tmp_path / "out").exists()
