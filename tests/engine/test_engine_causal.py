"""Causal requests against a reference that scores every token by a forward pass of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_references import CAUSAL, TEXTS, model_of, slow_logprobs, slow_text, start_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import StreamLogProb, TextLogProb
from fairsqueeze.errors import BadSetting, DataError, ModelError
from fairsqueeze.models.model import Model
from fairsqueeze.testing.tiny import tiny_model

CLOSE = {"rtol": 0, "atol": 1e-4}
STREAM = "The old man asked the nurse whether she was late. " * 4 + "Née Müller, 日本!"


@pytest.mark.parametrize("sharing", [True, False])
@pytest.mark.parametrize("architecture", CAUSAL)
def test_text_scores_equal_the_slow_reference(architecture, sharing):
    model = model_of(architecture, "causal")
    requests = [TextLogProb(text, bos=bos) for text in TEXTS for bos in ("prepend", "first", "none")]
    requests += [
        TextLogProb(text, prefix="The nurse said", bos=bos) for text in (" hello", "") for bos in ("prepend", "first")
    ]
    engine = Engine(model, prefix_sharing=sharing)
    answers = engine.answer(requests)
    assert engine.usage.prefix_sharing is sharing
    for request in requests:
        expected = slow_text(model, request.text, request.prefix, request.bos)
        np.testing.assert_allclose(answers[request].logprobs, expected, **CLOSE, err_msg=str(request))


@pytest.mark.parametrize("architecture", CAUSAL)
def test_common_beginnings_are_computed_once(architecture):
    engine = Engine(model_of(architecture, "causal"))
    requests = [
        TextLogProb(f"The engineer asked the teacher whether {word}", prefix="") for word in ("he", "she", "they")
    ]
    asked = engine.answer(requests)
    assert engine.usage.prefix_sharing is True
    assert engine.usage.tokens_forwarded < 0.6 * engine.usage.tokens_asked
    plain = Engine(model_of(architecture, "causal"), prefix_sharing=False).answer(requests)
    for request in requests:
        np.testing.assert_allclose(asked[request].logprobs, plain[request].logprobs, rtol=0, atol=5e-5)


@pytest.mark.parametrize("architecture", CAUSAL)
def test_scores_do_not_depend_on_the_batch_or_the_order(architecture):
    model = model_of(architecture, "causal")
    requests = [TextLogProb(text, bos=bos) for text in TEXTS for bos in ("prepend", "first")]
    requests.append(StreamLogProb(STREAM, context=24, stride=8))
    large = Engine(model, token_budget=100_000).answer(requests)
    single = Engine(model, token_budget=1).answer(requests)
    turned = Engine(model, token_budget=100_000).answer(requests[::-1])
    assert list(turned) == requests[::-1]
    for request in requests[:-1]:
        np.testing.assert_allclose(single[request].logprobs, large[request].logprobs, **CLOSE)
        np.testing.assert_array_equal(turned[request].logprobs, large[request].logprobs)
    np.testing.assert_allclose(single[requests[-1]].logprob, large[requests[-1]].logprob, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(turned[requests[-1]].logprob, large[requests[-1]].logprob)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=4), st.data())
def test_random_texts_equal_the_slow_reference(texts, data):
    architecture = data.draw(st.sampled_from(["gpt2", "llama", "opt"]))
    bos = data.draw(st.sampled_from(["prepend", "first", "none"]))
    model = model_of(architecture, "causal")
    requests = [TextLogProb(text, bos=bos) for text in texts]
    requests += [TextLogProb(text, prefix=texts[0], bos=bos) for text in texts]
    answers = Engine(model).answer(requests)
    for request in requests:
        expected = slow_text(model, request.text, request.prefix, request.bos)
        np.testing.assert_allclose(answers[request].logprobs, expected, **CLOSE)


def test_empty_and_one_token_texts():
    model = model_of("gpt2", "causal")
    answers = Engine(model).answer([TextLogProb("", bos=bos) for bos in ("prepend", "first", "none")])
    assert [answer.n_tokens for answer in answers.values()] == [0, 0, 0]
    assert all(answer.mean is None and answer.total == 0.0 for answer in answers.values())
    one = {
        bos: Engine(model).answer([TextLogProb("A", bos=bos)])[TextLogProb("A", bos=bos)]
        for bos in ("prepend", "first", "none")
    }
    assert (one["prepend"].n_tokens, one["first"].n_tokens, one["none"].n_tokens) == (1, 1, 0)
    assert one["prepend"].total == pytest.approx(one["first"].total, abs=1e-5)
    assert (one["prepend"].n_context, one["first"].n_context, one["none"].n_context) == (2, 1, 1)


def test_a_token_that_crosses_the_border_is_scored_with_the_text():
    model = model_of("gpt2", "causal")  # its tokens hold the blank before a word
    before, after = TextLogProb(" said", prefix="The nurse"), TextLogProb("said", prefix="The nurse ")
    answers = Engine(model).answer([before, after])
    np.testing.assert_allclose(answers[before].logprobs, answers[after].logprobs, **CLOSE)
    assert answers[before].n_bytes == answers[after].n_bytes == len(" said")


@pytest.mark.parametrize("architecture", CAUSAL)
def test_bytes_of_prefix_and_text_add_up(architecture):
    text = "naïve café 日本 👩‍⚕️ done"
    engine = Engine(model_of(architecture, "causal"))
    whole, part = TextLogProb(text), TextLogProb(" done", prefix=text.removesuffix(" done"))
    answers = engine.answer([whole, part])
    assert answers[whole].n_bytes == len(text.encode())
    assert answers[part].n_bytes == len(" done")


def test_unknown_tokens_are_counted():
    model = tiny_model("gpt2", "causal")
    token = model.tokenizer.unk_token
    request = TextLogProb(f"The nurse {token} said {token}")
    answer = Engine(model).answer([request])[request]
    assert answer.unknown == 2


@pytest.mark.parametrize("architecture", CAUSAL)
@pytest.mark.parametrize(("context", "stride"), [(24, 8), (5, 9), (1, 4), (100, 7)])
def test_stream_windows_equal_the_slow_reference(architecture, context, stride):
    model = model_of(architecture, "causal")
    request = StreamLogProb(STREAM[:90], context=context, stride=stride)
    answer = Engine(model).answer([request])[request]
    stream = [start_of(model), *model.tokenizer(request.text, add_special_tokens=False)["input_ids"]]
    expected = []
    for begin in range(1, len(stream), stride):
        new = stream[begin : begin + stride]
        before = stream[max(0, begin - context) : begin]
        scores = slow_logprobs(model, before + new)
        expected.append(sum(scores[len(before) + k - 1, token] for k, token in enumerate(new)))
    np.testing.assert_allclose(answer.logprob, expected, rtol=0, atol=1e-3)
    assert answer.n_tokens.sum() == len(stream) - 1
    assert answer.n_bytes.sum() == len(request.text.encode())
    assert answer.n_windows_total == len(expected)


def test_stream_windows_are_drawn_by_seed():
    engine = Engine(model_of("gpt2", "causal"))
    every = StreamLogProb(STREAM, context=8, stride=4)
    some = [StreamLogProb(STREAM, context=8, stride=4, windows=5, seed=seed) for seed in (0, 0, 1)]
    answers = engine.answer([every, *some])
    first, other = answers[some[0]], answers[some[2]]
    assert len(first.index) == 5
    assert sorted(set(first.index)) == list(first.index)
    assert list(first.index) != list(other.index)
    np.testing.assert_allclose(first.logprob, answers[every].logprob[first.index], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(first.n_bytes, answers[every].n_bytes[first.index])
    assert first.n_windows_total == len(answers[every].index)


def test_an_empty_stream_has_no_windows():
    request = StreamLogProb("")
    answer = Engine(model_of("gpt2", "causal")).answer([request])[request]
    assert answer.n_windows_total == 0
    assert answer.logprob.shape == (0,)


def test_what_does_not_fit_is_refused_before_anything_runs():
    model = model_of("gpt2", "causal")
    engine = Engine(model)
    long = "The old engineer, " * 60
    with pytest.raises(ModelError, match=r"takes 128 tokens at most; the text 'The old engineer"):
        engine.answer([TextLogProb("short"), TextLogProb(long)])
    with pytest.raises(ModelError, match="windows of 100 \\+ 60 tokens need"):
        engine.answer([StreamLogProb(long, context=100, stride=60)])
    assert engine.usage.forward_passes == 0
    fitting = StreamLogProb(long, context=64, stride=64)
    assert engine.answer([fitting])[fitting].n_tokens.sum() > 128


def test_bad_windows_and_broken_text_have_their_message():
    engine = Engine(model_of("gpt2", "causal"))
    with pytest.raises(BadSetting, match="context 0"):
        engine.answer([StreamLogProb("a", context=0)])
    with pytest.raises(DataError, match="lone surrogate"):
        engine.answer([TextLogProb("a\ud800b")])


def test_a_tokeniser_without_a_start_token_is_refused():
    model = tiny_model("gpt2", "causal")
    model.tokenizer.bos_token = model.tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no start token"):
        Engine(model).answer([TextLogProb("A")])
    answer = Engine(model).answer([TextLogProb("A man", bos="none")])
    assert len(answer) == 1


def _variant(name: str, **changes: object) -> Model:
    """A tiny model of an architecture beyond the usual ones, with the tokeniser of tiny Llama."""
    from transformers import AutoConfig, AutoModelForCausalLM

    like = tiny_model("llama", "causal")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    sizes |= {"intermediate_size": 64, "max_position_embeddings": 128, "head_dim": 8, "initializer_range": 0.2}
    config = AutoConfig.for_model(name, **{**sizes, **changes}, vocab_size=len(like.tokenizer), pad_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    return Model(network, like.tokenizer, "causal", f"tiny:{name}")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("mistral", {"sliding_window": 12}),
        ("gemma2", {"sliding_window": 12, "final_logit_softcapping": 3.0}),
        ("cohere", {"logit_scale": 0.3}),
        (
            "phi3",
            {
                "original_max_position_embeddings": 16,
                "rope_parameters": {
                    "rope_type": "longrope",
                    "rope_theta": 10000.0,
                    "short_factor": [1.0] * 4,
                    "long_factor": [4.0] * 4,
                    "original_max_position_embeddings": 16,
                },
            },
        ),
    ],
)
def test_windows_caps_and_stretched_positions_are_kept(name, changes):
    model = _variant(name, **changes)
    requests = [TextLogProb(text) for text in (*TEXTS, TEXTS[0] + TEXTS[2])]
    engine = Engine(model)
    answers = engine.answer(requests)
    assert engine.usage.only_needed_projected is True
    assert engine.usage.prefix_sharing is True
    for request in requests:
        ids = [start_of(model), *model.tokenizer(request.text, add_special_tokens=False)["input_ids"]]
        scores = slow_logprobs(model, ids[:-1])
        expected = [scores[at - 1, ids[at]] for at in range(1, len(ids))]
        np.testing.assert_allclose(answers[request].logprobs, expected, **CLOSE)


def test_an_architecture_that_ignores_positions_is_scored_without_sharing():
    from transformers import BloomConfig, BloomForCausalLM

    like = tiny_model("gpt2", "causal")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = BloomForCausalLM(
            BloomConfig(vocab_size=len(like.tokenizer), hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3)
        ).eval()
    model = Model(network, like.tokenizer, "causal", "tiny:bloom")
    requests = [TextLogProb(text) for text in TEXTS]
    engine = Engine(model)
    answers = engine.answer(requests)
    assert engine.usage.prefix_sharing is False
    assert any("anew" in note for note in engine.usage.notes)
    for request in requests:
        np.testing.assert_allclose(answers[request].logprobs, slow_text(model, request.text), **CLOSE)
