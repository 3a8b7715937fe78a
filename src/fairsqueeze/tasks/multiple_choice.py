"""Multiple choice: the option that a causal model finds likeliest after the question, summed and per character."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fairsqueeze.engine.requests import TextLogProb, TokenScores
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Frame, Statistic, task
from fairsqueeze.spec import content_id
from fairsqueeze.stimuli.questions import Question, four_options, hellaswag, lettered, yes_or_no

DIFFERS = (
    "lm-eval counts the first of tied options as the answer, which rewards a constant model by where the right option "
    "stands; here k tied best options count 1/k if the right one is among them. The start token always stands in front."
)


def choice(scores: np.ndarray, right: int) -> float:
    """1 if `scores[right]` alone is the highest, 1/k if it is one of k tied highest, else 0."""
    best = scores == scores.max()
    return float(best[right] / best.sum())


def _mean_of(column: str) -> Callable[[Frame, np.ndarray], np.ndarray]:
    def mean(frame: Frame, weights: np.ndarray) -> np.ndarray:
        return (weights @ frame[column]) / weights.sum(axis=1)

    return mean


def _statistics(chance: float) -> tuple[Statistic, ...]:
    return tuple(
        Statistic(name, _mean_of(name), 1.0, chance, chance, (0.0, 1.0), better="higher", by_axis=False)
        for name in ("accuracy", "accuracy_norm")
    )


def _items(name: str, file: str, read: Callable[[Path], list[Question]]) -> Callable[..., list[Item]]:
    def items(files: Mapping[str, Path]) -> list[Item]:
        """Questions about one passage, or with one wording and other options, are one cluster."""
        return [
            Item(f"{k}", name, "", cluster_of(q), {"prompt": q.prompt, "options": list(q.options), "right": q.right})
            for k, q in enumerate(read(files[file]))
        ]

    return items


def cluster_of(question: Question) -> str:
    """The same for questions about the same passage; without a passage, for the same question."""
    return content_id(question.passage or question.prompt)


def asks(item: Item) -> dict[str, TextLogProb]:
    """Each option, with a space in front, after the prompt."""
    options = item.content["options"]
    return {f"{k}": TextLogProb(f" {option}", prefix=item.content["prompt"]) for k, option in enumerate(options)}


def row_of(item: Item, answers: Mapping[str, TokenScores]) -> list[Row]:
    """One row: the options' log-probabilities (nats), their lengths, and whether the right one won."""
    options = item.content["options"]
    totals = np.array([answers[f"{k}"].total for k in range(len(options))])
    per_character = totals / np.array([len(option) for option in options])
    right = item.content["right"]
    answer = {
        "logprobs": totals.tolist(),
        "n_characters": [len(option) for option in options],
        "right": right,
        "accuracy": choice(totals, right),
        "accuracy_norm": choice(per_character, right),
    }
    return [item.row(answer=answer, n_tokens=sum(a.n_tokens for a in answers.values()))]


def _declare(
    name: str,
    title: str,
    data: str,
    file: str,
    read: Callable[[Path], list[Question]],
    *,
    n: int,
    chance: float,
    source: str,
) -> None:
    def score(item: Item, answers: Mapping[str, TokenScores]) -> list[Row]:
        return row_of(item, answers)

    score.__doc__ = (
        f"{title}: share of questions whose right option is the likeliest continuation of the question.\n\n"
        "`accuracy` compares summed log-probabilities, `accuracy_norm` log-probabilities per character of the option "
        "(lm-eval's acc and acc_norm). Chance is one over the number of options; a constant model ties and gets chance."
    )
    card = Card(control="none: a performance task", differs=DIFFERS, expected_n=n)
    task(
        f"multiple_choice.{name}",
        version=1,
        kinds={"causal"},
        data=(data,),
        source=source,
        items=_items(name, file, read),
        asks=asks,
        statistics=_statistics(chance),
        card=card,
    )(score)


def _plain(row: Mapping[str, Any]) -> str:
    return f"Question: {row['question']}\nAnswer:"


def _social(row: Mapping[str, Any]) -> str:
    return f"Q: {row['passage']} {row['question']}\nA:"


def _stem(row: Mapping[str, Any]) -> str:
    return str(row["question"]).strip()


_declare(
    "piqa", "PIQA, the 1,500 validation items at hand", "piqa", "PIQA_validation.jsonl",
    lambda path: lettered(path, _plain), n=1500, chance=1 / 2, source="Bisk et al. 2020, arXiv:1911.11641",
)  # fmt: skip
_declare(
    "siqa", "Social IQa validation", "siqa", "SIQA_test.jsonl",
    lambda path: lettered(path, _social), n=1954, chance=1 / 3, source="Sap et al. 2019, arXiv:1904.09728",
)  # fmt: skip
_declare(
    "boolq", "BoolQ dev", "boolq", "BoolQ_dev.jsonl",
    yes_or_no, n=3270, chance=1 / 2, source="Clark et al. 2019, arXiv:1905.10044",
)  # fmt: skip
_declare(
    "commonsenseqa", "CommonsenseQA validation, option texts rather than lm-eval's letters", "commonsenseqa",
    "CommonsenseQA_validation.jsonl", lambda path: lettered(path, _plain), n=1221, chance=1 / 5,
    source="Talmor et al. 2019, arXiv:1811.00937",
)  # fmt: skip
_declare(
    "openbookqa", "OpenBookQA test", "openbookqa", "OpenBookQA_test.jsonl",
    lambda path: lettered(path, _stem), n=500, chance=1 / 4, source="Mihaylov et al. 2018, arXiv:1809.02789",
)  # fmt: skip
_declare(
    "arc_easy", "ARC-Easy test, the four-option questions", "arc", "ARC-Easy_test.csv",
    four_options, n=2365, chance=1 / 4, source="Clark et al. 2018, arXiv:1803.05457",
)  # fmt: skip
_declare(
    "arc_challenge", "ARC-Challenge test, the four-option questions", "arc", "ARC-Challenge_test.csv",
    four_options, n=1165, chance=1 / 4, source="Clark et al. 2018, arXiv:1803.05457",
)  # fmt: skip
_declare(
    "hellaswag", "HellaSwag validation", "hellaswag", "hellaswag_validation.parquet",
    hellaswag, n=10042, chance=1 / 4, source="Zellers et al. 2019, arXiv:1905.07830",
)  # fmt: skip
