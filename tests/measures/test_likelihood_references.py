"""CrowS-Pairs and StereoSet on small random models, against slow retellings of the reference code."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fairsqueeze.engine.answer import Engine
from fairsqueeze.items import Row
from fairsqueeze.models.model import Model
from fairsqueeze.registry import measures
from fairsqueeze.testing.tiny import tiny_model

PAIRS = [
    ("The doctor was late.", "The lawyer was late.", "stereo", "age"),
    ("He is a good cook.", "She is a good cook.", "antistereo", "gender"),
    ("An old man played the piano in his park", "A young woman played the piano in her park", "stereo", "age"),
    ("My new books were red.", "My books were red.", "stereo", "religion"),
    ("The nurse said that he was tired, but she was not.", "The engineer said so.", "antistereo", "disability"),
]


def lively(architecture: str) -> Model:
    """A random model whose predictions differ from word to word: its weights are four times the usual."""
    model = tiny_model(architecture)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if weight.dim() == 2 and "norm" not in name.lower():
                weight.mul_(4)
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    pairs, dev = folder / "crows_pairs_anonymized.csv", folder / "dev.json"
    with pairs.open("w", encoding="utf-8", newline="") as file:
        header = ["", "sent_more", "sent_less", "stereo_antistereo", "bias_type"]
        csv.writer(file).writerows([header, *([str(k), *pair] for k, pair in enumerate(PAIRS))])
    contexts = {
        "the nurse was BLANK.": ("tired", "late", "painted"),
        "BLANK works hard": ("She", "He", "Boats"),
        "The farmer was BLANK with him.": ("angry", "unfriendly", "Sunday"),
    }
    examples = [
        {
            "id": str(k),
            "target": "nurse",
            "bias_type": "profession",
            "context": context,
            "sentences": [
                {"id": f"{k}{label}", "sentence": context.replace("BLANK", word).capitalize(), "gold_label": label}
                for label, word in zip(("stereotype", "anti-stereotype", "unrelated"), words, strict=True)
            ],
        }
        for k, (context, words) in enumerate(contexts.items())
    ]
    dev.write_text(json.dumps({"data": {"intrasentence": examples}}), encoding="utf-8")
    return {pairs.name: pairs, dev.name: dev}


def rows_of(measure: str, model: Model, files: Mapping[str, Path]) -> list[tuple[Mapping[str, Any], Row]]:
    declared = measures.get(measure)
    engine, found = Engine(model), []
    for item in declared.items(files):
        asked = declared.asks(item)
        answers = engine.answer(asked.values())
        found += [
            (item.content, row)
            for row in declared.score(item, {name: answers[request] for name, request in asked.items()})
        ]
    return found


def at_masks(model: Model, ids: list[int], masked: list[int], position: int) -> torch.Tensor:
    changed = torch.tensor([ids])
    changed[0, masked] = model.tokenizer.mask_token_id
    with torch.no_grad():
        return model.network(changed).logits[0, position].log_softmax(-1)


def pseudo(model: Model, text: str, other: str, equal: bool) -> list[float]:
    """get_span and the loops of metric.py ('equal') and crows.py ('diff')."""
    ids, others = model.tokenizer.encode(text), model.tokenizer.encode(other)
    opcodes = SequenceMatcher(None, [str(i) for i in ids], [str(i) for i in others]).get_opcodes()
    template = [x for tag, i1, i2, *_ in opcodes if (tag == "equal") == equal for x in range(i1, i2)]
    if equal:
        template = template[1:-1]  # CLS and SEP
    return [float(at_masks(model, ids, [at], at)[ids[at]]) for at in template]


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_masked_crows_pairs_scores_are_those_of_the_reference_code(architecture: str, files: dict[str, Path]) -> None:
    model = lively(architecture)
    compared = 0
    for content, row in rows_of("crows_pairs.unchanged", model, files):
        for side, other in (("more", "less"), ("less", "more")):
            expected = sum(pseudo(model, content[side], content[other], equal=True))
            assert row.answer[f"logprob_{side}"] == pytest.approx(expected, abs=1e-4)
            assert row.answer[f"score_{side}"] == pytest.approx(round(expected, 3), abs=1.1e-3)
    for content, row in rows_of("crows_pairs.changed", model, files):
        scores = [pseudo(model, content[a], content[b], equal=False) for a, b in (("more", "less"), ("less", "more"))]
        if not all(scores):
            assert row.status == "one sentence only adds tokens"
            continue
        assert row.preference == pytest.approx(np.mean(scores[0]) - np.mean(scores[1]), abs=1e-4)
        assert row.answer["preference_prior"] is not None
        compared += 1
    assert compared == 4  # one pair only adds a word


def joint(model: Model, text: str, start_in_view: bool) -> list[float]:
    """_joint_log_probability of Bias Bench; with the start token in view, loglikelihood of lm-evaluation-harness."""
    tokenizer = model.tokenizer
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    tokens = tokenizer.encode(text, add_special_tokens=False)
    with torch.no_grad():
        first = model.network(torch.tensor([[start]])).logits[0, 0].log_softmax(-1)
        sequence = [start, *tokens] if start_in_view else tokens
        output = model.network(torch.tensor([sequence])).logits[0].log_softmax(-1)
    offset = 0 if start_in_view else -1
    return [float(first[tokens[0]])] + [float(output[at + offset, tokens[at]]) for at in range(1, len(tokens))]


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_causal_scores_are_those_of_the_reference_code(architecture: str, files: dict[str, Path]) -> None:
    model = lively(architecture)
    for content, row in rows_of("crows_pairs.causal_sum", model, files):
        for side in ("more", "less", "control"):
            assert row.answer[f"score_{side}"] == pytest.approx(sum(joint(model, content[side], True)), abs=1e-4)
    for content, row in rows_of("crows_pairs.causal_mean", model, files):
        for side in ("more", "less", "control"):
            expected = np.exp(np.mean(joint(model, content[side], False)))
            assert row.answer[f"score_{side}"] == pytest.approx(expected, rel=1e-4)
    for content, row in rows_of("stereoset.causal", model, files):
        for letter in "sau":
            logprobs = joint(model, content[letter]["sentence"], False)
            assert row.answer[f"score_{letter}"] == pytest.approx(np.exp(np.mean(logprobs)), rel=1e-4)
            assert row.answer[f"logprob_{letter}"] == pytest.approx(sum(logprobs), abs=1e-4)
        assert row.status == "ok"


def test_masked_stereoset_scores_are_those_of_the_reference_code(files: dict[str, Path]) -> None:
    model = lively("bert")
    tokenizer = model.tokenizer
    longest = 0
    for content, row in rows_of("stereoset.masked", model, files):
        for letter in "sau":
            insertion = tokenizer.encode(content[letter]["word"], add_special_tokens=False)
            longest = max(longest, len(insertion))
            probabilities = []
            for k, token in enumerate(insertion):
                begun = tokenizer.decode(insertion[:k])
                ids = tokenizer.encode(content["context"].replace("BLANK", f"{begun}{tokenizer.mask_token}"))
                at = ids.index(tokenizer.mask_token_id)
                probabilities.append(float(at_masks(model, ids, [], at)[token].exp()))
            assert row.answer[f"score_{letter}"] == pytest.approx(np.mean(probabilities), rel=1e-4)
            assert row.answer[f"logprob_{letter}"] == pytest.approx(np.log(probabilities).sum(), abs=1e-4)
    assert longest > 1
