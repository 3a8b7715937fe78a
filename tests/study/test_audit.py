from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from fairsqueeze.errors import BadSetting, ModelError, NonFinite, StoreError, StudyError, UnknownName
from fairsqueeze.models.load import load
from fairsqueeze.report.load import load_results
from fairsqueeze.spec import Spec
from fairsqueeze.stats.estimate import Estimate
from fairsqueeze.study.audit import Audit, AuditOptions, audit
from fairsqueeze.study.compare import compare
from fairsqueeze.study.evaluation import prepare
from fairsqueeze.study.store import Store

pytestmark = pytest.mark.usefixtures("small_registry")
ASKED = {"measures": ["pairs.sum"], "tasks": ["fluency"], "timing": False}


def test_an_audit_keeps_the_contract(tiny_folder: Path, tmp_path: Path) -> None:
    document = audit(tiny_folder, out=tmp_path / "a", **ASKED).to_json()
    assert document["schema"] == "fairsqueeze.audit/1"
    assert set(document) == {"schema", "model", "footprint", "estimates", "warnings", "provenance"}
    assert {"reference", "id", "parameters"} <= set(document["model"])
    for estimate in document["estimates"]:
        assert {"measure", "statistic", "axis", "value", "low", "high", "n", "n_undefined", "ideal", "chance"} <= set(
            estimate
        )
    named = {(e["measure"], e["statistic"], e["axis"]) for e in document["estimates"]}
    assert {("pairs.sum", "share", None), ("pairs.sum", "share", "one"), ("pairs.sum", "corrected_bias", None)} <= named
    assert ("fluency", "logprob", None) in named
    assert json.loads((tmp_path / "a" / "audit.json").read_text())["model"]["id"] == document["model"]["id"]


def test_the_same_call_again_computes_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    first = audit(tiny_folder, out=tmp_path, **ASKED)
    again = audit(tiny_folder, out=tmp_path, **ASKED)
    assert first.provenance["computed"] == ["fluency", "pairs.sum"]
    assert again.provenance["computed"] == []
    assert [e.to_json() for e in first.estimates] == [e.to_json() for e in again.estimates]


@pytest.mark.parametrize("changed", [{"limit": 8}, {"dtype": "bfloat16"}])
def test_what_changes_the_numbers_is_computed_anew(tiny_folder: Path, tmp_path: Path, changed: dict) -> None:
    audit(tiny_folder, out=tmp_path, **ASKED)
    if "dtype" in changed:
        with pytest.raises(StoreError, match="another model"):
            audit(tiny_folder, out=tmp_path, **ASKED, **changed)
    else:
        assert len(audit(tiny_folder, out=tmp_path, **ASKED, **changed).provenance["computed"]) == 2


def test_an_edited_model_is_another_model_and_never_meets_the_cache_of_the_first(
    tiny_folder: Path, tmp_path: Path
) -> None:
    model = load(str(tiny_folder))
    audit(model, out=tmp_path, **ASKED)
    next(iter(model.network.parameters())).data[0, 0] += 1
    with pytest.raises(StoreError, match="another model"):
        audit(model, out=tmp_path, **ASKED)
    assert audit(model, **ASKED).provenance["computed"]


