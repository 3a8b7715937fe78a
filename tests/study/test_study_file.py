from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairsqueeze.errors import FairsqueezeError, StudyError
from fairsqueeze.spec import Spec
from fairsqueeze.study.evaluation import spec_of
from fairsqueeze.study.plan import plan
from fairsqueeze.study.study import Study

GOOD = """\
name: small
models: [folder/a]
pipelines:
  - [{magnitude.linear: {sparsity: [0.3, 0.5]}}]
  - [{random.linear: {sparsity: 0.4}}]
references: [random]
measures: [stereoset.causal]
tasks:
  - perplexity: {windows: 4}
seeds: [0, 1]
limit: 10
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def test_lists_span_a_grid_and_only_seeded_methods_run_once_per_seed(tmp_path: Path) -> None:
    made = plan(Study.from_file(written(tmp_path, GOOD)))
    assert [(v.label, v.seed) for v in made.variants] == [
        ("dense", 0),
        ("reference: random", 0),
        ("magnitude.linear 30 %", 0),
        ("magnitude.linear 50 %", 0),
        ("random.linear 40 %", 0),
        ("random.linear 40 %, seed 1", 1),
    ]
    assert len({v.id for v in made.variants}) == 6


OVERRIDDEN = (
    GOOD.replace("[folder/a]", "[folder/a, folder/b]")
    + "overrides:\n  folder/b: {measures: [weat], tasks: [], pipelines: [[{rtn: {bits: 4}}]]}\n"
)


def test_a_model_may_be_compressed_and_asked_otherwise_than_the_others(tmp_path: Path) -> None:
    study = Study.from_file(written(tmp_path, OVERRIDDEN))
    assert [spec.name for spec in study.evaluations("folder/a")] == ["perplexity", "stereoset.causal"]
    assert [spec.name for spec in study.evaluations("folder/b")] == ["weat"]
    assert [v.label for v in plan(study).of("folder/b")] == ["dense", "reference: random", "rtn 4 bits"]
    assert len(plan(study).of("folder/a")) == 6
    assert (study.limit_for("folder/a"), study.limit_for("folder/b")) == (10, 10)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("folder/b: {", "folder/c: {", "'folder/c' is no model of this study"),
        ("[weat]", "[waet]", "weat"),
        ("bits: 4", "bits: 40", "[2, 8]"),
        ("tasks: []", "task: []", "task"),
    ],
)
def test_what_is_wrong_in_an_override_is_said_with_its_line(tmp_path: Path, before: str, after: str, says: str) -> None:
    path = written(tmp_path, OVERRIDDEN.replace(before, after))
    with pytest.raises(StudyError) as caught:
        Study.from_file(path)
    assert f"{path}, line 13:" in caught.value.message
    assert says in str(caught.value)


def test_the_plan_is_pure_and_repeatable(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert plan(Study.from_file(path)) == plan(Study.from_file(path))


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ("limit: 10", "limt: 10", 11, "'limit'"),
        ("sparsity: [0.3, 0.5]", "sparsity: [0.3, 1.5]", 4, r"\[0, 1\)"),
        ("magnitude.linear", "magnitude.liner", 4, "magnitude.linear"),
        ("stereoset.causal", "stereoset.casual", 7, "stereoset.causal"),
        ("windows: 4", "window: 4", 9, "windows"),
        ("random]", "randm]", 6, "random, constant, destroyed"),
        ("limit: 10", "limit: 0", 11, "at least 1"),
        ("limit: 10", "limit: ten", 11, "ten"),
        ("limit: 10", "limit: yes", 11, "True can't stand here"),
        ("limit: 10", 'limit: "5"', 11, "without quotes"),
        ("limit: 10", "limit: 5.0", 11, "a whole number"),
        ("seeds: [0, 1]", "seeds: [true]", 10, "True can't stand here"),
        ("seeds: [0, 1]", 'seeds: ["1"]', 10, "without quotes"),
        ("seeds: [0, 1]", "seeds: [99999999999999999999999]", 10, "2**63 - 1"),
        ("name: small", 'name: ""', 1, "letters, digits"),
        ("name: small", "name: ../../etc/x", 1, "'../../etc/x' can't stand here"),
        ("name: small", "name: .hidden", 1, "a letter or digit first"),
        ("[folder/a]", '[""]', 2, "'' can't stand here"),
        ("- [{random.linear: {sparsity: 0.4}}]", "- []", 5, "at least one step"),
        ("limit: 10", "presets: {none: []}", 11, "at least one step"),
        ("name: small\n", "", 1, "name"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_remedy(
    tmp_path: Path, before: str, after: str, line: int, says: str
) -> None:
    assert before in GOOD
    path = written(tmp_path, GOOD.replace(before, after, 1))
    with pytest.raises(StudyError) as caught:
        plan(Study.from_file(path))
    assert f"{path}, line {line}:" in caught.value.message
    assert says.replace("\\", "") in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "- a list", "a: [unclosed", "\tname: tab"])
def test_a_file_that_holds_no_study_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(StudyError):
        Study.from_file(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study file"):
        Study.from_file(tmp_path / "none.yaml")


def test_names_may_carry_settings() -> None:
    assert spec_of("seat.mean:sd=population") == Spec("seat.mean", {"sd": "population"})
    assert spec_of("weat") == Spec("weat", {})
    assert spec_of({"perplexity": {"windows": 3}}) == Spec("perplexity", {"windows": 3})
    with pytest.raises(FairsqueezeError, match="KEY=VALUE"):
        spec_of("seat.mean:population")


def test_the_shipped_studies_are_in_order() -> None:
    folder = Path(__file__).parents[2] / "studies"
    found = sorted(folder.glob("*.yaml"))
    assert found
    for path in found:
        assert plan(Study.from_file(path)).variants


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("seeds: [0, 1]", "seeds: [-1]", "whole numbers from 0"),
        ("limit: 10", "limit: 10\nlimit: 20", "line 12: the key 'limit' stands there twice"),
        ("{windows: 4}", "{windows: 4, windows: 8}", "line 9: the key 'windows' stands there twice"),
        ("{windows: 4}", "{windows: .inf}", "a value of type int"),
        ("[0.3, 0.5]", "[]", "a list of sparsity is empty"),
        ("[stereoset.causal]", "[weat, weat: {sd: population}]", "weat is asked for twice"),
    ],
)
def test_what_would_be_run_otherwise_than_it_reads_is_refused(
    tmp_path: Path, before: str, after: str, says: str
) -> None:
    with pytest.raises(StudyError, match=re.escape(says)):
        Study.from_file(written(tmp_path, GOOD.replace(before, after)))
