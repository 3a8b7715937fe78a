"""Masked requests against the published schemes, written out one forward pass at a time."""

from __future__ import annotations

import difflib

import numpy as np
import pytest
from engine_references import MASKED, TEXTS, bert_by_hand, model_of, slow_logprobs

from fairsqueeze.engine.answer import Engine
from fairsqueeze.engine.requests import BlankFill, MaskCandidates, PseudoLogProb
from fairsqueeze.errors import DataError, ModelError
from fairsqueeze.models.model import Model
from fairsqueeze.testing.tiny import tiny_model

CLOSE = {"rtol": 0, "atol": 1e-4}
PAIR = ("The nurse said that she was tired.", "The old doctor said that he was tired.")


def slow_masked(model: Model, ids: list[int], at: int) -> float:
    masked = [*ids[:at], model.tokenizer.mask_token_id, *ids[at + 1 :]]
    return slow_logprobs(model, masked)[at, ids[at]]


def spans(first: list[int], second: list[int], equal: bool) -> list[int]:
    """Positions in `first`, as metric.py of CrowS-Pairs and crows.py of Bias Bench find them."""
    matcher = difflib.SequenceMatcher(None, [str(i) for i in first], [str(i) for i in second])
    return [at for op in matcher.get_opcodes() if (op[0] == "equal") == equal for at in range(op[1], op[2])]


@pytest.mark.parametrize("architecture", MASKED)
def test_pseudo_log_likelihood_masks_one_token_at_a_time(architecture):
    model = model_of(architecture, "masked")
    answers = Engine(model).answer([PseudoLogProb(text) for text in TEXTS])
    for text in TEXTS:
        ids = model.tokenizer(text)["input_ids"]
        expected = [slow_masked(model, ids, at) for at in range(1, len(ids) - 1)]
        np.testing.assert_allclose(answers[PseudoLogProb(text)].logprobs, expected, **CLOSE)
        assert answers[PseudoLogProb(text)].n_bytes == len(text.encode())
        assert answers[PseudoLogProb(text)].n_context == len(ids)


@pytest.mark.parametrize("architecture", MASKED)
@pytest.mark.parametrize("which", ["shared", "changed"])
def test_shared_and_changed_tokens_are_those_of_the_reference_code(architecture, which):
    model = model_of(architecture, "masked")
    requests = [PseudoLogProb(*PAIR, which), PseudoLogProb(*PAIR[::-1], which)]
    answers = Engine(model).answer(requests)
    for request in requests:
        ids, other = (model.tokenizer(text)["input_ids"] for text in (request.text, request.other))
        places = spans(ids, other, which == "shared")
        if which == "shared":
            assert places[0] == 0
            assert places[-1] == len(ids) - 1
            places = places[1:-1]
        np.testing.assert_allclose(answers[request].logprobs, [slow_masked(model, ids, at) for at in places], **CLOSE)


def test_shared_and_changed_words_by_hand():
    model = bert_by_hand()
    shared = PseudoLogProb("she was tired", "he was tired", "shared")
    changed = PseudoLogProb("she was tired", "he was tired", "changed")
    whole = PseudoLogProb("she was tired")
    answers = Engine(model).answer([shared, changed, whole])
    np.testing.assert_allclose(answers[shared].logprobs, answers[whole].logprobs[1:], **CLOSE)
    np.testing.assert_allclose(answers[changed].logprobs, answers[whole].logprobs[:1], **CLOSE)
    assert (answers[shared].n_bytes, answers[changed].n_bytes) == (len(" was tired"), len("she"))
    same = PseudoLogProb("she was tired", "she was tired", "changed")
    assert Engine(model).answer([same])[same].mean is None


def test_unknown_tokens_are_scored_and_counted():
    model = bert_by_hand()
    request = PseudoLogProb("she 漢 was")
    answer = Engine(model).answer([request])[request]
    assert (answer.n_tokens, answer.unknown) == (3, 1)


def slow_blank(model: Model, context: str, word: str) -> list[float]:
    """The dataloader of Bias Bench's StereoSet: the word's tokens, decoded bit by bit in front of the mask."""
    tokenizer = model.tokenizer
    blank_before = " " if "roberta" in model.reference else ""
    word_tokens = tokenizer.encode(f"{blank_before}{word}", add_special_tokens=False)
    scores = []
    for k, token in enumerate(word_tokens):
        sentence = context.replace("BLANK", f"{tokenizer.decode(word_tokens[:k])}{tokenizer.mask_token}")
        ids = tokenizer(sentence)["input_ids"]
        scores.append(slow_logprobs(model, ids)[ids.index(tokenizer.mask_token_id), token])
    return scores


@pytest.mark.parametrize("architecture", MASKED)
def test_blanks_are_filled_from_left_to_right(architecture):
    model = model_of(architecture, "masked")
    requests = [
        BlankFill("My BLANK grows apples.", word) for word in ("neighbour", "engineering", "roses", "Müller", "he")
    ]
    requests += [BlankFill("BLANK people are late", "lazy"), BlankFill("He is BLANK and BLANK.", "tired")]
    answers = Engine(model).answer(requests)
    lengths = []
    for request in requests:
        expected = slow_blank(model, request.context, request.word)
        np.testing.assert_allclose(answers[request].logprobs, expected, **CLOSE)
        lengths.append(len(expected))
    assert max(lengths) > 1


def test_a_word_without_tokens_has_no_score():
    request = BlankFill("My BLANK grows apples.", "")
    answer = Engine(model_of("bert", "masked")).answer([request])[request]
    assert answer.mean is None


