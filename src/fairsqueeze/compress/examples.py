"""Examples that a model is judged by while it is compressed: their losses, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from fairsqueeze.compress.calibration import calibrate
from fairsqueeze.compress.calibration_pairs import calibration_pairs
from fairsqueeze.compress.calibration_text import PACKAGE
from fairsqueeze.compress.heads_importance import Loss, language_losses, pair_losses
from fairsqueeze.compress.surgery_calibration import LabelledPair, encoded_pair
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.models.model import Model
from fairsqueeze.training.pairs import pairs_sha256

PAIRED = ("pair_classifier", "pair_regressor")
REQUIRES = (
    "a loss: a language model (causal or masked), judged by a text, or a classifier or regressor, judged by labelled "
    "pairs; encoders are refused"
)
"""What methods that learn from examples ask of a model."""


@dataclass(frozen=True)
class Examples:
    """What a model is judged by.

    Args:
        losses: one an example.
        source: what provenance tells: `text` or `labelled`, its `sha256`, how many `sequences` there are, and the
            `length` of the longest in tokens.
        pairs: of classifiers and regressors, as many as losses; of language models none.
    """

    losses: list[Loss]
    source: dict[str, Any]
    pairs: list[LabelledPair] = field(default_factory=list)


def examples_for(
    model: Model, *, sequences: int, length: int, seed: int, text: str = "", labelled: str = ""
) -> Examples:
    """The examples that a model of this kind is judged by.

    Args:
        model: causal and masked: language modelling on `sequences` pieces of a text. Classifiers and regressors: cross
            entropy, or squared error, on the first `sequences` labelled pairs in a seeded order.
        sequences, seed: how many, and of the draw; fewer where there are fewer pairs.
        length: tokens of a piece, most tokens of a pair.
        text: see `token_sequences`; for language models only.
        labelled: "mnli", "stsb" or a file, see `calibration_pairs`; for classifiers and regressors, which need it.

    Raises:
        BadSetting: a classifier without `labelled`, or a setting that this kind of model does not use.
        ModelError: an encoder, which has no loss.
        DataError: a file that can't be read.
    """
    check_used(model, text=text, labelled=labelled)
    if model.kind in PAIRED:
        pairs = calibration_pairs(model, labelled)
        order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed)).tolist()
        chosen = [pairs[i] for i in order[:sequences]]
        longest = max(encoded_pair(model, pair, length)["input_ids"].shape[1] for pair in chosen)
        source = {"labelled": labelled, "sha256": pairs_sha256(pairs), "sequences": len(chosen), "length": longest}
        return Examples(pair_losses(model, chosen, length), source, chosen)
    pieces = calibrate(model, sequences=sequences, length=length, calibration=text or PACKAGE, seed=seed)
    return Examples(language_losses(model, pieces.sequences, seed), pieces.to_json())


def check_used(model: Model, *, text: str, labelled: str) -> None:
    """BadSetting for a setting that this kind of model does not use, ModelError for an encoder."""
    if model.kind == "encoder":
        raise ModelError(
            f"{model.reference} is an encoder: without an output it has no loss.",
            "Load it as masked, or use heads.magnitude or heads.random.",
        )
    if model.kind in PAIRED and text:
        raise BadSetting(
            f"text is {text!r}, which {model.reference} does not use: it is judged by labelled pairs.",
            "Leave text out and give labelled.",
        )
    if model.kind not in PAIRED and labelled:
        raise BadSetting(
            f"labelled is {labelled!r}, which {model.reference} does not use: it is judged by a text.",
            "Leave labelled out; text names the text.",
        )


def check_examples(
    _: Sequence[WeightRef], *, model: Model, sequences: int, length: int, seed: int, text: str, labelled: str
) -> None:
    """The errors of `examples_for`, before anything is copied."""
    examples_for(model, sequences=sequences, length=length, seed=seed, text=text, labelled=labelled)


def check_pieces(_: Sequence[WeightRef], *, model: Model, sequences: int, length: int, seed: int, text: str) -> None:
    """The errors of `token_sequences`, before anything is copied."""
    calibrate(model, sequences=sequences, length=length, calibration=text or PACKAGE, seed=seed)
