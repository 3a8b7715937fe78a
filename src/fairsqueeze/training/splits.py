"""The splits of the pruned-RoBERTa study by name: three models for each task, with its leak or without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np

from fairsqueeze.errors import BadSetting

Task = Literal["mnli", "stsb"]
Leak = Literal["repair", "repeat"]
T = TypeVar("T")

HELD_OUT = {"mnli": 0.025, "stsb": 0.2}
"""Share of train and validation together that models 2 and 3 hold out."""


@dataclass(frozen=True)
class StudySplit(Generic[T]):
    """Examples to train on, to select by (early stopping, structured pruning) and to report on.

    The mismatched parts are MNLI's, () for STS-B.
    """

    train: list[T]
    validation: list[T]
    test: list[T]
    validation_mismatched: list[T]
    test_mismatched: list[T]


def study_split(
    task: Task,
    model_no: int,
    train: Sequence[T],
    validation: Sequence[T],
    mismatched: Sequence[T] = (),
    *,
    leak: Leak = "repair",
) -> StudySplit[T]:
    """The split that one of the study's three models was trained, pruned and reported on.

    Model 1 has the official training set; the first half of the official validation set is its validation, the last
    its test set. Models 2 and 3 pool the two, hold out 2.5 % (MNLI) or 20 % (STS-B) with `train_test_split(seed=
    model_no)`, and cut that once more in half with the same seed. MNLI's mismatched items are always only halved.

    Args:
        task: "mnli" or "stsb".
        model_no: 1, 2 or 3.
        train, validation: GLUE's labelled sets, in their order on the hub; MNLI's validation is the matched one.
        mismatched: MNLI's validation_mismatched, for "mnli" only.
        leak: "repeat" reports on what the study reported on. Its loader hands out, as MNLI test sets of models 2 and 3,
            the very half that heads are selected by, and the mismatched half that the study elsewhere calls validation;
            and the halves of model 1's matched items share the one in the middle, since 9,815 is odd. "repair" takes
            the other half, and leaves what validation has out of the test set.

    Raises BadSetting for another task or model, and for mismatched items missing or in excess.

    Source:
        training/glue_data/save_data.py and evaluation/performance.py of the study's repository. `train_test_split` is
        that of the `datasets` library, rebuilt here without it: of `permutation = numpy.random.default_rng(seed)
        .permutation(n)` the first ceil(share × n) are "test", the rest "train", each in this order. `[:50%]` and
        `[-50%:]` round to the nearest whole number, halves to even.
    """
    if task not in HELD_OUT or model_no not in (1, 2, 3) or leak not in ("repair", "repeat"):
        raise BadSetting(
            f"There is no split {task!r}, model {model_no!r}, leak {leak!r}.",
            "Tasks are mnli and stsb, models 1, 2 and 3, leak is repair or repeat.",
        )
    if bool(len(mismatched)) != (task == "mnli"):
        raise BadSetting(
            f"{task} was given {len(mismatched)} mismatched items.", "MNLI needs them, STS-B does not have any."
        )
    first, last = halves(len(mismatched))
    if model_no == 1:
        learned = list(train)
        held, tested = _halved(validation, *halves(len(validation)), leak)
        return StudySplit(learned, held, tested, *_halved(mismatched, first, last, leak))
    pool = _Joined(train, validation)
    rest, out = train_test_split(len(pool), HELD_OUT[task], model_no)
    kept, other = (out[part] for part in train_test_split(len(out), 0.5, model_no))
    learned, held = [pool[k] for k in rest], [pool[k] for k in kept]
    if leak == "repeat" and task == "mnli":
        return StudySplit(learned, held, list(held), *([mismatched[k] for k in last] for _ in range(2)))
    return StudySplit(learned, held, [pool[k] for k in other], *_halved(mismatched, last, first, leak))


def _halved(items: Sequence[T], validation: range, test: range, leak: Leak) -> tuple[list[T], list[T]]:
    """(validation, test); repaired, the test half is without an item that both have."""
    tested = [k for k in test if leak == "repeat" or k not in validation]
    return [items[k] for k in validation], [items[k] for k in tested]


def train_test_split(n: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """("train", "test") as positions among `n` examples, as `datasets.Dataset.train_test_split(share, seed=seed)`."""
    permutation = np.random.default_rng(seed).permutation(n)
    tested = math.ceil(share * n)
    return permutation[tested:], permutation[:tested]


def halves(n: int) -> tuple[range, range]:
    """Positions in `[:50%]` and `[-50%:]` of `n` examples, as `datasets` rounds them: they may share the middle one."""
    half = round(50 * n / 100)
    return range(half), range(n - half, n)


class _Joined(Generic[T]):
    """Two sequences as one, without a copy."""

    def __init__(self, first: Sequence[T], second: Sequence[T]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, at: int) -> T:
        at = int(at)
        return self._first[at] if at < len(self._first) else self._second[at - len(self._first)]
