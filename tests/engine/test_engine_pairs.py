"""Pairs that share a first sentence, and single sequences, against one tokenised forward pass each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_references import KINDS, TEXTS, model_of

from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import PairOutput, PairOutputs
from fairsqueeze.errors import DataError, ModelError, NonFinite
from fairsqueeze.testing.tiny import LABELS, tiny_model

CLOSE = {"rtol": 0, "atol": 1e-4}
PAIR_MODELS = [(name, kind) for name, kind in KINDS if kind.startswith("pair")]
REQUESTS = [PairOutputs(first, tuple(TEXTS)) for first in TEXTS]


def expected(model, *texts: str) -> np.ndarray:
    with torch.no_grad():
        return model.network(**model.tokenizer(*texts, return_tensors="pt")).logits[0].numpy()


@pytest.mark.parametrize("budget", [1, 100_000])
@pytest.mark.parametrize(("architecture", "kind"), PAIR_MODELS)
def test_bundled_pairs_equal_the_slow_reference(architecture, kind, budget):
    model = model_of(architecture, kind)
    engine = Engine(model, token_budget=budget)
    answers = engine.answer(REQUESTS)
    lengths = 0
    for request in REQUESTS:
        table = answers[request]
        slow = np.stack([expected(model, request.first, second) for second in request.seconds])
        np.testing.assert_allclose(table.logits, slow, **CLOSE)
        np.testing.assert_allclose(table.probabilities.sum(1), 1.0)
        lengths += table.n_tokens
        if kind == "pair_classifier":
            assert table.labels == tuple(LABELS.values())
    assert lengths == sum(len(model.tokenizer(a, b)["input_ids"]) for a in TEXTS for b in TEXTS)
    assert engine.usage.tokens_forwarded == lengths


@pytest.mark.parametrize(("architecture", "kind"), PAIR_MODELS)
def test_a_single_sequence_is_what_the_tokeniser_makes_of_one_text(architecture, kind):
    model = model_of(architecture, kind)
    for text in TEXTS[:2]:
        found = Engine(model).answer([PairOutput(text, None)])[PairOutput(text, None)]
        np.testing.assert_allclose(found.logits, expected(model, text), **CLOSE)
        assert found.n_tokens == len(model.tokenizer(text)["input_ids"])


def test_many_second_sentences_are_split_into_small_bundles_and_come_back_in_order():
    model = model_of("bert", "pair_classifier")
    request = PairOutputs("she was tired", tuple(f"{'he ' * (1 + k % 7)}was {k}" for k in range(100)))
    engine = Engine(model)
    table = engine.answer([request])[request]
    assert table.logits.shape == (100, 3)
    assert engine.usage.forward_passes > 1
    for k in (0, 37, 99):
        np.testing.assert_allclose(table.logits[k], expected(model, request.first, request.seconds[k]), **CLOSE)


def test_a_model_that_takes_no_batches_gets_pair_by_pair():
    model = tiny_model("gpt2", "pair_classifier")
    batched = Engine(model).answer(REQUESTS[:2])
    model.network.config.pad_token_id = None
    engine = Engine(model)
    single = engine.answer(REQUESTS[:2])
    assert engine.usage.forward_passes == 2 * len(TEXTS)
    for request in REQUESTS[:2]:
        np.testing.assert_allclose(single[request].logits, batched[request].logits, **CLOSE)


def test_a_tokeniser_that_does_not_join_halves_is_asked_for_every_pair(monkeypatch):
    model = tiny_model("bert", "pair_classifier")
    plain = Engine(model).answer(REQUESTS)
    engine = Engine(model)
    monkeypatch.setattr(engine._reader, "half", lambda text: (5, 6, 7))
    for request, table in engine.answer(REQUESTS).items():
        np.testing.assert_allclose(table.logits, plain[request].logits, **CLOSE)


def test_what_can_not_be_asked_is_refused():
    engine = Engine(model_of("bert", "pair_classifier"))
    with pytest.raises(DataError, match="paired with nothing"):
        engine.answer([PairOutputs("she", ())])
    with pytest.raises(ModelError, match="takes 128 tokens at most"):
        engine.answer([PairOutputs("she " * 80, ("she", "he " * 80))])
    with pytest.raises(ModelError, match="pair_classifier"):
        Engine(model_of("bert", "encoder")).answer([PairOutputs("A", ("B",))])


def test_a_number_that_is_not_finite_is_loud():
    model = tiny_model("bert", "pair_classifier")
    with torch.no_grad():
        model.network.classifier.bias[1] = float("nan")
    with pytest.raises(NonFinite):
        Engine(model).answer(REQUESTS[:1])
