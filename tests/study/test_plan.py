"""The plan: every step once, by its content, quick for a hundred thousand; and what they may be expected to take."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fairsqueeze.report.plan_text import plan_text
from fairsqueeze.spec import Spec
from fairsqueeze.study.audit import AuditOptions
from fairsqueeze.study.evaluation import prepare
from fairsqueeze.study.memory import peak_bytes, start_peak
from fairsqueeze.study.outlook import outlook
from fairsqueeze.study.plan import plan, steps_of
from fairsqueeze.study.rates import Rate, Rates
from fairsqueeze.study.run import run
from fairsqueeze.study.study import Study
from fairsqueeze.study.variant import variant_keys

pytestmark = pytest.mark.usefixtures("small_registry")
SOURCE = {"files": {"model.safetensors": "ab" * 32}}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rates of other studies on this computer."""
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "cache"))


def study(model: object = "m", **named: object) -> Study:
    pipelines = [[{"magnitude.linear": {"sparsity": [0.3, 0.5]}}]]
    return Study(**{"name": "s", "models": [str(model)], "pipelines": pipelines, "tasks": ["fluency"], **named})


def test_every_variant_is_made_once_and_asked_everything_after_the_dense_model() -> None:
    asked = prepare([Spec("fluency"), Spec("pairs.sum")], "causal", limit=None, seed=0)
    steps = list(steps_of(plan(study()), "m", SOURCE, asked, [16, 16]))
    assert [(s.kind, s.measure) for s in steps] == [
        (kind, measure)
        for _ in range(3)
        for kind, measure in (("compress", ""), ("footprint", ""), ("evaluate", "fluency"), ("evaluate", "pairs.sum"))
    ]
    assert len({s.id for s in steps}) == 12
    before: set[str] = set()
    for step in steps:
        assert before.issuperset(step.needs)
        before.add(step.id)
    made = [s for s in steps if s.kind == "compress"]
    assert (made[0].needs, made[1].needs, made[2].needs) == ((), (made[0].id,), (made[0].id,))


def test_ids_follow_weights_items_code_and_precision_and_nothing_else() -> None:
    (asked,) = prepare([Spec("fluency")], "causal", limit=None, seed=0)
    (sampled,) = prepare([Spec("fluency")], "causal", limit=6, seed=0)

    def ids(one: Study, source: dict = SOURCE, evaluation=asked) -> list[str]:
        return [s.id for s in steps_of(plan(one), "m", source, [evaluation], [16])]

    base = ids(study())
    assert ids(study(name="other", description="d")) == base
    assert not set(ids(study(), {"files": {"model.safetensors": "cd" * 32}})) & set(base)
    assert not set(ids(study(dtype="bfloat16"))) & set(base)
    changed = ids(study(), evaluation=sampled)
    assert [a == b for a, b in zip(base, changed, strict=True)] == [True, True, False] * 3
    newer = replace(asked, declared=replace(asked.declared, version=2))
    assert [a == b for a, b in zip(base, ids(study(), evaluation=newer), strict=True)] == [True, True, False] * 3


