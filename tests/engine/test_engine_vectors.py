"""Sentence vectors, static vectors and pair outputs against one forward pass each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_references import KINDS, TEXTS, bert_by_hand, model_of

from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import PairOutput, SentenceVector, StaticVector
from fairsqueeze.errors import BadSetting, DataError, ModelError
from fairsqueeze.testing.tiny import LABELS, tiny_model

CLOSE = {"rtol": 0, "atol": 1e-4}
PAIR_MODELS = [(name, kind) for name, kind in KINDS if kind.startswith("pair")]
PAIRS = tuple(zip(TEXTS, (*TEXTS[3:], *TEXTS[:3]), strict=True))


@pytest.mark.parametrize(("architecture", "kind"), KINDS)
@pytest.mark.parametrize("layer", [-1, 0, 1, -2])
def test_sentence_vectors_equal_the_slow_reference(architecture, kind, layer):
    model = model_of(architecture, kind)
    requests = [SentenceVector(text, pooling, layer) for text in TEXTS for pooling in ("cls", "mean", "last")]
    answers = Engine(model).answer(requests)
    for request in requests:
        ids = torch.tensor([model.tokenizer(request.text)["input_ids"]])
        with torch.no_grad():
            states = model.network.base_model(ids, output_hidden_states=True).hidden_states[layer][0].numpy()
        expected = {"cls": states[0], "mean": states.mean(0), "last": states[-1]}[request.pooling]
        np.testing.assert_allclose(answers[request].values, expected, **CLOSE)
        assert answers[request].values.dtype == np.float32
        assert answers[request].n_tokens == len(states)


@pytest.mark.parametrize(("architecture", "kind"), KINDS)
def test_static_vectors_are_mean_embeddings(architecture, kind):
    model = model_of(architecture, kind)
    engine = Engine(model)
    answers = engine.answer([StaticVector(text) for text in TEXTS])
    embed = model.network.get_input_embeddings()
    table = embed.weight.detach().numpy() * float(getattr(embed, "embed_scale", 1.0))  # Gemma scales its embeddings
    for text in TEXTS:
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        np.testing.assert_allclose(answers[StaticVector(text)].values, table[ids].mean(0), rtol=0, atol=1e-6)
    assert engine.usage.forward_passes == 0


def test_layers_and_poolings_of_one_sentence_are_run_once():
    engine = Engine(bert_by_hand("encoder"))
    engine.answer([SentenceVector("she was tired", pooling, layer) for pooling in ("cls", "mean") for layer in (0, 1)])
    assert engine.usage.forward_passes == 1
    assert engine.usage.tokens_forwarded == 5


def test_vectors_that_do_not_exist_are_refused():
    engine = Engine(model_of("gpt2", "encoder"))
    with pytest.raises(BadSetting, match=r"no layer 3\. Choose 0 \(embeddings\) to 2"):
        engine.answer([SentenceVector("A", "mean", 3)])
    with pytest.raises(DataError, match="no tokens"):
        engine.answer([SentenceVector("")])
    with pytest.raises(DataError, match="no tokens"):
        engine.answer([StaticVector("")])
    with pytest.raises(ModelError, match="takes 128 tokens at most"):
        engine.answer([SentenceVector("!" * 400)])


@pytest.mark.parametrize("budget", [1, 100_000])
@pytest.mark.parametrize(("architecture", "kind"), PAIR_MODELS)
def test_pair_outputs_equal_the_slow_reference(architecture, kind, budget):
    model = model_of(architecture, kind)
    answers = Engine(model, token_budget=budget).answer([PairOutput(*pair) for pair in PAIRS])
    for pair in PAIRS:
        encoded = model.tokenizer(*pair, return_tensors="pt")
        with torch.no_grad():
            expected = model.network(**encoded).logits[0].numpy()
        found = answers[PairOutput(*pair)]
        np.testing.assert_allclose(found.logits, expected, **CLOSE)
        assert found.logits.dtype == np.float64
        assert found.n_tokens == encoded["input_ids"].shape[1]
        if kind == "pair_classifier":
            assert found.labels == tuple(LABELS.values())


def test_token_types_reach_the_network():
    model = model_of("bert", "pair_classifier")
    pair = PAIRS[0]
    encoded = dict(model.tokenizer(*pair, return_tensors="pt"))
    assert encoded["token_type_ids"].max() == 1
    with torch.no_grad():
        untyped = model.network(input_ids=encoded["input_ids"]).logits[0].numpy()
    found = Engine(model).answer([PairOutput(*pair)])[PairOutput(*pair)].logits
    assert np.abs(found - untyped).max() > 1e-3


def test_a_causal_classifier_without_padding_is_run_pair_by_pair():
    model = tiny_model("gpt2", "pair_classifier")
    batched = Engine(model).answer([PairOutput(*pair) for pair in PAIRS])
    model.network.config.pad_token_id = None
    engine = Engine(model)
    single = engine.answer([PairOutput(*pair) for pair in PAIRS])
    assert engine.usage.forward_passes == len(PAIRS)
    for pair in PAIRS:
        np.testing.assert_allclose(single[PairOutput(*pair)].logits, batched[PairOutput(*pair)].logits, **CLOSE)


def test_a_pair_that_does_not_fit_is_refused():
    engine = Engine(model_of("bert", "pair_classifier"))
    with pytest.raises(ModelError, match="takes 128 tokens at most"):
        engine.answer([PairOutput("she " * 80, "he " * 80)])
