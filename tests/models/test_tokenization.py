"""What is recorded about a tokeniser, by hand for each family."""

from __future__ import annotations

import pytest
from model_families import built

from fairsqueeze.models.load import load
from fairsqueeze.models.tokenization import start_token_id, tokenizer_facts

EXPECTED = {
    # adds_bos, adds_eos, lower_case, bos, mask, start token
    "bert": (True, True, True, None, "[MASK]", "[CLS]"),
    "roberta": (True, True, False, "<s>", "<mask>", "<s>"),
    "distilbert": (True, True, True, None, "[MASK]", "[CLS]"),
    "albert": (True, True, True, None, "[MASK]", "[CLS]"),
    "gpt2": (False, False, False, "<|endoftext|>", None, "<|endoftext|>"),
    "gpt_neox": (False, False, False, "<|endoftext|>", None, "<|endoftext|>"),
    "opt": (True, False, False, "</s>", None, "</s>"),
    "llama": (True, False, False, "<s>", None, "<s>"),
    "qwen2": (False, False, False, None, None, "<|endoftext|>"),
    "gemma": (True, False, False, "<bos>", None, "<bos>"),
    "phi": (False, False, False, "<|endoftext|>", None, "<|endoftext|>"),
    "phi3": (False, False, False, "<s>", None, "<s>"),
}


@pytest.mark.parametrize("architecture", EXPECTED)
def test_facts(architecture):
    tokenizer = built(architecture).tokenizer
    facts = tokenizer_facts(tokenizer)
    start = tokenizer.convert_ids_to_tokens(start_token_id(tokenizer))
    found = (facts["adds_bos"], facts["adds_eos"], facts["lower_case"], facts["bos"], facts["mask"], start)
    assert found == EXPECTED[architecture]
    assert facts["vocabulary"] == len(tokenizer)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "llama"])
def test_the_hash_survives_saving_and_use(architecture, stored):
    tokenizer = load(stored(architecture)).tokenizer
    before = tokenizer_facts(tokenizer)["sha256"]
    assert before == tokenizer_facts(built(architecture).tokenizer)["sha256"]
    tokenizer(["one", "two three"], truncation=True, max_length=5, padding=tokenizer.pad_token is not None)
    assert tokenizer_facts(tokenizer)["sha256"] == before


def test_an_added_token_changes_the_hash(stored):
    tokenizer = load(stored("bert")).tokenizer
    before = tokenizer_facts(tokenizer)["sha256"]
    tokenizer.add_tokens(["zebra"])
    assert tokenizer_facts(tokenizer)["sha256"] != before


def test_a_tokeniser_without_any_start_has_none(stored):
    tokenizer = load(stored("qwen2")).tokenizer
    tokenizer.eos_token = None
    assert start_token_id(tokenizer) is None
