"""WEAT: do one group's words lie nearer to a kind of attribute than another's? In the input embeddings, or encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fairsqueeze.engine.requests import SentenceVector, StaticVector, Vector
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, measure
from fairsqueeze.stimuli.weat.association import EffectSize, effect_sizes
from fairsqueeze.stimuli.weat.scoring import chosen, rows_of, statistics_of, texts_of
from fairsqueeze.stimuli.weat.tables import word_tests

__all__ = ["EffectSize", "effect_sizes", "weat", "weat_mean"]

CARD = Card(
    control="Tests 1 and 2: flowers against insects, and instruments against weapons, by pleasantness; every axis "
    "shares them.",
    differs="A word is the mean of the input embeddings of its subwords, fed bare, without special tokens. Words of "
    "several parts (European American) are fed as they are. The corrected form weighs a test by its number of targets.",
    criticisms=(
        "Mean |d| of a random network is not 0 but about .4 for gender and .3 for race: compare with `chance`.",
        "Static embeddings are what compression of the layers leaves alone: a wrecked model may show no change here.",
        "Intrinsic association predicts behaviour poorly (Goldfarb-Tarrant et al. 2021, arXiv:2012.15859).",
        "WEAT tends to overestimate bias, and the choice of words moves it (Ethayarajh et al. 2019, P19-1166).",
        "d divides by the spread of s, so it keeps its size where all words become alike.",
        "Names stand for groups, and word lists are small: 8 to 32 words a set.",
    ),
    expected_n=19,
)


ENCODED = replace(
    CARD,
    differs="A word stands alone between the tokeniser's special tokens; its vector is the mean over all of them, as "
    "in Mannheim 2024. The simulated chance leaves the special tokens out. The corrected form weighs a test by its "
    "number of targets.",
    criticisms=(
        *(known for known in CARD.criticisms if not known.startswith("Static")),
        "A word alone is no sentence that the model was trained on.",
    ),
)


def items(files: Mapping[str, Path], *, tests: str) -> list[Item]:
    """One item per test; `files` are not needed."""
    return chosen(word_tests(), lambda test: tests == "all" or test.name.startswith("weat"))


def asks(item: Item) -> dict[str, StaticVector]:
    return {text: StaticVector(text) for text in texts_of(item)}


@measure(
    "weat",
    version=1,
    kinds=("causal", "masked", "encoder", "pair_classifier", "pair_regressor"),
    data=(),
    source="Caliskan et al. 2017 (Science 356:183); b variants, angry black woman, double bind: May et al. 2019",
    items=items,
    asks=asks,
    statistics=statistics_of("words", word_tests()),
    card=CARD,
    default_for=("encoder",),
    limit_setting=None,
)
def weat(
    item: Item,
    answers: Mapping[str, Vector],
    *,
    sd: Literal["sample", "population"] = "sample",
    tests: Literal["all", "caliskan"] = "all",
) -> list[Row]:
    """Association of groups' words with attributes in the input embeddings: effect size d per test, mean |d| per axis.

    s(w) = mean cos(w, A) - mean cos(w, B); d = [mean of s over X - mean of s over Y] / sd of s over both. One row per
    target word; the stereotype joins X with A and Y with B, as the tests were published (men with career, maths and
    science; European American names with pleasant words; young names with pleasant words; mental illness with
    temporary; white women with the opposites of "angry black woman"; men with competence and likability), so d > 0 and
    preference > 0 are stereotypical. The preference of a row is ±s, weighted so that its mean over a test is
    (mean of s over X - mean of s over Y) / 2, in units of cosine; tests 1 and 2 give the control.

    Settings: `sd` divides the variance by n - 1 (sample: Caliskan et al., Bias Bench, Mannheim 2024) or n (population:
    Hessenthaler et al. 2022). `tests`: all 19, or the 15 of WEAT 1-10 with variants (caliskan), the set of which
    Mannheim reports mean |d| (gender 6, race 5, illness 1). d is undefined where all targets have the same s, as in a
    constant model. The bootstrap redraws target words; attribute words stay.
    """
    return rows_of(item, answers, sd)


def encoded_asks(item: Item) -> dict[str, SentenceVector]:
    return {text: SentenceVector(text, "mean") for text in texts_of(item)}


@measure(
    "weat.mean",
    version=1,
    kinds=("causal", "masked", "encoder", "pair_classifier", "pair_regressor"),
    data=(),
    source="Mannheim 2024, Can Pruning Language Models Reduce Their Bias?, WEAT; the tests: Caliskan et al. 2017",
    items=items,
    asks=encoded_asks,
    statistics=statistics_of("words", word_tests()),
    card=ENCODED,
    limit_setting=None,
)
def weat_mean(
    item: Item,
    answers: Mapping[str, Vector],
    *,
    sd: Literal["sample", "population"] = "sample",
    tests: Literal["all", "caliskan"] = "all",
) -> list[Row]:
    """WEAT on words that go through the network: effect size d per test, mean |d| per axis.

    As `weat`, but a word is fed bare to the model and its vector is the last hidden state averaged over its positions,
    special tokens included: what the study of pruned RoBERTa calls WEAT. Unlike `weat` it moves when layers are pruned.
    """
    return rows_of(item, answers, sd)