def test_a_sample_is_named_in_the_warnings(tiny_folder: Path) -> None:
    found = audit(tiny_folder, limit=6, **ASKED)
    assert any("a sample of 6 of 16 items" in w for w in found.warnings)
    assert {r: n for r, n in [("pairs.sum", found.tables["pairs.sum"].num_rows)]} == {"pairs.sum": 6}


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"measures": ["pairs.smu"]}, UnknownName, "pairs.sum"),
        ({"measures": ["crows_pairs.unchanged"]}, ModelError, "masked"),
        ({"measures": ["pairs.sum:depth=3"]}, Exception, "depth"),
    ],
)
def test_what_can_not_be_asked_is_refused_before_the_weights_are_loaded(
    tiny_folder: Path, tmp_path: Path, asked: dict, error: type, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairsqueeze.models.load.load", lambda *a, **k: pytest.fail("the model was loaded"))
    with pytest.raises(error, match=says):
        audit(tiny_folder, out=tmp_path / "out", **asked)


def test_a_nan_model_is_an_error_and_writes_no_record(tiny_folder: Path, tmp_path: Path) -> None:
    model = load(str(tiny_folder))
    model.network.model.layers[0].self_attn.q_proj.weight.data[0, 0] = float("nan")
    with pytest.raises(NonFinite):
        audit(model, out=tmp_path, **ASKED)
    assert Store(tmp_path).steps() == []
    assert not (tmp_path / "audit.json").exists()


def test_a_damaged_record_is_computed_again_with_the_same_result(tiny_folder: Path, tmp_path: Path) -> None:
    first = audit(tiny_folder, out=tmp_path, **ASKED)
    for path in (tmp_path / "records").glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:40])
    again = audit(tiny_folder, out=tmp_path, **ASKED)
    assert len(again.provenance["computed"]) == 2
    assert [e.to_json() for e in first.estimates] == [e.to_json() for e in again.estimates]


def test_comparing_a_model_with_itself_finds_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    found = compare(tiny_folder, tiny_folder, **ASKED)
    assert found.verdict in ("no detectable change", "unmeasurable")
    for comparison in found.comparisons:
        if comparison.difference is not None:
            assert comparison.difference == 0


def test_folders_of_audits_are_compared_without_a_model(tiny_folder: Path, tmp_path: Path) -> None:
    audit(tiny_folder, out=tmp_path / "a", **ASKED)
    audit(f"reference:random:{tiny_folder}", out=tmp_path / "b", **ASKED)
    found = compare(tmp_path / "a", tmp_path / "b", out=tmp_path / "c")
    assert found.to_json()["schema"] == "fairsqueeze.compare/1"
    assert {c.measure for c in found.comparisons} == {"pairs.sum", "fluency"}
    assert (tmp_path / "c" / "compare.json").exists()


