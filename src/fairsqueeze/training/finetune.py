"""finetune: a model trained on labelled pairs, as a step that is told in its provenance and goes on after a kill."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.checkpoint import check_target, read_record, save
from fairsqueeze.models.finite import check_finite
from fairsqueeze.models.model import Model
from fairsqueeze.training.batches import draw_seed
from fairsqueeze.training.course import VERSION, Progress, course_of, train_
from fairsqueeze.training.head import Head, with_head
from fairsqueeze.training.pairs import Data
from fairsqueeze.training.processes import processes_on
from fairsqueeze.training.settings import TrainingSettings, settings_of


def finetune(
    model: Model,
    data: Data,
    *,
    preset: str | TrainingSettings,
    head: Head | None = None,
    validation: Data | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> Model:
    """A copy of `model` trained on labelled pairs; the model itself is not touched.

    Cross entropy for a classifier, squared error on the raw values for a regressor. Batches are padded to their longest
    pair, not to `max_length` as the studies do it (`pad_to_max` does so too): attention masks the padding, so that
    results differ by rounding and the work is a fraction. Where `torchrun` or `accelerate launch` started several
    processes, they share every batch, gradients add up, and the first writes the files; the result differs from that
    of one process by rounding and by other draws of dropout.

    Args:
        model: a pair_classifier or pair_regressor, or another with `head`; in float32 (or float64), on the device to
            train on.
        data: a file (TSV, CSV, JSON Lines, Parquet), or examples with `first`, `second` and `label`.
        preset: a name in `settings.PRESETS` (`mannheim2024.mnli`, `offline.sts`, …), or `TrainingSettings`.
        head: put a new output on the model first: names of classes, or "regression".
        validation: examples to score after each epoch (accuracy; mean of Pearson and Spearman), with `patience`.
        seed: of the order of examples, of dropout and of a new head.
        out: folder for the checkpoint. While it is not complete, `OUT.unfinished` beside it holds the state, from which
            the same call goes on after a kill, to the same weights (bit for bit on one machine and device).
        progress: what to report to; silent by default.
        changes: single settings that differ from the preset: `epochs=1`, `precision="bfloat16"`, …

    Returns:
        A model whose `provenance["steps"]` ends with this step: settings, seed, data sha256, steps, time, losses.

    Raises:
        UnknownName, BadSetting, DataError, ModelError: before anything is spent.
        NonFinite: the training broke.

    Example:
        >>> from fairsqueeze.testing.tiny import tiny_model
        >>> from fairsqueeze.training.pairs import Pair
        >>> pairs = [Pair("She slept.", "She was awake.", 2), Pair("He sang.", "He sang.", 0)]
        >>> trained = finetune(tiny_model("bert", "pair_classifier"), pairs, preset="offline.nli", epochs=1)
        >>> trained.provenance["steps"][-1]["measured"]["steps"]
        1
    """
    settings = settings_of(preset, changes)
    target = None if out is None else Path(out).expanduser().absolute()
    if target is not None:
        check_target(target)
    start = _start(model, head, seed, settings)
    course = course_of(start, data, validation, settings, seed)
    done = None if target is None else _finished(target, course.run)
    processes_on(start.device).wait()  # nobody writes before all have looked
    if done is not None:
        return done
    named = preset if isinstance(preset, str) else "settings"
    folder = None if target is None else target.with_name(f"{target.name}.unfinished")
    processes = processes_on(start.device)
    trained, measured = train_(course, folder, (progress if processes.first else None) or _Silent())
    step = {
        "name": "finetune",
        "parameters": {"preset": named, **settings.to_json()},
        "seed": seed,
        "version": VERSION,
        "run": course.run,
        "measured": measured,
    }
    trained.provenance["steps"] = [*trained.provenance.get("steps", ()), step]
    trained = replace(trained, reference=f"{model.reference} → finetune({named})")
    if target is not None and folder is not None and processes.first:
        save(trained, target)
        shutil.rmtree(folder, ignore_errors=True)
    processes.wait()
    return trained


def _start(model: Model, head: Head | None, seed: int, settings: TrainingSettings) -> Model:
    """The model that training starts from: a copy, under a new head where one is wanted."""
    if head is None and not model.kind.startswith("pair"):
        raise ModelError(
            f"{model.reference} is {model.kind}: it has no output to train on pairs.",
            'Give head: the names of the classes, or "regression".',
        )
    if model.network.dtype not in (torch.float32, torch.float64):
        precision = str(model.network.dtype).removeprefix("torch.")
        raise BadSetting(
            f"{model.reference} is in {precision}; training keeps float32 weights.",
            "Load it in float32, and set precision=bfloat16 to compute in that.",
        )
    check_finite(model)
    if head is not None:
        start = with_head(model, head, draw_seed(seed, "head"))
    else:
        start = replace(model, network=copy.deepcopy(model.network), provenance=copy.deepcopy(model.provenance))
    if settings.gradient_checkpointing and not start.network.supports_gradient_checkpointing:
        raise BadSetting(f"{model.reference} can't do gradient checkpointing.", "Leave gradient_checkpointing out.")
    return start


def _finished(target: Path, run: str) -> Model | None:
    """The checkpoint in `target` if it is the result of this very training."""
    record = read_record(target) if target.is_dir() else None
    if record is None or not any(step.get("run") == run for step in record.provenance.get("steps", ())):
        return None
    from fairsqueeze.models.load import load

    return load(str(target))


class _Silent:
    def say(self, message: str) -> None:
        pass

    def advance(self, task: str, done: float, total: float) -> None:
        pass
