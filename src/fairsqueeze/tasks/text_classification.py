"""Classification of sentences and sentence pairs: accuracy, F1 and Matthews' correlation on GLUE-style files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fairsqueeze.engine.requests import Outputs, PairOutput
from fairsqueeze.errors import DataError
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Frame, Statistic, task
from fairsqueeze.stimuli.class_labels import class_order
from fairsqueeze.stimuli.labelled import Example, malformed, read_examples, read_without_header

DIFFERS = (
    "A tie of the highest outputs is no prediction: it counts as wrong, and as a class of its own that nothing belongs "
    "to. Undefined figures are null, where scikit-learn gives 0: Matthews' correlation of a constant prediction, F1 of "
    "a class that neither occurs nor is predicted (macro F1 is the mean over the others)."
)


def confusion(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """How often class g was said to be p: (r, k, k + 1), where the last p is "no prediction" (a tie)."""
    k = int(frame["n_classes"][0])
    cell = frame["gold_class"].astype(int) * (k + 1) + np.nan_to_num(frame["predicted_class"], nan=k).astype(int)
    return (weights @ np.eye(k * (k + 1))[cell]).reshape(len(weights), k, k + 1)


def accuracy(frame: Frame, weights: np.ndarray) -> np.ndarray:
    return (weights @ frame["correct"]) / weights.sum(axis=1)


def share_ties(frame: Frame, weights: np.ndarray) -> np.ndarray:
    return (weights @ frame["tie"]) / weights.sum(axis=1)


def f1_by_class(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """F1 = 2 TP / (2 TP + FP + FN) of every class, (r, k); NaN where the class neither occurs nor is predicted."""
    counts = confusion(frame, weights)
    k = counts.shape[1]
    true = counts[:, range(k), range(k)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * true / (counts.sum(axis=2) + counts.sum(axis=1)[:, :k])


def f1(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """F1 of the second class where there are two, as GLUE reports it; NaN for more."""
    by_class = f1_by_class(frame, weights)
    return by_class[:, 1] if by_class.shape[1] == 2 else np.full(len(weights), np.nan)


def macro_f1(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """Mean of F1 over the classes that occur or are predicted."""
    by_class = f1_by_class(frame, weights)
    defined = ~np.isnan(by_class)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(defined, by_class, 0).sum(axis=1) / defined.sum(axis=1)


def matthews(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """Matthews' correlation, of any number of classes (Gorodkin 2004); NaN where gold or prediction is constant."""
    counts = confusion(frame, weights)
    k = counts.shape[1]
    total = counts.sum(axis=(1, 2))
    gold = np.concatenate([counts.sum(axis=2), np.zeros((len(weights), 1))], axis=1)
    said = counts.sum(axis=1)
    right = counts[:, range(k), range(k)].sum(axis=1)
    covariance = right * total - (gold * said).sum(axis=1)
    spread = (total**2 - (said**2).sum(axis=1)) * (total**2 - (gold**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-9, covariance / np.sqrt(np.maximum(spread, 0)), np.nan)


def _statistics(n_classes: int | None) -> tuple[Statistic, ...]:
    chance = 1 / n_classes if n_classes else None
    higher = (
        ("accuracy", accuracy, chance, (0.0, 1.0)),
        ("f1", f1, None, (0.0, 1.0)),
        ("macro_f1", macro_f1, None, (0.0, 1.0)),
        ("matthews", matthews, 0.0, (-1.0, 1.0)),
    )
    ties = Statistic("share_ties", share_ties, 0.0, 0.0, None, (0.0, 1.0), better="lower", by_axis=False)
    return (
        *(
            Statistic(name, compute, 1.0, at, None, limits, better="higher", by_axis=False)
            for name, compute, at, limits in higher
        ),
        ties,
    )


def asks(item: Item) -> dict[str, PairOutput]:
    """The text, or both texts as one pair."""
    return {"text": PairOutput(item.content["first"], item.content["second"] or None)}


def check_outputs(outputs: Sequence[str], items: Sequence[Item], *, labels: str | None) -> None:
    """Raises before anything is asked where the model's outputs can't be matched with the classes of the data."""
    class_order(outputs, items[0].content["classes"], labels)


def row_of(item: Item, answers: Mapping[str, Outputs], labels: str | None) -> list[Row]:
    """One row: the probability of every class, in the order of `classes`, what was said, and whether it was right."""
    found = answers["text"]
    classes = item.content["classes"]
    order = list(class_order(found.labels, classes, labels))
    logits = found.logits[order]
    best = np.flatnonzero(logits == logits.max())
    tie = len(best) > 1
    gold = classes.index(item.content["gold"])
    answer = {
        "probabilities": found.probabilities[order].tolist(),
        "gold": item.content["gold"],
        "gold_class": gold,
        "predicted_class": None if tie else int(best[0]),
        "n_classes": len(classes),
        "correct": float(not tie and best[0] == gold),
        "tie": float(tie),
    }
    return [item.row(answer=answer, n_tokens=found.n_tokens, status="tie" if tie else "ok")]


def items_of(path: Path, examples: Sequence[Example], axis: str, names: Mapping[str, str]) -> list[Item]:
    """Examples as items; `names` says how the file writes each class, in the order of the classes."""
    classes = list(dict.fromkeys(names.values()))
    found = []
    for number, example in enumerate(examples, start=1):
        if example.label not in names:
            raise malformed(path, number, f"its label {example.label!r} is none of {', '.join(names)}")
        gold = names[example.label]
        content = {"first": example.first, "second": example.second, "gold": gold, "classes": classes}
        found.append(Item(f"{axis}:{number}", axis, gold, f"{axis}:{number}", content))
    return found


def _items(
    files: Sequence[str], classes: Sequence[str], numbered: bool, read: Callable[[Path], list[Example]]
) -> Callable[..., list[Item]]:
    names = {str(k) if numbered else label: label for k, label in enumerate(classes)}

    def items(located: Mapping[str, Path]) -> list[Item]:
        found = []
        for file in files:
            axis = file.rsplit("/", 1)[-1].split(".")[0]
            found += items_of(located[file], read(located[file]), axis, names)
        return found

    return items


def _cola(path: Path) -> list[Example]:
    return read_without_header(path, ("source", "label", "mark", "sentence"))


def _declare(
    name: str,
    title: str,
    data: str,
    files: Sequence[str],
    classes: Sequence[str],
    *,
    n: int,
    source: str,
    numbered: bool = True,
    read: Callable[[Path], list[Example]] = read_examples,
) -> None:
    def score(item: Item, answers: Mapping[str, Outputs], *, labels: str | None = None) -> list[Row]:
        return row_of(item, answers, labels)

    score.__doc__ = (
        f"{title}: accuracy, F1, macro F1 and Matthews' correlation of a classifier.\n\n"
        f"Classes: {' and '.join(classes)}; F1 is that of {classes[1]}. Outputs are matched with them by their names "
        f"in the model's config; where it has others, `labels` names the classes in the order of the outputs "
        f"({'/'.join(classes)})."
    )
    task(
        f"text_classification.{name}",
        version=1,
        kinds={"pair_classifier"},
        data=(data,),
        source=source,
        items=_items(files, classes, numbered, read),
        asks=asks,
        statistics=_statistics(len(classes)),
        card=Card(control="none: a performance task", differs=DIFFERS, expected_n=n),
        check_outputs=check_outputs,
    )(score)


_RTE = ("not_entailment", "entailment")
_declare(
    "rte", "Recognising textual entailment, GLUE's development set", "rte_glue", ("dev.tsv",), _RTE,
    n=277, numbered=False, source="Wang et al. 2019 (GLUE), arXiv:1804.07461",
)  # fmt: skip
_declare(
    "wnli", "Winograd schemas as inference, GLUE's development set", "wnli_glue", ("dev.tsv",), _RTE,
    n=71, source="Wang et al. 2019 (GLUE), arXiv:1804.07461",
)  # fmt: skip
_declare(
    "qnli", "Whether a sentence answers a question, GLUE's development set", "qnli_glue", ("dev.tsv",), _RTE,
    n=5463, numbered=False, source="Wang et al. 2019 (GLUE), arXiv:1804.07461",
)  # fmt: skip
_declare(
    "sst2", "Sentiment of film reviews, development set", "sst2_glue", ("dev.tsv",), ("negative", "positive"),
    n=872, source="Socher et al. 2013; Wang et al. 2019 (GLUE), arXiv:1804.07461",
)  # fmt: skip
_declare(
    "cola", "Acceptability of sentences, both development sets", "cola",
    ("in_domain_dev.tsv", "out_of_domain_dev.tsv"), ("unacceptable", "acceptable"),
    n=1043, source="Warstadt et al. 2019, arXiv:1805.12471", read=_cola,
)  # fmt: skip
_declare(
    "mrpc", "Paraphrases, the test set", "mrpc", ("msr_paraphrase_test.txt",), ("not_equivalent", "equivalent"),
    n=1725, source="Dolan and Brockett 2005; Wang et al. 2019 (GLUE), arXiv:1804.07461",
)  # fmt: skip


def file_items(files: Mapping[str, Path], *, file: str) -> list[Item]:
    """The examples of a user's file; classes are its labels in alphabetical order."""
    path = Path(file).expanduser()
    examples = read_examples(path)
    classes = sorted({example.label for example in examples})
    if len(classes) < 2:
        raise DataError(f"{path} has one class only: {classes[0]}.", "Give a file with labels to tell apart.")
    return items_of(path, examples, "file", {label: label for label in classes})


@task(
    "text_classification.file",
    version=1,
    kinds={"pair_classifier"},
    data=(),
    source="Accuracy, F1 and Matthews' correlation as in GLUE: Wang et al. 2019, arXiv:1804.07461",
    items=file_items,
    asks=asks,
    statistics=_statistics(None),
    card=Card(control="none: a performance task", differs=DIFFERS),
    check_outputs=check_outputs,
)
def text_classification_file(
    item: Item, answers: Mapping[str, Outputs], *, file: str, labels: str | None = None
) -> list[Row]:
    """Classification of the sentences or pairs in a file of your own: accuracy, F1, macro F1, Matthews' correlation.

    `file` is TSV, CSV, JSON Lines or Parquet with sentence1 and sentence2 (or sentence, or others that GLUE uses) and
    label, or one on the hub: hub:nyu-mll/glue@COMMIT/rte/validation-00000-of-00001.parquet. Classes are its labels in
    alphabetical order; of two, F1 is that of the second. Outputs are matched with them by their names in the model's
    config; where it has others, `labels` names the classes in the order of the outputs, such as labels=0/1.
    """
    return row_of(item, answers, labels)
