"""SEAT: the association tests on sentence vectors. One measure per pooling: `seat.cls`, `seat.mean`, `seat.last`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from fairsqueeze.engine.requests import SentenceVector, Vector
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Kind, measure
from fairsqueeze.stimuli.weat.scoring import chosen, rows_of, statistics_of, texts_of
from fairsqueeze.stimuli.weat.tables import DATA, Test, sentence_tests

Pooling = Literal["cls", "mean", "last"]

CARD = Card(
    control="Tests 1 and 2 as sentences: flowers against insects, and instruments against weapons, by pleasantness; "
    "every axis shares them.",
    differs="Vectors of the last layer, special tokens included in the mean as in Bias Bench. The studies' sets also "
    "hold four tests on bare words and eight on long passages; the passages are not in the package: without the data "
    f"set {DATA} they are rows with the status `needs the data set {DATA}`. The corrected form weighs a test by its "
    "number of targets.",
    criticisms=(
        "Mean |d| of a random network is not 0: about .53 for the 18 gender tests, .16 for Bias Bench's 6; compare "
        "with `chance`.",
        "Sentence vectors need not hold what cosine looks for, and results differ with the pooling (May et al. 2019).",
        "The template words dominate the vectors, and the religion tests put verbs and adjectives into noun templates "
        "('This is a cherish.').",
        "Intrinsic association predicts behaviour poorly (Goldfarb-Tarrant et al. 2021, arXiv:2012.15859).",
        "d divides by the spread of s, so it keeps its size where all vectors become alike.",
    ),
    expected_n=35,
)


def items(files: Mapping[str, Path], *, tests: str) -> list[Item]:
    """One item per test; double-bind passages come from `files` where they are there."""
    return chosen(sentence_tests(files), lambda test: tests == "all" or in_bias_bench(test))


def in_bias_bench(test: Test) -> bool:
    """Whether Meade et al. 2022 report the test: 6 of gender, 7 of race, 4 of religion, all as sentences."""
    about = test.axis in ("gender", "race", "religion")
    return about and test.name.startswith("sent-") and "heilman" not in test.name


def _asks(pooling: Pooling) -> Callable[[Item], dict[str, SentenceVector]]:
    return lambda item: {text: SentenceVector(text, pooling) for text in texts_of(item)}


def seat(
    item: Item,
    answers: Mapping[str, Vector],
    *,
    sd: Literal["sample", "population"] = "sample",
    tests: Literal["all", "bias_bench"] = "all",
) -> list[Row]:
    """Association of groups with attributes in sentence vectors: effect size d per test, mean |d| per axis.

    As `weat`, but every word stands in bleached sentences ("This is Katie.", "The daughter is there.") and a vector is
    the last hidden state of the sentence: at its first position (`seat.cls`), averaged over its positions, special
    tokens included (`seat.mean`), or at its last position (`seat.last`). One row per target sentence, its cluster being
    the word that the sentence is about. The stereotype joins X with A and Y with B, as the tests were published (as in
    `weat`; religion: Christianity with good), so d > 0 and preference > 0 are stereotypical.

    Settings: `sd` divides the variance by n - 1 (sample: Bias Bench, Mannheim 2024, Gonçalves & Strubell 2023) or n
    (population: Hessenthaler et al. 2022). `tests`: all 35 (by axis the sets of Mannheim 2024: gender 18, race 9,
    religion 4, illness 1; and age), or the 17 of Bias Bench (gender 6, race 7, religion 4); the controls always. d is
    undefined where all targets have the same s, as in a constant model. The bootstrap redraws target words with all
    their sentences; attributes stay.
    """
    return rows_of(item, answers, sd)


BIDIRECTIONAL: tuple[Kind, ...] = ("masked", "encoder", "pair_classifier", "pair_regressor")


def _declare(pooling: Pooling, kinds: tuple[Kind, ...], default_for: tuple[Kind, ...] = ()) -> None:
    measure(
        f"seat.{pooling}",
        version=1,
        kinds=kinds,
        data=(f"{DATA}?",),
        source="May et al. 2019 (NAACL, arXiv:1903.10561); religion: Meade et al. 2022 (arXiv:2110.08527)",
        items=items,
        asks=_asks(pooling),
        statistics=statistics_of("sentences", sentence_tests({})),
        card=CARD,
        default_for=default_for,
        limit_setting=None,
    )(seat)


_declare("cls", BIDIRECTIONAL)  # the first position of a causal model has seen nothing of the sentence
_declare("mean", ("causal", *BIDIRECTIONAL), default_for=("encoder", "pair_classifier", "pair_regressor"))
_declare("last", ("causal", *BIDIRECTIONAL))
