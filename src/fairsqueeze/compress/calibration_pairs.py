"""Labelled pairs that classifiers and regressors are judged and trained by: a data set by its name, or a file."""

from __future__ import annotations

from collections.abc import Sequence

from fairsqueeze.assets.locate import locate
from fairsqueeze.compress.surgery_calibration import LabelledPair, labelled_pairs
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.model import Model
from fairsqueeze.stimuli.labelled import Example
from fairsqueeze.stimuli.mnli import matched
from fairsqueeze.stimuli.similarity import sts_benchmark
from fairsqueeze.training.pairs import pairs_for

PAIRS = {"mnli": "mnli_dev_matched", "stsb": "stsb"}
"""The data set that each name stands for; none of the pairs is one that a built-in task scores a built-in model on."""


def calibration_pairs(model: Model, labelled: str) -> Sequence[LabelledPair]:
    """The pairs that `labelled` means, with labels as this model counts them.

    Args:
        model: a pair classifier or regressor.
        labelled: "mnli", the matched development items that the task `nli` does not hold out, nor shares a premise
            with; "stsb", the training set of STS-B; or the path of a JSON Lines file, see `labelled_pairs`, whose class
            numbers are taken as they stand.

    Raises BadSetting where `labelled` is "" or names data whose labels are none of the model's, AssetError where named
    data is not on this machine, DataError for a file that can't be read.
    """
    if not labelled:
        raise BadSetting(
            f"labelled is missing: {model.reference} is a classifier or regressor, which needs labelled pairs.",
            f"Give {' or '.join(PAIRS)}, or the path of a JSON Lines file of first, second and label.",
        )
    if labelled not in PAIRS:
        return labelled_pairs(labelled)
    pairs = pairs_for(model, _named(labelled))
    return [LabelledPair(pair.first, pair.second, pair.label) for pair in pairs]


def _named(name: str) -> list[Example]:
    files = locate(PAIRS[name]).files
    if name == "stsb":
        found = [item.content for item in sts_benchmark(files, "train")]
        return [Example(c["first"], c["second"], str(c["gold"])) for c in found]
    premises = {item.content["premise"] for item in matched(files, "held_out")}
    left = [item.content for item in matched(files, "all") if item.content["premise"] not in premises]
    return [Example(c["premise"], c["hypothesis"], c["gold"]) for c in left]
