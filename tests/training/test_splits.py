"""The study's splits against a slow version of what its two scripts do with the `datasets` library."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairsqueeze.errors import BadSetting
from fairsqueeze.training.splits import halves, study_split, train_test_split

TRAIN = [f"t{k}" for k in range(203)]
VALIDATION = [f"v{k}" for k in range(31)]
MISMATCHED = [f"m{k}" for k in range(24)]


def their_split(rows: list[str], share: float, seed: int) -> dict[str, list[str]]:
    """`Dataset.train_test_split(test_size=share, shuffle=True, seed=seed)`, row by row."""
    n_test = math.ceil(share * len(rows))
    permutation = np.random.default_rng(seed).permutation(len(rows))
    return {
        "test": [rows[k] for k in permutation[:n_test]],
        "train": [rows[k] for k in permutation[n_test : n_test + len(rows) - n_test]],
    }


def slice_of(rows: list[str], text: str) -> list[str]:
    """`split='name[:50%]'` and the like: boundaries to the nearest whole number, negative ones from the end."""
    boundaries = [None if part == "" else round(int(part.rstrip("%")) * len(rows) / 100.0) for part in text.split(":")]
    start, stop = boundaries[0] or 0, len(rows) if boundaries[1] is None else boundaries[1]
    return rows[start if start >= 0 else len(rows) + start : stop]


@pytest.mark.parametrize("model_no", [2, 3])
@pytest.mark.parametrize(("task", "share"), [("mnli", 0.025), ("stsb", 0.2)])
def test_models_two_and_three_as_the_scripts_cut_them(task: str, share: float, model_no: int) -> None:
    mismatched = MISMATCHED if task == "mnli" else []
    outer = their_split(TRAIN + VALIDATION, share, model_no)
    inner = their_split(outer["test"], 0.5, model_no)
    found = study_split(task, model_no, TRAIN, VALIDATION, mismatched)
    assert found.train == outer["train"]
    assert found.validation == inner["train"]
    assert found.test == inner["test"]
    if task == "mnli":
        assert found.test_mismatched == slice_of(MISMATCHED, ":50%")
        assert found.validation_mismatched == slice_of(MISMATCHED, "-50%:")


@pytest.mark.parametrize("model_no", [2, 3])
def test_the_leak_can_be_repeated(model_no: int) -> None:
    repeated = study_split("mnli", model_no, TRAIN, VALIDATION, MISMATCHED, leak="repeat")
    assert repeated.test == repeated.validation
    assert repeated.test_mismatched == repeated.validation_mismatched == slice_of(MISMATCHED, "-50%:")
    assert repeated.train == study_split("mnli", model_no, TRAIN, VALIDATION, MISMATCHED).train
    assert study_split("stsb", model_no, TRAIN, VALIDATION, leak="repeat") == study_split(
        "stsb", model_no, TRAIN, VALIDATION
    )


@pytest.mark.parametrize("task", ["mnli", "stsb"])
@pytest.mark.parametrize("model_no", [1, 2, 3])
def test_repaired_splits_share_nothing_and_lose_nothing(task: str, model_no: int) -> None:
    mismatched = MISMATCHED if task == "mnli" else []
    found = study_split(task, model_no, TRAIN, VALIDATION, mismatched)
    matched = [*found.train, *found.validation, *found.test]
    assert sorted(matched) == sorted(TRAIN + VALIDATION)
    assert sorted([*found.validation_mismatched, *found.test_mismatched]) == sorted(mismatched)


def test_model_one_is_halved_and_the_middle_one_is_in_both_when_the_number_is_odd() -> None:
    odd = VALIDATION  # 31: [:50%] are 16 (15.5 to even), [-50%:] are 16
    repeated = study_split("mnli", 1, TRAIN, odd, MISMATCHED, leak="repeat")
    assert repeated.train == TRAIN
    assert repeated.validation == slice_of(odd, ":50%") == odd[:16]
    assert repeated.test == slice_of(odd, "-50%:") == odd[15:]
    assert repeated.validation_mismatched == MISMATCHED[:12]
    assert repeated.test_mismatched == MISMATCHED[12:]
    assert study_split("mnli", 1, TRAIN, odd, MISMATCHED).test == odd[16:]


def test_the_sizes_of_the_studys_data() -> None:
    assert [len(part) for part in train_test_split(392_702 + 9_815, 0.025, 2)] == [392_454, 10_063]
    assert [len(part) for part in train_test_split(10_063, 0.5, 2)] == [5_031, 5_032]
    assert [len(part) for part in train_test_split(5_749 + 1_500, 0.2, 3)] == [5_799, 1_450]
    assert halves(9_815) == (range(4_908), range(4_907, 9_815))
    assert halves(9_832) == (range(4_916), range(4_916, 9_832))


def test_the_permutation_is_numpys_and_does_not_change() -> None:
    rest, out = train_test_split(8, 0.25, 2)
    assert [*out.tolist(), *rest.tolist()] == np.random.default_rng(2).permutation(8).tolist()
    assert sorted([*out.tolist(), *rest.tolist()]) == list(range(8))


@pytest.mark.parametrize(
    ("task", "model_no", "mismatched", "leak"),
    [
        ("rte", 1, [], "repair"),
        ("stsb", 4, [], "repair"),
        ("stsb", 1, [], "ignore"),
        ("mnli", 1, [], "repair"),
        ("stsb", 1, MISMATCHED, "repair"),
    ],
)
def test_what_there_is_not_is_refused(task: str, model_no: int, mismatched: list[str], leak: str) -> None:
    with pytest.raises(BadSetting):
        study_split(task, model_no, TRAIN, VALIDATION, mismatched, leak=leak)
