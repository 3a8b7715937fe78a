"""Study files that build on others: include, presets, offline forms; and all problems told at once."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from fairsqueeze.errors import FairsqueezeError, StudyError
from fairsqueeze.registry import checked_settings, methods
from fairsqueeze.spec import Spec
from fairsqueeze.study.plan import plan
from fairsqueeze.study.presets import package_presets
from fairsqueeze.study.spec_file import StudyProblems
from fairsqueeze.study.study import Study, span

BASE = """\
name: base
models: [a/big, a/small]
pipelines:
  - [{magnitude.linear: {sparsity: 0.5}}]
measures: [stereoset.causal]
limit: 50
overrides:
  a/small: {limit: 5}
presets:
  gentle: [{rtn: {bits: 8}}]
offline:
  models:
    a/big: builtin:smollm2-135m
    a/small:
  limit: 10
"""


@pytest.fixture
def write(tmp_path: Path):
    def put(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return put


def problems_of(path: Path, **how: bool) -> list[str]:
    with pytest.raises(StudyProblems) as caught:
        Study.from_file(path, **how)
    return [f"{Path(one.path).name}:{one.line} {one.message} {one.remedy}" for one in caught.value.problems]


def test_all_problems_are_told_at_once_in_the_order_of_the_file(write) -> None:
    path = write(
        "wrong.yaml",
        "name: wrong\nmodels: [a/b, builtin:smolm2-135m]\n"
        "pipelines:\n  - [{rtn: {bits: 40, bit: 2}}]\n  - [{wanda: {}}]\n"
        "limt: 3\nmeasures: [waet]\ndtype: float3\ndevice: gpu\nseeds: [1, 1]\n"
        "overrides:\n  a/b: {mesures: [], tasks: [nil]}\n",
    )
    found = problems_of(path)
    lines = [int(one.split(":")[1].split()[0]) for one in found]
    assert lines == sorted(lines) == [2, 4, 4, 5, 6, 7, 8, 9, 10, 12, 12]
    for says in ("smollm2-135m", "[2, 8]", "'bit'", "sparsity", "'limit'", "'weat'", "float32", "cpu", "twice"):
        assert any(says in one for one in found), says
    assert any("'measures'" in one for one in found)
    assert any("'nli'" in one for one in found)
    with pytest.raises(StudyError, match=r"has 11 problems\.") as caught:
        Study.from_file(path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("models: 5", 2, "a list of models"),
        ("models: [a/b]\nmeasures: [{weat: {}, seat.mean: {}}]", 3, "names 2 things"),
        ("models: [a/b]\nmeasures: weat", 3, "`measures` is a list"),
        ("models: [a/b]\ntasks: [nli]\npipelines: [rtn]", 4, "'rtn' is a method, not a preset"),
        ("models: [a/b]\ntasks: [nli]\npipelines: [mannheim2042]", 4, "mannheim2024"),
        ("models: [a/b]\ntasks: [nli]\npipelines:\n  - [{torchao.int8_dynamic}, {rtn}]", 5, "be the last step"),
        ("models: [a/b]\ntasks: [nli]\nwanted: [{measure: winobias}]", 4, "`why:`"),
        ("models: [a/b]\ntasks: [nli]\nwanted: [{measure: a, task: b, why: c}]", 4, "exactly one"),
        ("models: [a/b]", 2, "nothing is asked of a/b"),
        ("models: [a/b, a/b]\ntasks: [nli]", 2, "stands there twice"),
        ("models: [a/b]\nmeasures: [winobias]", 3, "under `wanted:`"),
        ("models: [a/b]\nlimit: 2024-13-01", 1, "not YAML"),
        ("models: &m [a/b, *m]", 2, "can't stand here"),
        ("models: [a/b]\ntasks: [nli]\npresets: {one: [{rtnn: {}}]}", 4, "'rtn'"),
        ("models: [a/b]\ntasks: [nli]\npresets: {two: [[{rtn: {}}], [{rtn: {bits: 1}}]]}", 4, "[2, 8]"),
        ("models: [a/b]\ntasks: [nli]\noffline: {models: {a/b: gpt2}}", 4, "not built in"),
        ("models: [a/b]\ntasks: [nli]\noffline: {models: {a/c: builtin:minilm-nli}}", 2, "has no offline form"),
        ("models: [a/b]\ntasks: [nli]\noffline: {models: {a/b: }}", 4, "no model is left"),
        ("models: [a/b]\ntasks: [nli]\noffline: {models: {a/b: builtin:minilm-nil}}", 4, "minilm-nli"),
        ("models: [a/b]\ntasks: [nli]\noffline: {models: {a/b: builtin:minilm-nli}, tasks: [nil]}", 4, "'nli'"),
        ("models: [a/b]\ntasks: [nli]\noffline: {modles: {}}", 4, "'models'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write, text: str, line: int, says: str) -> None:
    found = problems_of(write("wrong.yaml", f"name: wrong\n{text}\n"))
    assert any(one.startswith(f"wrong.yaml:{line} ") and says in one for one in found), found


def test_an_included_file_gives_what_the_file_itself_does_not_say(write) -> None:
    write("base.yaml", BASE)
    own = "include: base.yaml\nname: own\nmeasures: [crows_pairs.causal_sum]\noverrides: {a/big: {limit: 7}}\n"
    study = Study.from_file(
        write("own.yaml", f"{own}presets: {{harsh: [{{rtn: {{bits: 2}}}}]}}\npipelines: [gentle, harsh]\n")
    )
    assert (study.name, study.limit, study.models) == ("own", 50, ["a/big", "a/small"])
    assert [spec.name for spec in study.evaluations("a/big")] == ["crows_pairs.causal_sum"]
    assert (study.limit_for("a/big"), study.limit_for("a/small")) == (7, 5)
    assert [steps[0].parameters["bits"] for steps in study.grid("a/big")] == [8, 2]


def test_of_several_includes_the_later_wins_and_paths_are_relative_to_the_including_file(write, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write("deep/one.yaml", "include: two.yaml\nlimit: 1\n")
    write("deep/two.yaml", "models: [a/b]\nlimit: 2\nseeds: [2]\n")
    write("three.yaml", "limit: 3\ntasks: [nli]\n")
    study = Study.from_file(write("own.yaml", "include: [deep/one.yaml, three.yaml]\nname: own\n"))
    assert (study.models, study.limit, study.seeds) == (["a/b"], 3, [2])


def test_a_problem_of_an_included_file_names_that_file_and_its_line(write) -> None:
    write("base.yaml", BASE.replace("sparsity: 0.5", "sparsity: 1.5").replace("limit: 5}", "limits: 5}"))
    found = problems_of(write("own.yaml", "include: base.yaml\nname: own\nmeasures: [waet]\n"))
    assert [one.split(" ")[0] for one in found] == ["own.yaml:3", "base.yaml:4", "base.yaml:8"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("include: none.yaml", "no study file"),
        ("include: own.yaml", "includes this file in turn"),
        ("include: other.yaml", "own.yaml → other.yaml → own.yaml"),
        ("include: {file: other.yaml, ofline: true}", "names no file"),
        ("include: 5", "names no file"),
        ("include: {file: plain.yaml, offline: true}", "no offline form"),
    ],
)
def test_an_include_that_can_not_be_followed_is_refused(write, text: str, says: str) -> None:
    write("other.yaml", "include: own.yaml\n")
    write("plain.yaml", "models: [a/b]\n")
    assert any(says in one for one in problems_of(write("own.yaml", f"name: own\n{text}\n")))


def test_the_offline_form_has_stand_ins_its_own_name_and_what_offline_replaces(write) -> None:
    path = write("base.yaml", BASE)
    study = Study.from_file(path, offline=True)
    assert (study.name, study.models, study.limit, study.overrides) == (
        "base-offline",
        ["builtin:smollm2-135m"],
        10,
        {},
    )
    assert study.offline is None
    assert Study.from_file(path).models == ["a/big", "a/small"]
    included = Study.from_file(write("off.yaml", "include: {file: base.yaml, offline: true}\nlimit: 3\n"))
    assert included == study.model_copy(update={"limit": 3})


def test_overrides_go_over_to_the_stand_in_and_patterns_name_many(write) -> None:
    text = BASE.replace("    a/big: builtin:smollm2-135m\n    a/small:\n", "    a/big:\n    a/*: builtin:minilm-mlm\n")
    study = Study.from_file(write("base.yaml", text.replace("stereoset.causal", "weat")), offline=True)
    assert study.models == ["builtin:minilm-mlm"]
    assert study.overrides["builtin:minilm-mlm"].limit == 5
    clash = text.replace("a/big:\n    a/*", "a/*")
    assert any("overrides differ" in one for one in problems_of(write("clash.yaml", clash), offline=True))


def test_a_study_without_an_offline_form_says_so(write) -> None:
    path = write("plain.yaml", "name: plain\nmodels: [a/b]\ntasks: [nli]\n")
    assert any("no offline form" in one for one in problems_of(path, offline=True))


PRESETS = """\
name: x
models: [a/b]
tasks: [nli]
pipelines: [two, mannheim2024, mannheim2024.imp]
presets:
  two: [[{rtn: {bits: [8, 4]}}], [{wanda: {sparsity: 0.5}}, {rtn: {bits: 8}}]]
  mannheim2024: [{rtn: {bits: 3}}]
