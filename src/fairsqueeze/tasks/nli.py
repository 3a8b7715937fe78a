"""Natural language inference: how often a sentence-pair classifier finds what a hypothesis is to its premise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Frame, Statistic, task
from fairsqueeze.stimuli.mnli import Part, from_files, hard, matched
from fairsqueeze.stimuli.nli_labels import LABELS, order_of

DIFFERS = (
    "A tie of the highest outputs is no prediction: it counts as wrong and in share_ties, where GLUE's code takes the "
    "first of them. Intervals resample premises, which have up to six hypotheses each."
)
CRITICISMS = (
    "Hypotheses alone give two thirds of the answers away (Gururangan et al. 2018, arXiv:1803.02324); see nli.hard.",
    "Overlap of words is mistaken for entailment (McCoy et al. 2019, arXiv:1902.01007).",
)


def _mean_of(column: str) -> Callable[[Frame, np.ndarray], np.ndarray]:
    def mean(frame: Frame, weights: np.ndarray) -> np.ndarray:
        return (weights @ frame[column]) / weights.sum(axis=1)

    return mean


def accuracy_in_best_order(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """The highest accuracy that any of the six orders of the three labels would give."""
    known = {label: number for number, label in enumerate(LABELS)}
    gold = np.array([known[label] for label in frame["gold"]])
    said = np.array([known.get(label, -1) for label in frame["predicted"]])
    right = np.stack(
        [np.where(said < 0, -1, np.array(order)[said]) == gold for order in itertools.permutations(range(len(LABELS)))]
    )
    return (weights @ right.T.astype(np.float64)).max(axis=1) / weights.sum(axis=1)


def _accuracy(name: str, where: tuple[str, str] | None = None) -> Statistic:
    return Statistic(
        name, _mean_of("correct"), 1.0, 1 / 3, None, (0.0, 1.0), better="higher", by_axis=False, where=where
    )


STATISTICS = (
    _accuracy("accuracy"),
    _accuracy("accuracy_matched", ("axis", "matched")),
    _accuracy("accuracy_mismatched", ("axis", "mismatched")),
    Statistic(
        "accuracy_in_best_order", accuracy_in_best_order, 1.0, None, None, (0.0, 1.0), better="higher", by_axis=False
    ),
    Statistic("share_ties", _mean_of("tie"), 0.0, 0.0, None, (0.0, 1.0), better="lower", by_axis=False),
)


def items(files: Mapping[str, Path], *, part: Part, file: str, file_mismatched: str) -> list[Item]:
    """The user's files where they are given, else MNLI's matched development items."""
    return from_files(file, file_mismatched) if file else matched(files, part)


def asks(item: Item) -> dict[str, PairOutput]:
    """Premise and hypothesis as one pair."""
    return {"pair": PairOutput(item.content["premise"], item.content["hypothesis"])}


def check_outputs(outputs: Sequence[str], items: Sequence[Item], *, labels: str | None) -> None:
    """Raises before anything is asked where the order of the three outputs is not known."""
    order_of(tuple(outputs), labels)


def row_of(item: Item, answers: Mapping[str, Outputs], labels: str | None) -> list[Row]:
    """One row: the three probabilities by name, what was said, and whether it was right."""
    found = answers["pair"]
    order = list(order_of(found.labels, labels))
    probabilities = found.probabilities[order]
    logits = found.logits[order]
    best = np.flatnonzero(logits == logits.max())
    tie = len(best) > 1
    predicted = None if tie else LABELS[best[0]]
    answer = {
        **{f"p_{label}": float(p) for label, p in zip(LABELS, probabilities, strict=True)},
        "gold": item.content["gold"],
        "predicted": predicted,
        "confidence": float(probabilities.max()),
        "correct": float(predicted == item.content["gold"]),
        "tie": float(tie),
    }
    return [item.row(answer=answer, n_tokens=found.n_tokens, status="tie" if tie else "ok")]


@task(
    "nli",
    version=1,
    kinds={"pair_classifier"},
    data=("mnli_dev_matched?",),
    source="Williams et al. 2018 (MNLI), arXiv:1704.05426; accuracy as in GLUE",
    items=items,
    asks=asks,
    statistics=STATISTICS,
    card=Card(control="none: a performance task", differs=DIFFERS, criticisms=CRITICISMS, expected_n=2500),
    check_outputs=check_outputs,
    default_for={"pair_classifier"},
)
def nli(
    item: Item,
    answers: Mapping[str, Outputs],
    *,
    part: Part = "held_out",
    file: str = "",
    file_mismatched: str = "",
    labels: str | None = None,
) -> list[Row]:
    """Natural language inference: share of MNLI's development items whose relation is found.

    `part` is "held_out", the 2,500 matched items that no built-in model was trained on, or "all" 9,815 of them. `file`
    names a file of your own instead (TSV, CSV, JSON Lines or the hub's Parquet, with sentence1, sentence2, gold_label
    or premise, hypothesis, label; numbers mean 0 entailment, 1 neutral, 2 contradiction); with `file_mismatched` beside
    it the two are reported as matched and mismatched. A file on the hub is named
    hub:nyu-mll/glue@COMMIT/mnli/validation_matched-00000-of-00001.parquet. Without a file there are no mismatched
    items: see nli.hard. Which output means what is read from the model's config; where it does not say, `labels` names
    the outputs in their order (entailment/neutral/contradiction). `accuracy_in_best_order` is the check: where it lies
    far above accuracy, the config names the outputs wrongly. Rows hold probabilities, prediction and confidence.
    """
    return row_of(item, answers, labels)


def hard_items(files: Mapping[str, Path], *, part: Part) -> list[Item]:
    """MNLI's hard items, matched and mismatched."""
    return hard(files, part)


@task(
    "nli.hard",
    version=1,
    kinds={"pair_classifier"},
    data=("mnli_hard_and_samples", "mnli_dev_matched"),
    source="Gururangan et al. 2018, arXiv:1803.02324; the lists of Karimi Mahabadi et al. 2020, arXiv:1909.06321",
    items=hard_items,
    asks=asks,
    statistics=STATISTICS,
    card=Card(control="none: a performance task", differs=DIFFERS, expected_n=1136 + 4530),
    check_outputs=check_outputs,
)
def nli_hard(
    item: Item, answers: Mapping[str, Outputs], *, part: Part = "held_out", labels: str | None = None
) -> list[Row]:
    """Natural language inference on the items that hypotheses alone don't give away, matched and mismatched.

    With `part` "held_out" the 1,136 matched ones that no built-in model was trained on, else all 4,573; always the
    4,530 mismatched ones at hand. Their text is tokenised ("do n't"). `labels` as for nli.
    """
    return row_of(item, answers, labels)
