"""Semantic textual similarity: how well a regressor's outputs go along with people's judgement of two sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Frame, Statistic, task
from fairsqueeze.stats.ranks import pearson_matrices, spearman_matrices
from fairsqueeze.stimuli.similarity import from_file, sts_benchmark

Part = Literal["train", "dev", "test"]
CONSTANT = 1e-6
"""Outputs that all lie within this of each other are one constant, whose correlation with anything is undefined."""


def pearson(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """Exact for any weights: the same as of the rows repeated."""
    return _correlation(pearson_matrices, frame, weights)


def spearman(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """Ranks are taken anew in every replicate, ties by their average, as scipy does with the repeated rows."""
    return _correlation(spearman_matrices, frame, weights)


def _correlation(
    matrices: Callable[[np.ndarray, np.ndarray], np.ndarray], frame: Frame, weights: np.ndarray
) -> np.ndarray:
    predicted = frame["predicted"]
    if np.ptp(predicted) <= CONSTANT:
        return np.full(len(weights), np.nan)
    return matrices(np.stack([predicted, frame["gold"]], axis=1), weights)[:, 0, 1]


STATISTICS = tuple(
    Statistic(name, compute, 1.0, 0.0, None, (-1.0, 1.0), better="higher", by_axis=False)
    for name, compute in (("pearson", pearson), ("spearman", spearman))
)


def items(files: Mapping[str, Path], *, part: Part, file: str) -> list[Item]:
    """The user's file where it is given, else a part of STS-B; axis is the genre."""
    return from_file(file) if file else sts_benchmark(files, part)


def asks(item: Item) -> dict[str, PairOutput]:
    """Both sentences as one pair."""
    return {"pair": PairOutput(item.content["first"], item.content["second"])}


@task(
    "sts",
    version=1,
    kinds={"pair_regressor"},
    data=("stsb?",),
    source="Cer et al. 2017, SemEval Task 1 (STS-B), arXiv:1708.00055; Pearson and Spearman as in GLUE",
    items=items,
    asks=asks,
    statistics=STATISTICS,
    card=Card(
        control="none: a performance task",
        differs=(
            "The labelled test set is the default, which GLUE hides; GLUE reports the development set. A constant "
            "output has no correlation (null), where code based on ranks of equal numbers may give 0 or NaN."
        ),
        criticisms=("A correlation is blind to scale and offset: outputs need not lie between 0 and 5.",),
        expected_n=1379,
    ),
    default_for={"pair_regressor"},
)
def sts(item: Item, answers: Mapping[str, Outputs], *, part: Part = "test", file: str = "") -> list[Row]:
    """Semantic textual similarity: correlation of a regressor's output with human scores from 0 to 5 on STS-B.

    `part` is "test" (1,379 pairs), "dev" (1,500) or "train" (5,749); `file` names a file of your own instead (TSV, CSV,
    JSON Lines or Parquet, with sentence1, sentence2 and score or label; or one on the hub, hub:org/name@COMMIT/path).
    Rows hold the raw output, neither clipped nor scaled, and the human score. Correlations are null where all outputs
    are the same.
    """
    found = answers["pair"]
    answer = {"predicted": float(found.logits[0]), "gold": item.content["gold"]}
    return [item.row(answer=answer, n_tokens=found.n_tokens)]
