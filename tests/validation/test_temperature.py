"""Temperature: logits divided, and what that does to a text's log-probability."""

from __future__ import annotations

import pytest
import torch

from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import TextLogProb
from fairsqueeze.errors import BadSetting
from fairsqueeze.testing.tiny import ARCHITECTURES, tiny_model
from fairsqueeze.validation.temperature import KINDS, with_temperature

EVERY = [(name, kind) for name, kinds in ARCHITECTURES.items() for kind in kinds]
IDS = torch.tensor([[5, 9, 2, 7, 11]])


@pytest.mark.parametrize(("architecture", "kind"), [one for one in EVERY if one[1] in KINDS])
def test_logits_are_divided_and_the_model_is_left_alone(architecture, kind):
    model = tiny_model(architecture, kind)
    before, expected = model.id, model.network(input_ids=IDS).logits / 3
    hot = with_temperature(model, 3.0)
    assert torch.allclose(hot.network(input_ids=IDS).logits, expected, atol=1e-5)
    assert model.id == before
    assert hot.id != before


@pytest.mark.parametrize(("architecture", "kind"), [one for one in EVERY if one[1] not in KINDS][:4])
def test_what_has_no_probabilities_is_refused(architecture, kind):
    with pytest.raises(BadSetting, match="has no probabilities"):
        with_temperature(tiny_model(architecture, kind), 2.0)


def test_a_very_hot_model_gives_every_token_the_same_chance_so_that_a_longer_text_is_less_likely():
    """By the engine, on a network whose embeddings share the weights of its last layer; ln V a token."""
    model = tiny_model("llama", "causal")
    hot = with_temperature(model, 1e5)
    texts = [TextLogProb("the cook ran"), TextLogProb("the cook ran to the old baker")]
    answers = Engine(hot).answer(texts)
    short, long = (answers[text].total for text in texts)
    tokens = [len(answers[text].logprobs) for text in texts]
    flat = -torch.log(torch.tensor(float(model.network.config.vocab_size))).item()
    assert (short, long) == pytest.approx((tokens[0] * flat, tokens[1] * flat), rel=1e-3)
