"""What an impatient user gets wrong: one message, exit code 2, nothing written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

HALF = ("--method", "magnitude.linear", "--set", "sparsity=0.5")
TASK = ("-t", "perplexity:text=package,windows=2")


def refused(ran: tuple[int, str, str], *says: str) -> None:
    code, out, err = ran
    assert code == 2, err
    assert out == ""
    lines = [line for line in err.splitlines() if line.strip()]
    assert lines[0].startswith("fairsqueeze: ")
    assert "Traceback" not in err
    assert len(lines) <= 3, err
    for word in says:
        assert word in err


def test_no_such_model(run: Callable, tmp_path: Path) -> None:
    refused(run("audit", "./no/such/model", *TASK, "-q"), "no/such/model")
    refused(run("audit", "builtin:smollm2", *TASK, "-q"), "smollm2-135m")


def test_a_folder_without_weights(run: Callable, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    shutil.copy(folder / "config.json", tmp_path / "bare")
    refused(run("audit", tmp_path / "bare", *TASK, "-q"), "bare", "weights")
    (tmp_path / "empty").mkdir()
    refused(run("audit", tmp_path / "empty", *TASK, "-q"), "empty")


def test_a_truncated_safetensors_file(run: Callable, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "cut")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(run("audit", copy, *TASK, "-q"), "model.safetensors")


def test_a_repository_that_only_has_pickles(run: Callable, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "pickled")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    refused(run("audit", copy, *TASK, "-q"), "pytorch_model.bin", "safetensors")


def test_a_masked_measure_on_a_causal_model(run: Callable, folder: Path) -> None:
    refused(run("audit", folder, "-m", "crows_pairs.unchanged", "-q"), "masked", "crows_pairs.causal_sum")


def test_an_unknown_measure_with_a_near_name(run: Callable, folder: Path) -> None:
    refused(run("audit", folder, "-m", "crows_pairs.causal_some", "-q"), "crows_pairs.causal_sum")
    refused(run("audit", folder, "-m", "crows_pairs", "-q"), "crows_pairs.causal_mean")
    refused(run("audit", folder, "-m", "perplexity", "-q"), "task")


@pytest.mark.parametrize("value", ["1.5", "1", "-0.1", "nan", "half"])
def test_a_sparsity_that_can_not_be(run: Callable, folder: Path, tmp_path: Path, value: str) -> None:
    out = tmp_path / "out"
    words = ("compress", folder, "--method", "magnitude.linear", "--set", f"sparsity={value}", "--out", out, "-q")
    refused(run(*words), "sparsity")
    assert not out.exists()


def test_settings_and_methods_that_do_not_exist(run: Callable, folder: Path, tmp_path: Path) -> None:
    words = ("compress", folder, "--out", tmp_path / "out", "-q", "--method")
    refused(run(*words, "magnitude.linear", "--set", "sparsty=0.5"), "'sparsity'")
    refused(run(*words, "magnitude.linear", "--set", "sparsity"), "KEY=VALUE")
    refused(run(*words, "magnitude.liner"), "magnitude.linear")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", '"unclosed'])
def test_an_empty_or_malformed_file_in_the_data_folder(
    run: Callable, folder: Path, tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data" / "crows_pairs"
    data.mkdir(parents=True)
    (data / "crows_pairs_anonymized.csv").write_text(content)
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(tmp_path / "data"))
    refused(run("audit", folder, "-m", "crows_pairs.causal_sum", "-q"), "crows_pairs_anonymized.csv", "sha256")


def test_data_that_is_not_here_names_the_command_that_fetches_it(
    run: Callable, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAIRSQUEEZE_DATA", raising=False)
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "cache"))
    refused(run("audit", folder, "-m", "crows_pairs.causal_sum", "-q"), "fairsqueeze fetch crows_pairs")


def test_an_out_folder_that_can_not_be_written(run: Callable, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(run("audit", folder, *TASK, "-q", "--out", tmp_path / "file" / "out"), "can't be written")
    refused(run("compress", folder, *HALF, "-q", "--out", tmp_path / "file" / "out"), "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_out_folder(run: Callable, folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused(run("audit", folder, *TASK, "-q", "--out", tmp_path / "out"), "can't be written")


def test_an_existing_folder_is_never_overwritten_by_compress(run: Callable, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    refused(run("compress", folder, *HALF, "--out", tmp_path / "mine", "-q"), "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_device_or_precision_that_is_not_there(run: Callable, folder: Path) -> None:
    refused(run("audit", folder, *TASK, "-q", "--device", "quantum"), "quantum")
    refused(run("audit", folder, *TASK, "-q", "--dtype", "float7"), "float7")


def test_words_that_the_command_line_does_not_know(run: Callable) -> None:
    for words in (
        ("audit",),
        ("audti", "x"),
        ("audit", "x", "--limt", "3"),
        ("audit", "x", "--limit", "0"),
        ("list", "bias"),
    ):
        code, out, err = run(*words)
        assert code == 2, words
        assert out == ""
        assert "fairsqueeze: " in err


def test_a_folder_that_holds_no_results(run: Callable, tmp_path: Path) -> None:
    refused(run("report", tmp_path), "no audit")
    refused(run("study", "status", tmp_path), "no study")
    refused(run("study", "check", tmp_path / "none.yaml"), "none.yaml")


def test_a_model_is_never_replaced_by_its_own_compression(run: Callable, folder: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    assert run("compress", folder, *HALF, "--out", half, "-q")[0] == 0
    refused(run("compress", half, *HALF, "--out", half, "-q"), "the model itself")


def test_a_cache_that_can_not_be_made(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "file" / "cache"))
    refused(run("doctor"), "can't be written", "FAIRSQUEEZE_CACHE")


def test_a_percentage_where_a_share_is_meant(run: Callable, folder: Path, tmp_path: Path) -> None:
    words = ("compress", folder, "--method", "magnitude.linear", "--out", tmp_path / "half")
    refused(run(*words, "--set", "sparsity=50%"), "sparsity is '50%'", "in [0, 1)")
    assert not (tmp_path / "half").exists()


def test_the_folder_of_a_study_is_no_model(run: Callable, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    refused(run("compare", tmp_path, folder, *TASK, "-q"), "no config.json", "holds a study")


def test_a_built_in_model_named_without_its_prefix(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairsqueeze.errors import AssetError

    def offline(*_: object) -> Path:
        raise AssetError("No network.", "Check the network.")

    monkeypatch.setattr("fairsqueeze.assets.hub.snapshot", offline)
    refused(run("audit", "smollm2-135m", *TASK, "-q"), "Did you mean builtin:smollm2-135m?", "Check the network.")


def test_a_built_in_model_without_its_prefix_is_guessed(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(run("audit", "smollm2", *TASK, "-q"), "Did you mean builtin:smollm2-135m?")


def test_a_folder_is_no_study_file(run: Callable, tmp_path: Path) -> None:
    for command in ("check", "plan", "run"):
        refused(run("study", command, tmp_path), f"{tmp_path} is a folder, not a study file.")
