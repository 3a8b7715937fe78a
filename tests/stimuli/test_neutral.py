"""Neutral contexts: the requests made of them, and scores corrected for them."""

from __future__ import annotations

from fairsqueeze.engine.requests import BlankFill, TextLogProb
from fairsqueeze.stimuli.neutral import INITIAL, N_CONTEXTS, WITHIN, Neutral, contexts


def test_both_families_have_as_many_contexts_and_each_has_words_before_and_a_mark_after() -> None:
    assert len(WITHIN) == len(INITIAL) == N_CONTEXTS == 4
    assert contexts(True) is INITIAL
    assert contexts(False) is WITHIN
    assert all(context.before.endswith("\n") for context in INITIAL)
    assert all(context.before[-1].isalpha() for context in WITHIN)
    assert len({*WITHIN, *INITIAL}) == 8


def test_a_causal_model_is_asked_for_the_words_after_the_beginning() -> None:
    assert Neutral("It is", ".").after_which(" kelp", "first") == TextLogProb(" kelp", prefix="It is", bos="first")


def test_a_masked_model_is_asked_for_the_whole_sentence() -> None:
    assert Neutral("It is", ".").filled(" kelp") == "It is kelp."
    assert Neutral("It is", ".").blank("kelp") == BlankFill("It is BLANK.", "kelp")
    assert Neutral("So.\n", " is.").blank("kelp") == BlankFill("So.\nBLANK is.", "kelp")
