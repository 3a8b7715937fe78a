"""Spans that differ between two sentences, and sentences with spans replaced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.stimuli.spans import differences, is_initial, replaced, skeleton, with_lead

SENTENCES = st.lists(st.sampled_from(["kelp", "moss", "the", "a", "reed", ",", "."]), min_size=1, max_size=8).map(
    " ".join
)


def spans_of(first: str, second: str) -> list[tuple[str, str]]:
    return [(first[slice(*d.first)], second[slice(*d.second)]) for d in differences(first, second)]


@pytest.mark.parametrize(
    ("first", "second", "spans"),
    [
        ("The kelp is green.", "The moss is green.", [("kelp", "moss")]),
        ("The kelp.", "The moss.", [("kelp", "moss")]),  # a shared mark is no part of the word
        ("Kelp's leaf", "Moss's leaf", [("Kelp", "Moss")]),
        ("The sea kelp is green.", "The moss is green.", [("sea kelp", "moss")]),
        ("The kelp is not green.", "The kelp is green.", [("not", "")]),
        ("The kelp is.", "The kelp is green.", [("", "green")]),
        ("Kelp is in its bed.", "Moss is in her bed.", [("Kelp", "Moss"), ("its", "her")]),
        ("The sea-kelp is", "The moss is", [("sea-kelp", "moss")]),
        ("same  words .", "same words.", []),
    ],
)
def test_differing_words_are_found_without_the_marks_around_them(
    first: str, second: str, spans: list[tuple[str, str]]
) -> None:
    assert spans_of(first, second) == spans


@given(SENTENCES, SENTENCES)
def test_putting_the_other_sentences_spans_in_gives_the_other_sentence(first: str, second: str) -> None:
    found = differences(first, second)
    built = replaced(first, [d.first for d in found], [second[slice(*d.second)] for d in found])
    assert built.replace(" ", "") == second.replace(" ", "")


def test_an_empty_span_is_filled_with_a_blank() -> None:
    (found,) = differences("The kelp is green.", "The kelp is very green.")
    assert replaced("The kelp is green.", [found.first], ["quite"]) == "The kelp is quite green."
    (found,) = differences("The kelp grows.", "The kelp grows well.")
    assert replaced("The kelp grows.", [found.first], ["fast"]) == "The kelp grows fast."


def test_skeleton_is_what_both_share_whatever_the_case_and_the_words_that_differ() -> None:
    assert skeleton("The kelp is wet.", "The moss is wet.") == "the _ is wet ."
    assert skeleton("THE reed is wet.", "THE fern is wet.") == "the _ is wet ."


def test_initial_means_that_no_word_stands_before() -> None:
    text = '"Kelp is kelp'
    assert is_initial(text, (1, 5))
    assert not is_initial(text, (9, 13))


def test_lead_is_one_blank_only_where_there_is_a_gap() -> None:
    assert with_lead("a  kelp", (3, 7)) == " kelp"
    assert with_lead("sea-kelp", (4, 8)) == "kelp"
    assert with_lead("a kelp", (2, 2)) == ""