def test_audits_of_different_samples_are_not_compared(tiny_folder: Path, tmp_path: Path) -> None:
    audit(tiny_folder, out=tmp_path / "a", limit=6, **ASKED)
    audit(tiny_folder, out=tmp_path / "b", limit=8, **ASKED)
    with pytest.raises(StudyError, match="different items"):
        compare(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("which", ["random", "constant", "destroyed"])
def test_reference_models_are_unmeasurable_never_fair(tiny_folder: Path, which: str) -> None:
    found = audit(f"reference:{which}:{tiny_folder}", **ASKED)
    corrected = [e for e in found.estimates if e.statistic == "corrected_bias" and e.axis is None]
    assert corrected[0].status == "unmeasurable"
    assert corrected[0].value is None
    assert not found.measurable


def _audit_slowly(folder: str, out: str) -> None:
    """In a child: the first measure is written, then the child waits to be killed in the second."""
    from fairsqueeze.study import audit as module

    real = module.table_of

    def slow(rows, **named):
        if named["measure"] == "pairs.sum":
            Path(out, "second-begun").touch()
            time.sleep(60)
        return real(rows, **named)

    module.table_of = slow
    module.audit(folder, AuditOptions(["pairs.sum"], ["fluency"], timing=False), out=out)


def test_kill_minus_nine_loses_at_most_the_measure_in_hand(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = multiprocessing.get_context("fork").Process(target=_audit_slowly, args=(str(tiny_folder), str(out)))
    child.start()
    deadline = time.monotonic() + 60
    while not (out / "second-begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert len(Store(out).steps()) == 1
    again = audit(tiny_folder, AuditOptions(["pairs.sum"], ["fluency"], timing=False), out=out)
    assert again.provenance["computed"] == ["pairs.sum"]


def test_a_measure_named_twice_is_refused_since_names_tell_results_apart(tiny_folder: Path) -> None:
    with pytest.raises(StudyError, match="fluency is asked for twice"):
        audit(tiny_folder, tasks=["fluency", {"fluency": {}}])


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": -1}, {"seed": -1}, {"limit": 2.5}])
def test_a_sample_that_can_not_be_drawn_is_refused(tiny_folder: Path, wrong: dict) -> None:
    with pytest.raises(BadSetting, match=next(iter(wrong))):
        audit(tiny_folder, **ASKED, **wrong)


def test_a_limit_never_asks_for_more_than_usual() -> None:
    for limit, windows in ((None, 64), (20, 20), (300, 64)):
        (one,) = prepare([Spec("perplexity", {"text": "package"})], "causal", limit=limit, seed=0)
        assert one.settings["windows"] == windows
    (all_of_it,) = prepare([Spec("perplexity", {"text": "package", "windows": None})], "causal", limit=9, seed=0)
    assert all_of_it.settings["windows"] is None


def test_audits_with_other_settings_are_not_compared(tiny_folder: Path, tmp_path: Path) -> None:
    for name, context in (("a", 16), ("b", 32)):
        tasks = [{"perplexity": {"text": "package", "windows": 2, "context": context, "stride": 16}}]
        audit(tiny_folder, tasks=tasks, timing=False, out=tmp_path / name)
    with pytest.raises(StudyError, match="perplexity: the two audits asked it with other settings"):
        compare(tmp_path / "a", tmp_path / "b")


def test_a_model_is_compared_on_the_sample_and_in_the_precision_of_the_audit(tiny_folder: Path, tmp_path: Path) -> None:
    audit(tiny_folder, out=tmp_path / "a", limit=6, seed=3, dtype="bfloat16", **ASKED)
    found = compare(tmp_path / "a", tiny_folder)
    assert all(c.difference in (0, None) for c in found.comparisons)


def test_another_precision_is_named_in_the_warnings(tiny_folder: Path, tmp_path: Path) -> None:
    audit(tiny_folder, out=tmp_path / "a", **ASKED)
    audit(tiny_folder, out=tmp_path / "b", dtype="bfloat16", **ASKED)
    found = compare(tmp_path / "a", tmp_path / "b")
    assert "pairs.sum: base was scored in float32, other in bfloat16." in found.warnings


def test_a_model_in_memory_is_described_as_it_is(tiny_folder: Path) -> None:
    found = audit(load(tiny_folder, dtype="bfloat16"), **ASKED)
    assert found.provenance["dtype"] == "bfloat16"
    assert any("Scored in bfloat16" in warning for warning in found.warnings)


def test_what_is_refused_leaves_no_folder_behind(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        audit(tiny_folder, measures=["pairs.summ"], out=tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["[]", '"text"', "{}"])
def test_a_folder_whose_audit_is_none_is_refused(tiny_folder: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "audit.json").write_text(content)
    with pytest.raises(StoreError):
        compare(tmp_path, tmp_path)
    (tmp_path / "audit.json").write_text(content)
    with pytest.raises(StoreError):
        load_results(tmp_path)


@pytest.mark.parametrize(("raw", "prior", "measurable"), [("ok", "unmeasurable", False), ("unmeasurable", "ok", True)])
def test_the_prior_corrected_form_decides_whether_anything_was_measured(raw: str, prior: str, measurable: bool) -> None:
    def estimate(statistic: str, status: str) -> Estimate:
        return Estimate("m", statistic, None, None, None, None, 1, 0, 0.0, None, status=status)

    both = [estimate("corrected_bias", raw), estimate("corrected_bias.prior", prior)]
    pooled = estimate("corrected_bias.pooled", "ok")
    assert Audit({}, {}, [*both, pooled], [], {}).measurable is measurable
    assert Audit({}, {}, [], [], {}).measurable
