"""check: whether a study can run here, what it lacks, and what could not be looked at."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub.constants
import pytest
from stand_in import Server, offer_repository

from fairsqueeze.errors import StudyError
from fairsqueeze.report.check_text import check_text
from fairsqueeze.study import disk
from fairsqueeze.study.check import CheckReport, check
from fairsqueeze.study.disk import Need, too_much


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without data, models, or a hub."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FAIRSQUEEZE_DATA", raising=False)


@pytest.fixture
def look(tmp_path: Path):
    def at(text: str) -> CheckReport:
        path = tmp_path / "study.yaml"
        path.write_text(f"name: small\n{text}", encoding="utf-8")
        report = check(path, out=tmp_path / "out")
        assert json.loads(json.dumps(report.to_json(), allow_nan=False))["ok"] == report.ok
        assert check_text(report.to_json())
        return report

    return at


def told(report: CheckReport, level: str) -> list[str]:
    return [f"{one.text} {one.remedy}" for one in report.of(level)]


def test_a_study_of_what_is_here_is_in_order(look, tiny_folder: Path) -> None:
    report = look(
        f"models: [{tiny_folder}]\npipelines: [[{{magnitude.linear: {{sparsity: [0.3, 0.5]}}}}]]\nmeasures: [weat]\n"
        "tasks: [perplexity: {windows: 10}]\nreferences: [random]\n"
    )
    assert report.ok
    assert report.in_order
    assert report.findings == ()
    assert report.variants == 4
    (model,) = report.models
    assert (model["reference"], model["kind"], model["variants"]) == (str(tiny_folder), "causal", 4)
    assert model["evaluations"] == ["perplexity(windows=10)", "weat"]
    (need,) = report.disk
    assert 4 * 2 * disk.EVALUATION_BYTES < need["bytes"] < 1e6
    assert "4 variants, 2 evaluations each." in check_text(report.to_json())
    report.require()


def test_a_measure_that_does_not_fit_the_kind_is_told_once_for_all_its_models(look, tiny_folder: Path) -> None:
    report = look(f"models: [{tiny_folder}, builtin:minilm-nli]\nmeasures:\n  - weat\n  - bias_sts\n")
    found = [one for one in told(report, "problem") if "bias_sts" in one]
    assert len(found) == 2
    assert all("line 5: measures[1]" in one and "pair_regressor" in one for one in found)
    assert any(f"of kind causal: {tiny_folder}." in one for one in found)
    assert not report.ok
    assert report.in_order
    with pytest.raises(StudyError, match="can't run: "):
        report.require()


def test_settings_that_exclude_each_other_are_told_before_anything_is_loaded(look, tiny_folder: Path) -> None:
    report = look(
        f"models: [{tiny_folder}]\nmeasures: [weat]\npipelines:\n  - [{{magnitude.nm: {{keep: [2, 4], of: 4}}}}]\n"
        "  - [{rtn: {bits: [8, 4]}}]\n"
    )
    (found,) = told(report, "problem")
    assert "line 5: pipelines[0]: magnitude.nm: keep is 4 of 4" in found


def test_assets_that_are_not_here_are_named_with_what_fetches_them(look) -> None:
    report = look(
        "models: [builtin:minilm-mlm]\nmeasures: [crows_pairs.unchanged]\n"
        "pipelines: [[{wanda: {sparsity: 0.5, calibration: c4}}], [{wanda: {sparsity: 0.5, calibration: no.txt}}]]\n"
    )
    found = told(report, "problem")
    assert report.fetch == ("minilm-mlm", "crows_pairs")
    assert any("line 2: models[0]" in one and "fairsqueeze fetch minilm-mlm" in one for one in found)
    assert any("line 3: measures[0]" in one and "fairsqueeze fetch crows_pairs" in one for one in found)
    assert any("line 4: pipelines[0]" in one and "calibration_text_exllamav2" in one for one in found)
    assert any("line 4: pipelines[1]" in one and "no file no.txt" in one for one in found)
    assert "to fetch: fairsqueeze fetch minilm-mlm crows_pairs" in check_text(report.to_json())
    (assets,) = [need for need in report.disk if need["what"].startswith("data sets")]
    assert assets["bytes"] > 90e6 + 80e6 + 90e6  # the encoder, its wheel, and the copy with the delta


def test_models_of_a_hub_that_does_not_answer_are_said_not_to_be_checked(look) -> None:
    report = look("models: [gpt2, org/other@main]\nmeasures: [weat]\n")
    assert report.ok
    (note,) = told(report, "notice")
    assert "gpt2, org/other@main: not checked" in note
    assert [model["kind"] for model in report.models] == [None, None]
    (hub,) = [need for need in report.disk if need["what"] == "models of the hub"]
    assert hub["unknown"] == ["gpt2", "org/other@main"]


def test_a_config_fetched_before_tells_the_kind_without_the_hub(look, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--org--kept" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    report = look("models: [org/kept]\nmeasures: [bias_sts]\n")
    assert [model["kind"] for model in report.models] == ["causal"]
    assert any("of kind causal: org/kept" in one for one in told(report, "problem"))


def test_what_is_wanted_is_missing_until_it_exists(look) -> None:
    report = look(
        "models: [gpt2]\nmeasures: [weat]\nwanted:\n  - {measure: no_such_measure, why: the study has it}\n"
        "  - {method: rtn, why: the study has it}\n  - {measure: crows_pairs, why: the study has it}\n"
        "  - {model: builtin:minilm-sts, why: the study has it}\n  - {model: org/unreleased, why: not released}\n"
    )
    assert report.ok
    missing = told(report, "missing")
    assert len(missing) == 2
    assert "line 5: wanted[0]: not there yet: measure no_such_measure (the study has it)." in missing[0]
    assert "model org/unreleased" in missing[1]
    notes = [one for one in told(report, "notice") if "exists now" in one]
    assert len(notes) == 3
    assert "Move it to `pipelines:`" in notes[0]
    assert "crows_pairs.causal_sum" in notes[1]
    assert "missing: " in check_text(report.to_json())


def test_a_classifier_needs_labelled_pairs_for_methods_that_learn_from_them(look) -> None:
    report = look(
        "models: [builtin:minilm-nli]\nmeasures: [weat]\npipelines: [[{heads.threshold: {threshold: 0.9}}]]\n"
    )
    assert any("line 4" in one and "needs labelled pairs" in one for one in told(report, "problem"))


def test_a_file_of_sentence_pairs_that_is_not_there_is_told(look) -> None:
    report = look(
        "models: [builtin:smollm2-135m]\nmeasures: [weat]\npipelines: [[{heads.fairness: {pairs: no/such.jsonl}}]]\n"
    )
    assert any("line 4" in one and "no file no/such.jsonl" in one for one in told(report, "problem"))


def test_models_that_are_not_there_and_devices_that_can_not_be_used_are_problems(look, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    report = look(f"models: [./no/such/model, {tmp_path}/empty]\nmeasures: [weat]\ndevice: cuda:77\n")
    found = told(report, "problem")
    assert [one.split(": ")[0].rpartition(" ")[2] for one in found] == ["2", "2", "4"]
    assert "no/such/model" in found[0]
    assert "no config.json" in found[1]


def test_files_that_are_out_of_order_are_reported_and_only_an_absent_one_raises(look, tmp_path: Path) -> None:
    broken = look("models: [a/b\n")
    assert not broken.ok
    assert not broken.in_order
    assert "not YAML" in told(broken, "problem")[0]
    several = look("models: [a/b]\nmeasures: [waet]\nlimt: 3\n")
    assert len(several.of("problem")) == 2
    assert several.study == "small"
    assert "is not in order: 2 problems." in check_text(several.to_json())
    with pytest.raises(StudyError, match="no study file"):
        check(tmp_path / "none.yaml")


def test_need_beyond_what_is_free_is_told_by_file_system(tmp_path: Path) -> None:
    free = Need("records", tmp_path / "not" / "yet", 10).free
    assert too_much([Need("records", tmp_path, free // 4), Need("models", tmp_path / "x", free // 4)]) == []
    (message,) = too_much([Need("records", tmp_path, free), Need("models", tmp_path / "x", free)])
    assert "records" in message
    assert "models" in message


def test_a_study_that_does_not_fit_on_the_disk_is_a_problem(look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000})())
    report = look("models: [gpt2]\nmeasures: [weat]\n")
    assert not report.ok
    assert any(one.startswith("disk: about ") for one in told(report, "problem"))


def test_a_hub_that_answers_tells_kind_and_size_and_what_it_does_not_have(
    look, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = b'{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}'
    files = {"config.json": config, "model.safetensors": bytes(5000), "pytorch_model.bin": bytes(9000)}
    with Server().running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        offer_repository(server, "org/there", files)
        kind, page = server.pages["/api/models/org/there"]
        told_sizes = {**json.loads(page), "siblings": [{"rfilename": n, "size": len(c)} for n, c in files.items()]}
        server.pages["/api/models/org/there"] = (kind, json.dumps(told_sizes).encode())
        report = look("models: [org/there, org/absent]\nmeasures: [bias_sts]\n")
    assert [model["kind"] for model in report.models] == ["causal", None]
    found = told(report, "problem")
    assert any("line 2: models[1]" in one and "org/absent" in one for one in found)
    assert any("of kind causal: org/there" in one for one in found)
    (hub,) = [need for need in report.disk if need["what"] == "models of the hub"]
    assert (hub["bytes"], hub["unknown"]) == (5000 + len(config), [])
