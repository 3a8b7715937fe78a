"""Sentence pairs: log-probabilities against loops over single tokens, and what is no pair."""

from __future__ import annotations

import json

import pytest
import torch

from fairsqueeze.compress.apply import compress
from fairsqueeze.compress.sentence_pairs import SentencePair, log_probability, sentence_pairs, unevenness
from fairsqueeze.errors import BadSetting, DataError, ModelError
from fairsqueeze.testing.tiny import tiny_model

MORE, LESS = "The nurse said that she was tired.", "The nurse said that he was tired."


@torch.no_grad()
def slow(model, text):
    """One pass a token: of a causal model behind its start token, of a masked one with this token masked."""
    tokenizer = model.tokenizer
    ids = tokenizer(text).input_ids
    total = 0.0
    if model.kind == "causal":
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False).input_ids]
        for place in range(1, len(ids)):
            logits = model.network(torch.tensor([ids[:place]])).logits[0, -1]
            total += float(logits.double().log_softmax(-1)[ids[place]])
        return total
    for place, token in enumerate(ids):
        if token not in tokenizer.all_special_ids:
            hidden = [*ids[:place], tokenizer.mask_token_id, *ids[place + 1 :]]
            logits = model.network(torch.tensor([hidden])).logits[0, place]
            total += float(logits.double().log_softmax(-1)[token])
    return total


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
def test_log_probabilities_are_summed_token_by_token(architecture):
    model = tiny_model(architecture)
    both = [slow(model, text) for text in (MORE, LESS)]
    for text, wanted in zip((MORE, LESS), both, strict=True):
        assert log_probability(model, text)(model.network) == pytest.approx(wanted, abs=1e-3)
    for pairs in ([SentencePair(MORE, LESS)], [SentencePair(LESS, MORE)]):
        assert unevenness(model, pairs)(model.network) == pytest.approx(abs(both[0] - both[1]), abs=2e-3)


def test_what_is_removed_is_told_with_bias_and_loss_before_and_after(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"more": MORE, "less": LESS}))
    model = tiny_model("gpt2")
    settings = {"pairs": str(path), "alpha": 0.25, "gamma": 0.25, "sequences": 2, "length": 16}
    result = compress(model, "heads.fairness", **settings)
    measured = result.provenance["steps"][-1]["measured"]
    assert sum(map(len, measured["removed"])) == 2
    pairs = [SentencePair(MORE, LESS)]
    assert measured["bias_before"] == pytest.approx(unevenness(model, pairs)(model.network))
    assert measured["bias_after"] == pytest.approx(unevenness(result, pairs)(result.network))
    assert measured["calibration"]["sequences"] == 2


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"more": "a"}', '{"more": "a", "less": 3}', '{"more": "a", "less": " "}']
)
def test_a_line_that_is_no_pair_is_named(line, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"more": MORE, "less": LESS}) + "\n" + line)
    with pytest.raises(DataError, match="line 2") as refused:
        sentence_pairs(str(path))
    assert '"more"' in refused.value.remedy


def test_pairs_and_models_that_can_not_be_judged_are_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n")
    with pytest.raises(DataError, match="no sentence pairs"):
        sentence_pairs(str(path))
    with pytest.raises(DataError, match="longer than"):
        log_probability(tiny_model("bert"), "The nurse was tired. " * 60)
    path.write_text(json.dumps({"more": MORE, "less": LESS}))
    for kind in ("encoder", "pair_classifier", "pair_regressor"):
        with pytest.raises(ModelError, match="no probability"):
            compress(tiny_model("bert", kind), "heads.fairness", pairs=str(path))
    with pytest.raises(BadSetting, match="more than all heads"):
        compress(tiny_model("bert"), "heads.fairness", pairs=str(path), alpha=0.5, gamma=0.6)
