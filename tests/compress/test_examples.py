"""Examples: what a kind of model does not use is refused, and what was used is told."""

from __future__ import annotations

import copy
import json

import pytest
from tests.compress.conftest import made
from tests.compress.structured import PAIRS

from fairsqueeze.compress.apply import compress, pipeline
from fairsqueeze.compress.examples import examples_for
from fairsqueeze.errors import BadSetting, DataError
from fairsqueeze.registry import methods
from fairsqueeze.spec import Spec
from fairsqueeze.testing.tiny import tiny_model

JUDGED = [m.name for m in methods if "labelled" in m.settings]


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(pair) for pair in PAIRS))
    return str(path)


def level(method):
    return {key: 0.5 for key in ("share", "sparsity") if key in methods.get(method).settings}


@pytest.mark.parametrize("method", JUDGED)
def test_a_setting_that_the_kind_does_not_use_is_refused(method, pairs):
    with pytest.raises(BadSetting, match="text is '/nowhere'"):
        compress(made("roberta", "pair_classifier"), method, labelled=pairs, text="/nowhere", **level(method))
    with pytest.raises(BadSetting, match=r"labelled is '/nowhere\.jsonl'"):
        compress(made("gpt2", "causal"), method, labelled="/nowhere.jsonl", **level(method))


def test_iterative_pruning_learns_from_all_pairs_and_says_so(pairs):
    with pytest.raises(BadSetting, match="sequences is 3"):
        compress(made("roberta", "pair_classifier"), "magnitude.iterative", labelled=pairs, sequences=3, sparsity=0.5)


@pytest.mark.parametrize("method", ["taylor", "movement", "heads.gradient"])
def test_pairs_are_cut_to_the_length_and_what_was_used_is_told(method, pairs):
    model = made("roberta", "pair_classifier")
    results = [
        compress(model, method, labelled=pairs, length=length, sequences=100_000, **level(method))
        for length in (8, 128)
    ]
    told = [r.provenance["steps"][-1]["measured"]["calibration"] for r in results]
    assert told[0]["length"] == 8 < told[1]["length"] < 128
    assert {t["sequences"] for t in told} == {3}
    assert told[0]["sha256"] == told[1]["sha256"]
    if method != "heads.gradient":  # ranks of few heads may be equal
        assert results[0].id != results[1].id


@pytest.mark.parametrize("method", ["taylor", "neurons.activation", "blocks.cosine", "magnitude.iterative", "wanda"])
def test_a_text_is_told_with_its_hash_and_whether_it_is_long_enough(method):
    few = {"rounds": 2, "steps_per_round": 1, "batch": 2} if method == "magnitude.iterative" else {}
    result = compress(made("gpt2", "causal"), method, sequences=2, length=16, **few, **level(method))
    told = result.provenance["steps"][-1]["measured"]["calibration"]
    assert (told["text"], told["sequences"], told["length"], len(told["sha256"])) == ("package", 2, 16, 64)
    assert told["tokens_available"] > 1000
    assert "warning" not in told


def test_more_tokens_than_the_text_has_are_told():
    source = examples_for(made("gpt2", "causal"), sequences=200, length=128, seed=0).source
    assert f"a text of {source['tokens_available']:,}" in source["warning"]


@pytest.mark.parametrize(
    ("steps", "error", "match"),
    [
        ([("dynamic_int8", {}), ("magnitude.linear", {"sparsity": 0.5})], BadSetting, "packs weights"),
        ([("wanda", {"sparsity": 0.5, "calibration": "/nowhere"})], DataError, "nowhere"),
        ([("heads.gradient", {"share": 0.5, "text": "/nowhere"})], DataError, "nowhere"),
        ([("heads.fairness", {"pairs": "/nowhere"})], DataError, "nowhere"),
        ([("vocabulary.trim", {"text": "/nowhere"})], DataError, "nowhere"),
        (
            [("heads.magnitude", {"share": 0.5}), ("neurons.activation", {"share": 0.5, "text": "/nowhere"})],
            DataError,
            "",
        ),
    ],
)
def test_what_a_later_step_can_not_do_is_said_before_the_copy(monkeypatch, steps, error, match):
    model = tiny_model("gpt2")
    monkeypatch.setattr(copy, "deepcopy", lambda _: pytest.fail("copied before everything was checked"))
    with pytest.raises(error, match=match):
        pipeline(model, [Spec("magnitude.linear", {"sparsity": 0.5}), *(Spec(*step) for step in steps)])


def test_a_step_says_whether_its_saving_is_simulated():
    model = made("gpt2", "causal")
    for method, simulated in (("rtn", True), ("magnitude.linear", False)):
        result = compress(model, method, **({"sparsity": 0.5} if method != "rtn" else {}))
        assert result.provenance["steps"][-1]["simulated"] is simulated
