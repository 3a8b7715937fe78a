"""SEAT: association tests on sentence vectors (May et al. 2019), in three poolings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from fairsqueeze.engine.requests import SentenceVector, Vector
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, measure
from fairsqueeze.stimuli.weat.scoring import Deviation, items_of, rows_of, statistics_of, texts_of
from fairsqueeze.stimuli.weat.tables import sentence_tests

KINDS = {"causal", "masked", "encoder", "pair_classifier", "pair_regressor"}
CARD = Card(
    control="tests 1 and 2: flowers against insects, instruments against weapons, with pleasant and unpleasant",
    differs="Eight double-bind tests are long passages that the package does not ship; without the data set weat_seat "
    "they are recorded as undefined. A test whose associations do not vary (constant model) is undefined, not 0.",
    criticisms=(
        "Mean |d| of a random network is not 0: .28 to .66 over 18 gender tests (papers.md 9); compare with chance.",
        "Fixed templates: results change with paraphrase (Seshadri et al. 2022; Selvam et al. 2023).",
        "May et al. 2019 themselves: positive results show bias, negative ones do not show its absence.",
        "Metrics on embeddings depend on arbitrary choices (Delobelle et al. 2022: avoid them).",
    ),
    expected_n=35,
)


def items(files: Mapping[str, Path]) -> list[Item]:
    """One item per sentence test; double-bind passages only where the data set `weat_seat` is located."""
    return items_of(sentence_tests(files))


def _asks(pooling: Literal["cls", "mean", "last"]) -> Callable[[Item], dict[str, SentenceVector]]:
    def asks(item: Item) -> dict[str, SentenceVector]:
        return {name: SentenceVector(text, pooling) for name, text in texts_of(item).items()}

    return asks


def _declare(pooling: Literal["cls", "mean", "last"], where: str, kinds: set[str], users: str) -> None:
    def score(item: Item, answers: Mapping[str, Vector], *, sd: Deviation = "sample") -> list[Row]:
        return rows_of(item, answers, sd)

    score.__doc__ = (
        f"Sentence association: mean |effect size| over the tests of an axis, on the last hidden state {where}.\n\n"
        "The arithmetic is that of `weat`, with sentences in the place of words; 18 gender, 9 race, 4 religion, "
        f"1 illness and 1 age tests, and the two control tests. Used so by {users}."
    )
    measure(
        f"seat.{pooling}",
        version=1,
        kinds=kinds,
        data=("weat_seat?",),
        source="May et al. 2019, NAACL, arXiv:1903.10561; religion tests: Meade et al. 2022, arXiv:2110.08527",
        items=items,
        asks=_asks(pooling),
        statistics=statistics_of("sentences", [test.name for test in sentence_tests({})]),
        card=CARD,
        limit_setting=None,
    )(score)


_declare("cls", "at the first position", KINDS - {"causal"}, "May et al. 2019 (BERT) and Hessenthaler et al. 2022")
_declare(
    "mean", "averaged over all positions", KINDS, "Bias Bench, Goncalves and Strubell 2023, and the Mannheim study"
)
_declare("last", "at the last position", KINDS, "May et al. 2019 for GPT")