@pytest.mark.parametrize("version", ["ENGINE_VERSION", "ESTIMATES_VERSION", "REFERENCES_VERSION"])
def test_ids_of_steps_and_variants_follow_the_code_behind_their_numbers(
    version: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One per line of the plan: dense, a reference row, a compressed one."""
    asked = prepare([Spec("fluency")], "causal", limit=None, seed=0)
    one = study(tiny_folder, references=["random"], pipelines=[[{"magnitude.linear": {"sparsity": 0.5}}]])

    def ids() -> tuple[list[str], list[str]]:
        steps = steps_of(plan(one), str(tiny_folder), SOURCE, asked, [16])
        return [s.id for s in steps if s.kind == "evaluate"], variant_keys(plan(one).variants, asked, AuditOptions())

    before = ids()
    monkeypatch.setattr(f"fairsqueeze.study.plan.{version}", 99)
    expected = [True, False, True] if version == "REFERENCES_VERSION" else [False] * 3
    for old, new in zip(before, ids(), strict=True):
        assert [a == b for a, b in zip(old, new, strict=True)] == expected


def test_a_hundred_thousand_steps_are_planned_in_ten_seconds_and_one_gibibyte() -> None:
    start_peak()
    before, start = peak_bytes(), time.process_time()
    names = ("fluency", "pairs.sum", "weat")
    asked = prepare([*map(Spec, names), Spec("perplexity", {"text": "package"})], "causal", limit=None, seed=0)
    amounts = [n / 20_000 for n in range(17_000)]
    made = plan(study(pipelines=[[{"magnitude.linear": {"sparsity": amounts}}]]))
    steps = list(steps_of(made, "m", SOURCE, asked, [1] * 4))
    assert time.process_time() - start < 10
    assert peak_bytes() - before < 2**30
    assert len(steps) > 100_000
    assert len({s.id for s in steps}) == len(steps)


def test_nothing_is_expected_before_it_was_measured_and_then_in_proportion(tiny_folder: Path, tmp_path: Path) -> None:
    made = plan(study(tiny_folder, measures=["pairs.sum"]))
    before = outlook(made, tmp_path / "out")
    assert (before["steps"], before["cached"], before["seconds"], before["bytes"]) == (8, 0, None, None)
    assert before["not_measured"] == ["compress: magnitude.linear", "documents", "fluency", "pairs.sum"]
    assert "not measured yet" in shown(before)
    run(made, tmp_path / "out")
    after = outlook(made, tmp_path / "out")
    assert (after["cached"], after["seconds"], after["not_measured"]) == (8, 0, [])
    assert all(variant["finished"] for variant in after["variants"])
    assert after["begun"] == 0
    told = outlook(made, tmp_path / "out", with_steps=True)["graph"]
    assert len(told) == 12  # footprints and the loading of the dense model are not counted as work
    ids = {step["id"] for step in told}
    assert all(ids.issuperset(step["needs"]) for step in told)
    (half,) = [path for path in (tmp_path / "out/variants").iterdir() if "linear 50 %" in path.read_text()]
    half.unlink()
    assert (outlook(made, tmp_path / "out")["begun"], outlook(made, tmp_path / "out")["cached"]) == (2, 5)
    run(made, tmp_path / "out")
    # another study on this computer, of the same model and twice as many variants, knows what these took
    more = outlook(plan(study(tiny_folder, pipelines=[[{"magnitude.linear": {"sparsity": [0.1, 0.2, 0.4]}}]])))
    (row,) = [row for row in more["rows"] if row["what"] == "fluency"]
    assert row["steps"] == 4
    assert row["seconds"] > 0
    assert row["bytes"] > 0
    files = (tmp_path / "out/variants").iterdir()
    assert more["bytes"] - sum(one["bytes"] for one in more["rows"] if one["size"]) == pytest.approx(
        4 * sum(path.stat().st_size for path in files) / 3 / 2
    )  # three documents of two measures were written, four of one are to come
    assert row["peak"] > 2**20
    assert more["not_measured"] == []
    assert "not measured yet" not in shown(more)


def test_a_model_that_is_not_there_is_told_and_the_rest_is_counted(tiny_folder: Path, tmp_path: Path) -> None:
    both = study(tiny_folder).model_copy(update={"models": [str(tiny_folder), str(tmp_path / "gone")]})
    found = outlook(plan(both))
    assert list(found["problems"]) == [str(tmp_path / "gone")]
    assert found["steps"] == 3 + 2
    assert len(found["variants"]) == 6


def test_rates_grow_with_the_model_and_the_items_and_are_not_stretched_too_far() -> None:
    rate = Rate(seconds=20.0, work=2e6 * 10, size=10, bytes=1000, peak=4 * 10**9, parameters=2 * 10**6)
    rates = Rates(by_kind={"measure:m@6@cpu": rate})
    assert rates.measure("m", 2 * 10**6).seconds_for(4e6 * 30) == pytest.approx(120)
    assert rate.bytes_for(30) == pytest.approx(3000)
    assert (rate.peak_for(4 * 10**6), rate.peak_for(10**6)) == (8 * 10**9, 4 * 10**9)
    assert rates.measure("m", 2 * 10**7) is rate
    assert rates.measure("m", 2 * 10**8) is None
    assert Rates(by_kind=rates.by_kind, device="cuda").measure("m", 2 * 10**6) is None


def shown(document: dict) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(plan_text(document))
    return captured.get()