@pytest.mark.parametrize("architecture", MASKED)
def test_candidates_are_scored_at_one_mask(architecture):
    model = model_of(architecture, "masked")
    context = "The nurse said that BLANK was tired"
    words = ("she", "he", "they", "rhododendron")
    request = MaskCandidates(context, words)
    answer = Engine(model).answer([request])[request]
    ids = model.tokenizer(context.replace("BLANK", model.tokenizer.mask_token))["input_ids"]
    at = ids.index(model.tokenizer.mask_token_id)
    scores = slow_logprobs(model, ids)[at]
    for word, found in zip(words, answer.logprobs, strict=True):
        filled = model.tokenizer(context.replace("BLANK", word))["input_ids"]
        known = len(filled) == len(ids) and filled[at] != model.tokenizer.unk_token_id
        single = known and filled[:at] + filled[at + 1 :] == ids[:at] + ids[at + 1 :]
        assert (found is not None) == single
        if single:
            assert found == pytest.approx(scores[filled[at]], abs=1e-4)
    assert answer.logprobs[-1] is None


def test_candidates_by_hand():
    model = bert_by_hand()
    request = MaskCandidates("The BLANK said", ("nurse", "neighbour", "doctor", "nurse", "physician", ""))
    scores = Engine(model).answer([request])[request].logprobs
    everything = slow_logprobs(model, [2, 5, 4, 14, 3])[2]  # [CLS] the [MASK] said [SEP]
    assert (scores[1], scores[4], scores[5]) == (None, None, None)  # two pieces; an unknown word; nothing
    expected = [everything[6], everything[7], everything[6]]
    np.testing.assert_allclose([scores[0], scores[2], scores[3]], expected, **CLOSE)


def test_a_word_of_two_pieces_is_filled_piece_by_piece():
    model = bert_by_hand()
    request = BlankFill("the BLANK said", "neighbour")
    answer = Engine(model).answer([request])[request]
    first = slow_logprobs(model, [2, 5, 4, 14, 3])[2, 16]  # [CLS] the [MASK] said [SEP]
    second = slow_logprobs(model, [2, 5, 16, 4, 14, 3])[3, 17]  # [CLS] the neigh [MASK] said [SEP]
    np.testing.assert_allclose(answer.logprobs, [first, second], **CLOSE)
    assert answer.n_bytes == len("neighbour")


@pytest.mark.parametrize("architecture", MASKED)
def test_masked_scores_do_not_depend_on_the_batch_or_the_order(architecture):
    model = model_of(architecture, "masked")
    requests = [PseudoLogProb(text) for text in TEXTS] + [BlankFill("He is BLANK and angry.", "tired")]
    large = Engine(model, token_budget=100_000).answer(requests)
    single = Engine(model, token_budget=1).answer(requests)
    turned = Engine(model, token_budget=100_000).answer(requests[::-1])
    for request in requests:
        np.testing.assert_allclose(single[request].logprobs, large[request].logprobs, **CLOSE)
        np.testing.assert_array_equal(turned[request].logprobs, large[request].logprobs)


def test_bad_masked_requests_have_their_message():
    model = tiny_model("bert", "masked")
    engine = Engine(model)
    with pytest.raises(DataError, match="has no BLANK"):
        engine.answer([BlankFill("She is late", "she")])
    with pytest.raises(DataError, match="without another text"):
        engine.answer([PseudoLogProb("She is late", None, "shared")])
    with pytest.raises(ModelError, match="takes 128 tokens at most"):
        engine.answer([PseudoLogProb("she " * 130)])
    model.tokenizer.mask_token = None
    with pytest.raises(ModelError, match="no mask token"):
        Engine(model).answer([PseudoLogProb("She is late")])


def test_roberta_has_two_positions_less_than_its_config_says():
    model = model_of("roberta", "masked")
    assert model.network.config.max_position_embeddings == 130
    longest, longer = "漢" * 42, "漢" * 43  # three bytes each, all of them tokens, with <s> and </s>
    assert [len(model.tokenizer(text)["input_ids"]) for text in (longest, longer)] == [128, 131]
    request = PseudoLogProb(longest, longest[:-1], "changed")
    assert Engine(model).answer([request])[request].n_tokens == 3
    with pytest.raises(ModelError, match="takes 128 tokens at most"):
        Engine(model).answer([PseudoLogProb(longer)])


def test_shared_tokens_follow_the_order_in_which_the_reference_code_compares_a_pair() -> None:
    """Compared once, in one order, a pair shares equally many tokens on both sides."""
    from difflib import SequenceMatcher

    from fairsqueeze.engine.answer import Engine
    from fairsqueeze.engine.requests import PseudoLogProb
    from fairsqueeze.testing.tiny import tiny_model

    model = tiny_model("bert", "masked")
    one, two = "the cat sat the dog", "the dog sat the cat"
    ids = {text: model.tokenizer(text)["input_ids"] for text in (one, two)}

    def blocks(first: str, second: str) -> int:
        matched = SequenceMatcher(None, ids[first], ids[second]).get_matching_blocks()
        return sum(m.size for m in matched) - 2  # [CLS] and [SEP] match and are not scored

    asked = [PseudoLogProb(one, two, "shared", True), PseudoLogProb(two, one, "shared", False)]
    found = Engine(model).answer(asked)
    assert found[asked[0]].n_tokens == found[asked[1]].n_tokens == blocks(one, two)
