"""The course of a training: what it learns from and how, where it stands, and the way from there to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.models.model import Model
from fairsqueeze.spec import content_id
from fairsqueeze.training.batches import Loss, PairBatches, draw_seed, order_of_epoch
from fairsqueeze.training.descent import adamw, own_randomness, step_, training_mode
from fairsqueeze.training.pairs import Data, pairs_for, pairs_sha256
from fairsqueeze.training.processes import Processes, processes_on
from fairsqueeze.training.settings import TrainingSettings
from fairsqueeze.training.state import read_facts, restore_, save_state
from fairsqueeze.training.validation import score

VERSION = 1
STATE = "state.safetensors"


class Progress(Protocol):
    """What a training reports to; `fairsqueeze.study.progress` has some."""

    def say(self, message: str) -> None: ...

    def advance(self, task: str, done: float, total: float) -> None: ...


@dataclass
class Course:
    """All that a training is: where it starts, what it learns from, how; `run` is the content id of the lot."""

    model: Model
    batches: PairBatches
    validation: PairBatches | None
    settings: TrainingSettings
    seed: int
    data_sha256: str
    run: str

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.batches) / self.settings.batch)

    @property
    def total(self) -> int:
        """Steps, if it is not stopped early."""
        steps = self.settings.epochs * self.steps_per_epoch
        return steps if self.settings.steps is None else min(steps, self.settings.steps)

    def parts(self, step: int, order: Sequence[int], processes: Processes) -> list[tuple[float, Loss]]:
        """(weight, loss) of the parts of the batch of one step, given the order of its epoch."""
        at = (step % self.steps_per_epoch) * self.settings.batch
        chosen = order[at : at + self.settings.batch]
        size = 1 if self.batches.alone else self.settings.micro_batch or processes.part_size(len(chosen))
        parts = [chosen[k : k + size] for k in range(0, len(chosen), size)]
        return [(len(part) / len(chosen), self._computed(self.batches.loss(part))) for part in parts]

    def _computed(self, loss: Loss) -> Loss:
        """The loss with its forward pass in the precision that is wanted."""
        if self.settings.precision == "float32":
            return loss

        def lower(network: Any) -> Tensor:
            with torch.autocast(network.device.type, torch.bfloat16):
                return loss(network)

        return lower


def course_of(start: Model, data: Data, validation: Data | None, settings: TrainingSettings, seed: int) -> Course:
    pairs = pairs_for(start, data)
    held = None if validation is None else pairs_for(start, validation)
    if settings.patience is not None and held is None:
        raise BadSetting(
            f"finetune: patience is {settings.patience}, but there are no validation examples.",
            "Give validation, or patience=None to train all epochs.",
        )
    shas = [pairs_sha256(pairs), None if held is None else pairs_sha256(held)]
    identity = {"model": start.id, "data": shas, "settings": settings.to_json(), "seed": seed, "version": VERSION}
    length, pad = settings.max_length, settings.pad_to_max
    return Course(
        start,
        PairBatches(start, pairs, length, pad),
        None if held is None else PairBatches(start, held, length),
        settings,
        seed,
        str(shas[0]),
        content_id(identity),
    )


@dataclass
class Standing:
    """Where a training stands: what is saved beside weights and moments."""

    step: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    epoch_losses: list[float] = field(default_factory=list)
    running: float = 0.0
    scores: list[float | None] = field(default_factory=list)

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the highest validation score."""
        defined = [(value, -at) for at, value in enumerate(self.scores) if value is not None]
        return -max(defined)[1] if defined else None

    def stops(self, patience: int | None) -> bool:
        if patience is None or not self.scores:
            return False
        best = self.best_epoch
        return len(self.scores) - 1 - (-1 if best is None else best) >= patience


