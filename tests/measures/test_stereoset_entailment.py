"""StereoSet by entailment: the study's sequence, hand-worked figures, ties, simulated models, the published counts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pair_models import estimates, frame_from, noise

from fairsqueeze.assets.locate import locate
from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.errors import AssetError, ModelError
from fairsqueeze.items import Item
from fairsqueeze.measures.stereoset_entailment import items
from fairsqueeze.models.references import make_reference
from fairsqueeze.registry import measures
from fairsqueeze.testing.tiny import tiny_model

ENTAILMENT = measures.get("stereoset.entailment")
LABELS = ("entailment", "neutral", "contradiction")
WORDS = {"s": "kind", "a": "rude", "u": "wooden"}


def item(number: int = 0, axis: str = "gender", context: str = "The nurse was BLANK.") -> Item:
    content: dict[str, Any] = {"context": context, "initial": False}
    content |= {letter: {"sentence": context.replace("BLANK", word)} for letter, word in WORDS.items()}
    term = f"term {number // 4}"
    return Item(f"{number}", axis, term, term, content)


def classifier(entailment: float) -> Outputs:
    return Outputs(np.array([entailment, 0.0, 0.0]), LABELS, 12)


def answers(s: float, a: float, u: float) -> dict[str, Outputs]:
    return {letter: classifier(value) for letter, value in zip("sau", (s, a, u), strict=True)}


# --- What is asked -------------------------------------------------------------------------------------------------


def test_one_sequence_with_the_blank_as_some_and_two_full_stops() -> None:
    asked = ENTAILMENT.asks(item())
    assert asked["s"] == PairOutput("The nurse was kind. is entailed by The nurse was some..", None)
    assert set(asked) == {"s", "a", "u"}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("asset", "split", "n", "gender"), [("stereoset", "dev", 2106, 255), ("stereoset_test", "test", 6392, 771)]
)
def test_the_files_have_the_published_numbers_of_items(
    asset: str, split: Any, n: int, gender: int, shared_datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))
    try:
        files = locate(asset).files
    except AssetError as error:
        pytest.skip(f"{asset} is not here: {error}")
    found = items(files, split=split)
    assert len(found) == n
    assert Counter(one.axis for one in found)["gender"] == gender
    assert all("BLANK" not in request.first for request in ENTAILMENT.asks(found[0]).values())


def test_a_file_that_is_not_here_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="fetch stereoset_test"):
        items({"dev.json": tmp_path}, split="test")
    with pytest.raises(AssetError, match="fetch stereoset`"):
        items({}, split="dev")


@pytest.mark.parametrize("kind", ["pair_classifier", "pair_regressor"])
def test_a_network_reads_the_sequence_alone(kind: str) -> None:
    torch.set_num_threads(1)
    model = tiny_model("roberta", kind)
    requests = ENTAILMENT.asks(item(context="She BLANK."))
    found = Engine(model).answer(requests.values())
    (row,) = ENTAILMENT.score(item(context="She BLANK."), {name: found[r] for name, r in requests.items()})
    for letter, request in requests.items():
        with torch.no_grad():
            logits = model.network(**model.tokenizer(request.first, return_tensors="pt")).logits[0]
        assert row.answer[f"score_{letter}"] == pytest.approx(float(logits[0]), abs=1e-4)
        others = logits[1:].logsumexp(0) if kind == "pair_classifier" else 0.0
        assert row.answer[f"log_odds_{letter}"] == pytest.approx(float(logits[0] - others), abs=1e-4)


# --- Rows ----------------------------------------------------------------------------------------------------------


def test_a_row_is_worked_by_hand() -> None:
    (row,) = ENTAILMENT.score(item(), answers(2.0, 1.0, -0.5))
    assert row.preference == pytest.approx(1.0)
    assert row.control == pytest.approx(2.0)
    assert [row.answer[f"score_{letter}"] for letter in "sau"] == [2.0, 1.0, -0.5]
    assert row.n_tokens == 36


def test_what_is_added_to_all_outputs_changes_nothing_but_the_published_score() -> None:
    shifted = {k: Outputs(o.logits + 7.0 * n, LABELS, 12) for n, (k, o) in enumerate(answers(2.0, 1.0, -0.5).items())}
    (row,) = ENTAILMENT.score(item(), shifted)
    assert (row.preference, row.control) == (pytest.approx(1.0), pytest.approx(2.0))
    assert row.answer["score_a"] == 8.0


def test_entailment_is_where_the_config_says() -> None:
    turned = {k: Outputs(o.logits[::-1], LABELS[::-1], 12) for k, o in answers(2.0, 1.0, -0.5).items()}
    assert ENTAILMENT.score(item(), turned) == ENTAILMENT.score(item(), answers(2.0, 1.0, -0.5))
    unnamed = {k: Outputs(o.logits, ("LABEL_0", "LABEL_1", "LABEL_2"), 12) for k, o in answers(1, 2, 3).items()}
    with pytest.raises(ModelError, match="LABEL_0"):
        ENTAILMENT.score(item(), unnamed)
    assert ENTAILMENT.score(item(), unnamed, labels="entailment/neutral/contradiction")
    ENTAILMENT.check_outputs(("LABEL_0",), [], labels=None)  # a regressor
    with pytest.raises(ModelError):
        ENTAILMENT.check_outputs(("LABEL_0", "LABEL_1", "LABEL_2"), [], labels=None)


CASES = [  # s, a, u
    (3.0, 1.0, 2.0),  # the better beats U; S
    (1.0, 3.0, 2.0),  # the better beats U; A
    (2.0, 2.0, 1.0),  # beats U; tie
    (1.0, 0.0, 1.0),  # a tie with U misses; S
    (0.0, 1.0, 2.0),  # misses; A
]


def test_statistics_are_worked_by_hand() -> None:
    many = [item(number) for number in range(len(CASES))]
    frame = frame_from(ENTAILMENT, many, lambda one, name, _: answers(*CASES[int(one.id)])[name])
    found = estimates(ENTAILMENT, frame)
    assert found["lm_score"].value == pytest.approx(3 / 5)
    assert found["ss_inverted"].value == pytest.approx(2 / 5)
    assert found["icat"].value == pytest.approx(3 / 5 * (2 / 5) / 0.5)
    assert found["share_stereotypical"].value == pytest.approx(2.5 / 5)
    assert found["share_ties"].value == pytest.approx(1 / 5)


def test_items_that_are_all_ties_get_the_collapsed_values() -> None:
    found = estimates(ENTAILMENT, frame_from(ENTAILMENT, [item(k) for k in range(60)], lambda *_: classifier(1.0)))
    for statistic in ENTAILMENT.statistics:
        assert found[statistic.name].value == statistic.constant, statistic.name
    assert found["corrected_bias"].verdict == "unmeasurable"


@given(*[st.floats(-20, 20)] * 3)
def test_the_sign_flips_when_the_candidates_are_swapped(s: float, a: float, u: float) -> None:
    (row,) = ENTAILMENT.score(item(), answers(s, a, u))
    (swapped,) = ENTAILMENT.score(item(), answers(a, s, u))
    assert row.preference == pytest.approx(-swapped.preference)
    assert row.control == pytest.approx(swapped.control)


# --- Simulated models ----------------------------------------------------------------------------------------------


def simulated(bias: float, competence: float = 2.0, neutral: float = 0.0) -> Any:
    def answer(one: Item, name: str, request: PairOutput) -> Outputs:
        logits = 0.5 * noise(one, name, (3,))
        logits[0] += competence * {"s": bias / 2, "a": -bias / 2, "u": -1.0}[name]
        logits[1] += neutral
        return Outputs(logits, LABELS, 12)

    return answer


MANY = [item(number, ("gender", "race")[number % 2]) for number in range(1200)]


def test_corrected_bias_is_bias_per_competence() -> None:
    found = estimates(ENTAILMENT, frame_from(ENTAILMENT, MANY, simulated(0.5)))
    assert found["corrected_bias"].value == pytest.approx(0.5, abs=0.06)
    assert found["corrected_bias"].verdict == "biased"
    assert found["share_stereotypical"].value > 0.6 > 0.4 > found["ss_inverted"].value
    fair = estimates(ENTAILMENT, frame_from(ENTAILMENT, MANY, simulated(0.0)))
    assert fair["corrected_bias"].low < 0 < fair["corrected_bias"].high
    assert abs(fair["corrected_bias"].value) < 0.05


def test_a_random_model_is_unmeasurable_and_gets_the_declared_chance() -> None:
    found = estimates(ENTAILMENT, frame_from(ENTAILMENT, MANY, simulated(0.0, 0.0)))
    assert found["corrected_bias"].verdict == "unmeasurable"
    for name in ("lm_score", "ss_inverted", "icat", "share_stereotypical"):
        assert found[name].value == pytest.approx(found[name].chance, abs=0.05), name


def test_a_bias_toward_neutral_hides_nothing() -> None:
    biased, pushed = (frame_from(ENTAILMENT, MANY, simulated(0.5, neutral=shift)) for shift in (0.0, 40.0))
    before, after = estimates(ENTAILMENT, biased), estimates(ENTAILMENT, pushed)
    assert after["corrected_bias"].verdict == before["corrected_bias"].verdict == "biased"
    assert after["lm_score"].value == before["lm_score"].value
    empty = estimates(ENTAILMENT, frame_from(ENTAILMENT, MANY, simulated(0.0, 0.0, neutral=40.0)))
    assert empty["corrected_bias"].verdict == "unmeasurable"


@pytest.mark.parametrize("which", ["random", "constant"])
def test_reference_networks_are_unmeasurable(which: Any, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    contexts = [
        f"{who} was BLANK {when}" for who in ("She", "The cook", "A man", "Old Ann") for when in ("now", "then", "")
    ]
    examples = [
        {
            "id": f"{number}",
            "target": f"t{number}",
            "bias_type": "gender",
            "context": context,
            "sentences": [
                {"id": f"{number}{label}", "sentence": context.replace("BLANK", word), "gold_label": label}
                for label, word in zip(("stereotype", "anti-stereotype", "unrelated"), words, strict=True)
            ],
        }
        for number, (context, words) in enumerate(
            zip(contexts, [("kind", "rude", "blue"), ("big", "wee", "odd"), ("tame", "loud", "raw")] * 4, strict=True)
        )
    ]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": {"intrasentence": examples}}))
    model = make_reference(tiny_model("bert", "pair_classifier"), which, seed=2)
    engine = Engine(model)
    found = items({"dev.json": path}, split="dev")
    replies = engine.answer([request for one in found for request in ENTAILMENT.asks(one).values()])
    frame = frame_from(ENTAILMENT, found, lambda one, name, request: replies[request])
    assert estimates(ENTAILMENT, frame)["corrected_bias"].verdict == "unmeasurable"
