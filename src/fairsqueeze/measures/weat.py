"""WEAT: association tests on words' static input embeddings (Caliskan et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fairsqueeze.engine.requests import StaticVector, Vector
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, measure
from fairsqueeze.stimuli.weat.scoring import Deviation, items_of, rows_of, statistics_of, texts_of
from fairsqueeze.stimuli.weat.tables import word_tests


def items(files: Mapping[str, Path]) -> list[Item]:
    """One item per word test."""
    return items_of(word_tests())


def asks(item: Item) -> dict[str, StaticVector]:
    """The static vector of each word."""
    return {name: StaticVector(text) for name, text in texts_of(item).items()}


@measure(
    "weat",
    version=1,
    kinds={"causal", "masked", "encoder", "pair_classifier", "pair_regressor"},
    data=(),
    source="Caliskan et al. 2017, Science 356:183; b variants, angry black woman and double bind: May et al. 2019",
    items=items,
    asks=asks,
    statistics=statistics_of("words", [test.name for test in word_tests()]),
    card=Card(
        control="tests 1 and 2: flowers against insects, instruments against weapons, with pleasant and unpleasant",
        differs="Words are fed bare and a word's vector is the mean of its subwords' input embeddings; "
        "a test whose associations do not vary (constant model) is undefined, not 0.",
        criticisms=(
            "Mean |d| of a random network is not 0: about .4 over the gender tests (papers.md 9); compare with chance.",
            "Intrinsic measures need not agree with bias in use (Goldfarb-Tarrant et al. 2021; Cao et al. 2022).",
            "Metrics on embeddings depend on arbitrary choices (Delobelle et al. 2022: avoid them).",
        ),
        expected_n=19,
    ),
    limit_setting=None,
)
def weat(item: Item, answers: Mapping[str, Vector], *, sd: Deviation = "sample") -> list[Row]:
    """Word association: mean |effect size| over the tests of an axis, on input embeddings.

    s(w) is the mean cosine of word w with the attributes A minus that with B; d = (mean of s over X - mean over Y) /
    standard deviation of s over both; > 0 where X goes with A, as the stereotype says. `sd` sample divides by n - 1
    (Caliskan et al., Bias Bench), population by n (Hessenthaler et al. 2022). Records hold s of every target word.
    """
    return rows_of(item, answers, sd)