def train_(course: Course, folder: Path | None, progress: Progress) -> tuple[Model, dict[str, Any]]:
    """The course's model trained, in place, and what was measured on the way."""
    network, settings = course.model.network, course.settings
    optimizer = adamw(network, settings.rate, settings.weight_decay)
    keep = _zeros_of(course.model) if settings.keep_zeros else []
    standing, best = Standing(), dict[str, Tensor]()
    processes = processes_on(course.model.device)
    if folder is not None:
        standing, best = _resume_(folder, course, optimizer, progress)
    resumed = standing.step
    now = time.monotonic()
    saving = Saving(folder if processes.first else None, best, now - standing.seconds, now)
    with own_randomness(course.model.device), training_mode(network, settings.gradient_checkpointing):
        while standing.step < course.total and not standing.stops(settings.patience):
            _run_epoch_(course, standing, optimizer, keep, saving, progress, processes)
    if settings.patience is not None and best:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(best[name])
    measured = {
        "examples": len(course.batches),
        "data_sha256": course.data_sha256,
        "steps": standing.step,
        "epoch_losses": standing.epoch_losses,
        "first_loss": standing.first_loss,
        "validation_scores": standing.scores,
        "wall_s": round(time.monotonic() - saving.began, 3),
        "resumed_at_step": resumed or None,
        "device": str(course.model.device),
        "processes": processes.count,
        "padding": "to max_length" if settings.pad_to_max else "to the longest pair of a batch",
    }
    return course.model, measured


@dataclass
class Saving:
    """Where the state goes (None: nowhere), the best weights so far, when the training began, and the last save."""

    folder: Path | None
    best: dict[str, Tensor]
    began: float
    last: float

    def save_if_due(self, course: Course, standing: Standing, optimizer: torch.optim.Optimizer) -> None:
        """Save, if the last time is longer ago than the settings say."""
        now = time.monotonic()
        standing.seconds = now - self.began
        if self.folder is not None and now - self.last >= 60 * course.settings.save_minutes:
            facts = {"run": course.run, **standing.__dict__}
            save_state(self.folder / STATE, course.model.network, optimizer, facts, self.best)
            self.last = time.monotonic()


def _run_epoch_(
    course: Course,
    standing: Standing,
    optimizer: torch.optim.Optimizer,
    keep: Sequence[tuple[nn.Parameter, Tensor]],
    saving: Saving,
    progress: Progress,
    processes: Processes,
) -> None:
    """Go on to the end of the epoch that `standing` is in, or of the training."""
    settings, network = course.settings, course.model.network
    epoch = standing.step // course.steps_per_epoch
    order = order_of_epoch(len(course.batches), course.seed, epoch)
    end = min(course.total, (epoch + 1) * course.steps_per_epoch)
    while standing.step < end:
        loss = step_(
            network,
            course.parts(standing.step, order, processes),
            optimizer,
            rate=settings.rate_at(standing.step, course.total),
            clip=settings.clip,
            seed=draw_seed(course.seed, "step", standing.step),
            keep=keep,
            processes=processes,
        )
        standing.step += 1
        standing.running += loss
        standing.first_loss = loss if standing.first_loss is None else standing.first_loss
        if standing.step < end:
            saving.save_if_due(course, standing, optimizer)
        progress.advance("fine-tuning", standing.step, course.total)
    standing.epoch_losses.append(standing.running / (end - epoch * course.steps_per_epoch))
    standing.running = 0.0
    if course.validation is not None:
        standing.scores.append(score(course.model, course.validation))
        progress.say(f"epoch {epoch + 1}: loss {standing.epoch_losses[-1]:.4f}, validation {standing.scores[-1]}")
        if standing.best_epoch == epoch:
            saving.best.update({name: p.detach().clone() for name, p in network.named_parameters()})
    saving.save_if_due(course, standing, optimizer)


def _resume_(
    folder: Path, course: Course, optimizer: torch.optim.Optimizer, progress: Progress
) -> tuple[Standing, dict[str, Tensor]]:
    facts = read_facts(folder / STATE)
    if facts is None:
        return Standing(), {}
    if facts.pop("run", None) != course.run:
        raise ModelError(
            f"{folder} holds an unfinished training of another model, other data or other settings.",
            "Choose another out, or delete that folder.",
        )
    best = restore_(folder / STATE, course.model.network, optimizer)
    progress.say(f"Going on after step {facts['step']} of {course.total}")
    return Standing(**facts), best


def _zeros_of(model: Model) -> list[tuple[nn.Parameter, Tensor]]:
    """Weights that hold zeros, with masks that are False there."""
    refs = weight_matrices(model.network, "all")
    return [(ref.parameter, ref.parameter != 0) for ref in refs if bool((ref.parameter == 0).any())]
