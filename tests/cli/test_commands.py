"""Whole command lines on a tiny model: output, JSON contract, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from fairsqueeze.registry import measures, methods, tasks

TASK = ("-t", "perplexity:text=package,windows=2,context=16,stride=16")


def test_audit_prints_json_only_on_stdout(run: Callable, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("audit", folder, *TASK, "--json", "--out", tmp_path / "a")
    assert code == 0
    document = json.loads(out)
    assert document["schema"] == "fairsqueeze.audit/1"
    assert {e["statistic"] for e in document["estimates"]} == {"perplexity", "nats_per_token", "nats_per_byte"}
    assert "Loading" in err
    assert any("package-text" in w for w in document["warnings"])
    assert run("audit", folder, *TASK, "--json", "--out", tmp_path / "a", "-q")[1:] != ("", "")


def test_audit_prints_a_table_for_people(run: Callable, folder: Path) -> None:
    code, out, err = run("audit", folder, *TASK, "-q")
    assert code == 0
    assert "nats_per_token" in out
    assert "nan" not in out
    assert err == ""


def test_compress_then_compare(run: Callable, folder: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    code, out, _ = run(
        "compress", folder, "--method", "magnitude.linear", "--set", "sparsity=0.5", "--out", half, "--json", "-q"
    )
    assert code == 0
    made = json.loads(out)
    assert made["schema"] == "fairsqueeze.compress/1"
    assert made["footprint"]["linear"]["sparsity"] == pytest.approx(0.5, abs=1e-3)
    plain = AutoModelForCausalLM.from_pretrained(half)
    weight = plain.model.layers[0].mlp.up_proj.weight
    assert (weight == 0).sum() == weight.numel() // 2
    code, out, _ = run("compare", folder, half, *TASK, "--json", "-q", "--out", tmp_path / "c")
    document = json.loads(out)
    assert document["schema"] == "fairsqueeze.compare/1"
    assert document["verdict"] in ("worse", "better", "no detectable change", "unmeasurable")
    assert code == {"worse": 1, "unmeasurable": 3}.get(document["verdict"], 0)
    code, out, _ = run("report", tmp_path / "c")
    assert code == 0
    assert Path(out.strip()).read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("format", ["latex", "csv", "figures", "eee"])
def test_reports_in_other_formats(run: Callable, folder: Path, tmp_path: Path, format: str) -> None:
    run("audit", folder, *TASK, "--out", tmp_path, "-q")
    code, out, err = run("report", tmp_path, "--format", format)
    assert code == 0, err
    assert Path(out.strip()).exists()


def test_a_study_runs_and_a_second_run_finds_everything(run: Callable, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        f"name: small\nmodels: [{folder}]\npipelines:\n  - [{{magnitude.linear: {{sparsity: [0.3, 0.6]}}}}]\n"
        "references: [random]\ntasks:\n  - perplexity: {text: package, windows: 2, context: 16, stride: 16}\n"
    )
    assert run("study", "check", file)[0] == 0
    assert len(json.loads(run("study", "plan", file, "--json")[1])["variants"]) == 4
    code, out, _ = run("study", "run", file, "--out", tmp_path / "out", "--json", "-q")
    assert code == 0
    first = json.loads(out)
    assert len(first["computed"]) == 4
    assert Path(first["report"]).exists()
    again = json.loads(run("study", "run", file, "--out", tmp_path / "out", "--json", "-q")[1])
    assert again["computed"] == []
    assert len(again["found"]) == 4
    status = json.loads(run("study", "status", tmp_path / "out", "--json")[1])
    assert (status["finished"], status["total"]) == (4, 4)
    shown = run("study", "status", tmp_path / "out")[1]
    assert "magnitude.linear 60 %" in shown
    assert "4 of 4 variants are finished." in shown


def test_a_table_of_results_is_analysed(run: Callable, tmp_path: Path) -> None:
    rows = [f"m{k},{0.3 + 0.01 * k},{0.5 + 0.02 * k},{0.4 - 0.001 * (k % 3)}" for k in range(20)]
    (tmp_path / "results.csv").write_text("\n".join(["model,accuracy,rising,flat", *rows]))
    words = (
        "analyse",
        tmp_path / "results.csv",
        "--performance",
        "accuracy",
        "--measure",
        "rising",
        "--measure",
        "flat",
    )
    code, out, _ = run(*words, "--json")
    assert code == 0
    assert json.loads(out)["schema"] == "fairsqueeze.analysis/1"
    assert "rising" in run(*words)[1]
    code, out, err = run("analyse", tmp_path / "results.csv", "--performance", "acuracy")
    assert (code, out) == (2, "")
    assert "accuracy" in err


@pytest.mark.parametrize(("what", "registry"), [("methods", methods), ("measures", measures), ("tasks", tasks)])
def test_list_and_show_cover_everything_that_is_declared(
    run: Callable, what: str, registry: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = json.loads(run("list", what, "--json")[1])
    assert [row["name"] for row in listed] == registry.names()
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("list", what)[1]
    assert all(name in narrow for name in registry.names()), "names stay whole in a narrow terminal"
    for name in registry.names():
        code, out, _ = run("show", what.removesuffix("s"), name)
        assert code == 0
        assert name in out
        shown = json.loads(run("show", what.removesuffix("s"), name, "--json")[1])
        assert shown["source"]
        assert shown["settings"] == [s.describe() for s in registry.get(name).settings.values()]
        if what == "methods":
            assert shown["saves"]
            assert shown["needs"] == sorted(registry.get(name).needs)
            assert shown["simulated"] is registry.get(name).simulated
            assert registry.get(name).requires in shown["requires"] != ""
            wanted = {"labelled": "labelled", "calibration": "text", "pairs": "pairs"}
            assert all(word in shown["requires"] for key, word in wanted.items() if key in registry.get(name).settings)


@pytest.mark.parametrize("what", ["models", "data"])
def test_list_names_licence_and_source_of_assets(run: Callable, what: str) -> None:
    rows = json.loads(run("list", what, "--json")[1])
    assert all(row["licence"] and row["sources"] for row in rows)


def test_doctor_says_whether_the_installation_is_in_order(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path))
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)
    assert code == (0 if found["in order"] else 1)
    assert found["libraries"]["torch"]
    assert found["cache"]["folder"] == str(tmp_path)


def test_an_interrupt_ends_with_130_and_says_how_to_go_on(
    run: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*words: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fairsqueeze.models.load.load", interrupted)
    code, _, err = run("audit", folder, *TASK, "-q")
    assert code == 130
    assert "goes on" in err


def test_every_command_has_help_with_an_example(run: Callable) -> None:
    for name in ("audit", "compress", "compare", "analyse", "validate", "report", "list", "show", "fetch", "doctor"):
        code, out, _ = run(name, "--help")
        assert code == 0
        assert "Example: fairsqueeze" in " ".join(out.split())
    for name in ("check", "plan", "run", "status"):
        assert "Example: fairsqueeze" in " ".join(run("study", name, "--help")[1].split())


def test_a_setting_given_twice_and_a_negative_seed_are_refused(run: Callable, folder: Path, tmp_path: Path) -> None:
    words = ("compress", folder, "--method", "magnitude.linear", "--out", tmp_path / "half")
    code, out, err = run(*words, "--set", "sparsity=0.5", "--set", "sparsity=0.9")
    assert (code, out) == (2, "")
    assert "twice" in err
    assert run(*words, "--set", "sparsity=0.5", "--seed", "-1")[0] == 2
    assert not (tmp_path / "half").exists()
