"""Trimming of the vocabulary: the same pieces, the same logits, fewer rows."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.compress.structured import CORPUS, answer

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.vocabulary_removal import remove_tokens
from fairsqueeze.compress.vocabulary_tokenizer import kept_tokens, same_pieces, trimmed_tokenizer
from fairsqueeze.errors import BadSetting, DataError, ModelError
from fairsqueeze.models.checkpoint import save
from fairsqueeze.models.load import load
from fairsqueeze.testing.tiny import tiny_model
from fairsqueeze.testing.tokenizers import SENTENCES


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(CORPUS)
    return str(path)


def test_a_text_of_the_corpus_gets_the_same_pieces_and_logits(model, corpus, tmp_path):
    small = compress(model, "vocabulary.trim", text=corpus)
    measured = small.provenance["steps"][-1]["measured"]
    rows = small.network.get_input_embeddings().weight.shape[0]
    assert rows == measured["tokens"] == small.network.config.vocab_size == len(small.tokenizer)
    save(small, tmp_path / "out")
    again = load(tmp_path / "out")
    for line in CORPUS.splitlines():
        pair = (line, "She was tired.") if model.kind.startswith("pair") else (line,)
        was = model.tokenizer(*pair, return_tensors="pt").input_ids
        for other in (small, again):
            now = other.tokenizer(*pair, return_tensors="pt").input_ids
            assert other.tokenizer.convert_ids_to_tokens(now[0]) == model.tokenizer.convert_ids_to_tokens(was[0])
            assert other.tokenizer.decode(now[0]) == model.tokenizer.decode(was[0])
            wanted, got = answer(model.network, was), answer(other.network, now)
            if model.kind in ("causal", "masked"):
                tokens = small.tokenizer.convert_ids_to_tokens(range(rows))
                wanted = wanted[..., [model.tokenizer.convert_tokens_to_ids(t) for t in tokens]]
            assert (wanted - got).abs().max() <= 1e-5


def test_special_tokens_keep_their_part(model, corpus):
    small = compress(model, "vocabulary.trim", text=corpus)
    for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
        text = getattr(model.tokenizer, f"{role}_token")
        assert getattr(small.tokenizer, f"{role}_token") == text
        was, now = (getattr(m.network.config, f"{role}_token_id", None) for m in (model, small))
        if was is not None:
            assert small.tokenizer.convert_ids_to_tokens(now) == model.tokenizer.convert_ids_to_tokens(was)


def test_what_the_corpus_does_not_use_is_gone_and_other_texts_can_still_be_written(corpus):
    model = tiny_model("gpt2")
    small = compress(model, "vocabulary.trim", text=corpus)
    assert len(small.tokenizer) < len(model.tokenizer)
    other = "Zebras quickly eat 37 apples, don't they?"
    assert small.tokenizer.decode(small.tokenizer(other).input_ids) == other
    used = set(model.tokenizer(CORPUS).input_ids) | {
        i for w in CORPUS.split("\n") for i in model.tokenizer(w).input_ids
    }
    assert used <= {model.tokenizer.convert_tokens_to_ids(t) for t in small.tokenizer.get_vocab()}


@pytest.mark.parametrize("architecture", ["bert", "albert", "gpt2", "llama", "gemma"])
@pytest.mark.parametrize("text", SENTENCES[:5])
def test_any_corpus_keeps_its_pieces(architecture, text):
    tokenizer = tiny_model(architecture).tokenizer
    kept = kept_tokens(tokenizer, tokenizer(text).input_ids)
    small = trimmed_tokenizer(tokenizer, kept)
    assert [tokenizer.convert_ids_to_tokens(i) for i in kept] == small.convert_ids_to_tokens(range(len(kept)))
    assert small.tokenize(text) == tokenizer.tokenize(text)
    assert same_pieces(tokenizer, small, text)


def test_without_its_merges_a_text_would_be_cut_otherwise():
    """The check can fail: a tokeniser that lost a used token gives other pieces."""
    tokenizer = tiny_model("gpt2").tokenizer
    kept = kept_tokens(tokenizer, [])
    assert not same_pieces(tokenizer, trimmed_tokenizer(tokenizer, kept), "The nurse said that she was tired.")


def test_padding_that_positions_hang_on_must_keep_its_number():
    """RoBERTa counts positions from the padding token's number: moving it would move them all."""
    model = tiny_model("roberta")
    with pytest.raises(ModelError, match="can't be built"):
        remove_tokens(copy.deepcopy(model.network), list(range(1, 200)))


@pytest.mark.parametrize("kept", [[], [3, 2], [1, 1], [0, 10_000], [-1, 2]])
def test_ids_that_do_not_fit_are_refused(kept):
    with pytest.raises(BadSetting):
        remove_tokens(tiny_model("bert").network, kept)


def test_a_missing_text_and_another_kind_of_tokeniser_are_refused(corpus, tmp_path):
    model = tiny_model("bert")
    with pytest.raises(BadSetting, match="text"):
        compress(model, "vocabulary.trim", text="")
    with pytest.raises(DataError, match="can't be read"):
        compress(model, "vocabulary.trim", text=str(tmp_path / "none.txt"))
    marked = tiny_model("gpt2")
    marked.tokenizer.backend_tokenizer.model.end_of_word_suffix = "</w>"
    with pytest.raises(ModelError, match="can't be trimmed"):
        compress(marked, "vocabulary.trim", text=corpus)


def test_a_slimmed_model_can_be_trimmed(corpus):
    model = compress(tiny_model("bert"), "heads.random", share=0.4, per_layer=False, seed=1)
    small = compress(model, "vocabulary.trim", text=corpus)
    ids = small.tokenizer(CORPUS[:60], return_tensors="pt").input_ids
    was = model.tokenizer(CORPUS[:60], return_tensors="pt").input_ids
    tokens = small.tokenizer.convert_ids_to_tokens(range(len(small.tokenizer)))
    wanted = answer(model.network, was)[..., [model.tokenizer.convert_tokens_to_ids(t) for t in tokens]]
    assert torch.allclose(answer(small.network, ids), wanted, atol=1e-5)
