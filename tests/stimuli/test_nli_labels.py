"""The order of the three labels is read from a model's config, and an order that can't be read is an error."""

from __future__ import annotations

import itertools

import pytest

from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.stimuli.nli_labels import LABELS, label_named, order_of


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_order_is_found(order: tuple[int, int, int]) -> None:
    names = [""] * 3
    for label, position in zip(LABELS, order, strict=True):
        names[position] = label.upper()
    assert order_of(tuple(names)) == order
    for between in (",", "/", " | "):
        assert order_of(("LABEL_0", "LABEL_1", "LABEL_2"), between.join(names)) == order


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), (2, 1, 0)),
        (("contradiction", "entailment", "neutral"), (1, 2, 0)),
        (("Entails", "undetermined", "contradicts"), (0, 1, 2)),
        (("E", "N", "C"), (0, 1, 2)),
    ],
)
def test_published_spellings(labels: tuple[str, ...], order: tuple[int, int, int]) -> None:
    assert order_of(labels) == order


@pytest.mark.parametrize(
    "labels",
    [
        ("LABEL_0", "LABEL_1", "LABEL_2"),
        ("entailment", "not_entailment"),
        ("entailment", "neutral", "neutral"),
        ("entailment", "neutral", "contradiction", "other"),
        ("negative", "neutral", "positive"),
        (),
    ],
)
def test_an_unreadable_order_is_an_error_with_the_way_out(labels: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=r"labels=entailment/neutral/contradiction"):
        order_of(labels)


def test_a_given_order_must_name_each_label_once() -> None:
    with pytest.raises(BadSetting, match="once each"):
        order_of(("LABEL_0", "LABEL_1", "LABEL_2"), "entailment,neutral")


def test_a_given_order_may_not_contradict_a_config_that_can_be_read() -> None:
    assert order_of(("entailment", "neutral", "contradiction"), "entailment,neutral,contradiction") == (0, 1, 2)
    with pytest.raises(BadSetting, match="config names its outputs"):
        order_of(("entailment", "neutral", "contradiction"), "contradiction,neutral,entailment")


def test_a_given_order_needs_three_outputs() -> None:
    with pytest.raises(ModelError, match="2 outputs"):
        order_of(("LABEL_0", "LABEL_1"), "entailment,neutral,contradiction")


def test_not_entailment_is_no_entailment() -> None:
    assert label_named("not_entailment") is None
    assert label_named("Entailment ") == "entailment"
