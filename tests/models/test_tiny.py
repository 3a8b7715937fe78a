"""The tiny models that every other test builds on."""

from __future__ import annotations

import pytest
import torch
from model_families import EVERY, built
from transformers import AutoTokenizer

from fairsqueeze.errors import BadSetting, UnknownName
from fairsqueeze.testing.tiny import tiny_model

TEXT = "The nurse said that she was tired."
OWN_CLASS = {
    "bert": "BertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "distilbert": "DistilBertForMaskedLM",
    "albert": "AlbertForMaskedLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "opt": "OPTForCausalLM",
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "gemma": "GemmaForCausalLM",
    "phi": "PhiForCausalLM",
    "phi3": "Phi3ForCausalLM",
}


@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_answers_a_pair_of_texts_with_finite_numbers_of_the_right_shape(architecture, kind):
    model = built(architecture, kind)
    batch = model.tokenizer(TEXT, "He was not.", return_tensors="pt")
    with torch.no_grad():
        answer = model.network(**batch)
    assert not model.network.training
    if kind == "encoder":
        assert answer.last_hidden_state.shape == (*batch.input_ids.shape, 32)
        assert torch.isfinite(answer.last_hidden_state).all()
    else:
        outputs = {"pair_classifier": 3, "pair_regressor": 1}.get(kind)
        expected = (1, outputs) if outputs else (*batch.input_ids.shape, len(model.tokenizer))
        assert answer.logits.shape == expected
        assert torch.isfinite(answer.logits).all()


@pytest.mark.parametrize("architecture", OWN_CLASS)
def test_is_the_class_that_its_name_says(architecture):
    assert type(built(architecture).network).__name__ == OWN_CLASS[architecture]


@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_the_seed_decides_the_weights(architecture):
    assert tiny_model(architecture, seed=1).id == tiny_model(architecture, seed=1).id
    assert tiny_model(architecture, seed=1).id != tiny_model(architecture, seed=2).id


def test_building_leaves_the_random_state_of_the_caller_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    tiny_model("bert")
    assert torch.equal(torch.rand(3), expected)


def test_labels_of_the_classifier_are_those_of_inference():
    labels = built("bert", "pair_classifier").network.config.id2label
    assert labels == {0: "entailment", 1: "neutral", 2: "contradiction"}


def test_no_bias_is_zero_and_no_norm_is_one():
    for name, parameter in built("opt").network.named_parameters():
        if parameter.ndim == 1:
            assert (parameter != parameter.round()).float().mean() > 0.9, name


def test_an_unknown_architecture_gets_near_names():
    with pytest.raises(UnknownName, match="gpt2"):
        tiny_model("gpt-2")


def test_a_kind_that_does_not_fit_is_refused():
    with pytest.raises(BadSetting, match="causal, encoder"):
        tiny_model("gpt2", "masked")


@pytest.mark.parametrize("architecture", OWN_CLASS)
def test_the_tokeniser_is_the_same_every_time_and_saved_whole(architecture, stored):
    text = "The unhappy engineer's 12 roses"
    first, again, saved = (
        tiny_model(architecture).tokenizer,
        tiny_model(architecture).tokenizer,
        AutoTokenizer.from_pretrained(stored(architecture)),
    )
    assert first.get_vocab() == again.get_vocab() == saved.get_vocab()
    assert first(text).input_ids == again(text).input_ids == saved(text).input_ids
    assert first.decode(first(text, add_special_tokens=False).input_ids).strip().lower().replace(" ", "") == (
        text.lower().replace(" ", "")
    )


@pytest.mark.parametrize("architecture", ["bert", "albert"])
def test_common_words_are_one_token_rare_ones_several_and_strange_letters_unknown(architecture):
    tokenizer = built(architecture).tokenizer
    lengths = [len(tokenizer(word, add_special_tokens=False).input_ids) for word in ("she", "people", "neurosis")]
    assert lengths[0] == 1
    assert lengths[2] > 2
    assert tokenizer.unk_token_id in tokenizer("東").input_ids