"""


def test_a_preset_is_one_pipeline_or_several_and_the_studys_own_goes_before_the_package(write) -> None:
    grid = Study.from_file(write("own.yaml", PRESETS)).grid("a/b")
    names = [[spec.name for spec in steps] for steps in grid]
    assert names[:4] == [["rtn"], ["rtn"], ["wanda", "rtn"], ["rtn"]]
    assert grid[3][0].parameters["bits"] == 3
    assert {tuple(steps) for steps in names[4:]} == {("magnitude.iterative",)}


def test_the_presets_of_the_package_are_in_order() -> None:
    known = package_presets()
    assert len(known["mannheim2024"].pipelines) == 7
    for preset in known.values():
        assert preset.what
        assert preset.source
        assert all(span(pipeline) for pipeline in preset.pipelines)


def test_a_study_made_in_python_may_name_presets_too() -> None:
    study = Study(name="x", models=["a/b"], tasks=["nli"], pipelines=["weight_quantisation"])
    assert {v.label for v in plan(study).variants} >= {"dense", "rtn 8 bits", "awq 3 bits"}
    with pytest.raises(FairsqueezeError, match="weight_quantisation"):
        Study(name="x", models=["a/b"], tasks=["nli"], pipelines=["weight_quantization"]).grid("a/b")


def test_a_grid_is_every_choice_with_all_settings_in_their_declared_order() -> None:
    grid = span([{"rtn": {"group": [None, 32], "bits": [8, 4]}}, {"wanda": {"sparsity": [0.25, 0.5]}}])
    slow = [
        tuple(
            Spec(name, checked_settings(methods.get(name), given))
            for name, given in (("rtn", {"group": group, "bits": bits}), ("wanda", {"sparsity": sparsity}))
        )
        for group in (None, 32)
        for bits in (8, 4)
        for sparsity in (0.25, 0.5)
    ]
    assert grid == slow
    assert [list(steps[0].parameters) for steps in grid] == [list(steps[0].parameters) for steps in slow]


def test_the_lists_of_studies_and_presets_in_the_documents_are_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written by recipes/studies_page.py."""
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(root / "recipes"))
    page = importlib.import_module("studies_page")
    shutil.copy(page.PAGE, tmp_path / "studies.md")
    page.main(tmp_path / "studies.md")
    assert (tmp_path / "studies.md").read_text(encoding="utf-8") == page.PAGE.read_text(encoding="utf-8"), (
        "Run: python recipes/studies_page.py"
    )
