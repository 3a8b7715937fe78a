"""How a model is fine-tuned, in numbers; and the presets, which are the published studies' numbers by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from fairsqueeze.errors import BadSetting, unknown_name

Schedule = Literal["linear", "constant"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class TrainingSettings:
    """Fine-tuning by AdamW (betas 0.9 and 0.999, epsilon 1e-8), batches drawn at random without replacement.

    Args:
        rate: highest learning rate, > 0.
        epochs: passes over the data, at least 1.
        batch: examples of one optimiser step, whatever the number of devices it was meant for.
        micro_batch: examples that go through the network at once; gradients of a step add up over them. None: `batch`.
        weight_decay: of weight matrices; never of biases and norms (as transformers' Trainer has it).
        schedule: "linear" falls to 0 at the last step, "constant" stays; both after the warm-up.
        warm_up: steps over which the rate rises from 0; a number below 1 is a share of all steps.
        max_length: tokens of a pair, special ones included; longer pairs lose tokens of the longer text.
        pad_to_max: pad every batch to `max_length` as the studies do. False pads to its longest pair, which is many
            times as fast and differs by rounding only.
        clip: largest norm of the gradient.
        patience: stop after so many epochs without a better validation score and take the best epoch's weights;
            needs validation examples. None: all epochs, and the last weights.
        steps: stop after so many steps at the latest; None: no such limit. The schedule ends there.
        precision: "bfloat16" computes in it (weights stay in float32).
        gradient_checkpointing: recompute activations in the backward pass: less memory, a third more time.
        keep_zeros: weights that are 0 stay 0, so that a pruned model stays pruned.
        save_minutes: between two saves of an unfinished training; 0 saves after every step.
    """

    rate: float = 2e-5
    epochs: int = 3
    batch: int = 32
    micro_batch: int | None = None
    weight_decay: float = 0.0
    schedule: Schedule = "linear"
    warm_up: float = 0
    max_length: int = 128
    pad_to_max: bool = False
    clip: float = 1.0
    patience: int | None = None
    steps: int | None = None
    precision: Precision = "float32"
    gradient_checkpointing: bool = False
    keep_zeros: bool = False
    save_minutes: float = 5

    def __post_init__(self) -> None:
        positive = ("rate", "epochs", "batch", "micro_batch", "max_length", "clip", "patience", "steps")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadSetting(f"finetune: {name} is {value!r}.", "It must be positive.")
        for name in ("weight_decay", "warm_up", "save_minutes"):
            if not getattr(self, name) >= 0:
                raise BadSetting(f"finetune: {name} is {getattr(self, name)!r}.", "It must be 0 or more.")
        for name, choices in (("schedule", Schedule), ("precision", Precision)):
            if getattr(self, name) not in get_args(choices):
                raise BadSetting(
                    f"finetune: {name} is {getattr(self, name)!r}.", f"It must be {' or '.join(get_args(choices))}."
                )

    def to_json(self) -> dict[str, Any]:
        """What the result depends on; `save_minutes` is none of it."""
        return {name: value for name, value in asdict(self).items() if name != "save_minutes"}

    def warm_up_steps(self, total: int) -> int:
        """Steps over which the rate rises, of a training of `total` steps."""
        return round(self.warm_up * total) if self.warm_up < 1 else round(self.warm_up)

    def rate_at(self, step: int, total: int) -> float:
        """The learning rate of step 0, 1, …, `total` − 1, as transformers' schedules have it."""
        rising = self.warm_up_steps(total)
        if step < rising:
            return self.rate * step / rising
        if self.schedule == "constant":
            return self.rate
        return self.rate * max(0.0, (total - step) / max(1, total - rising))


_MANNHEIM_IMP = TrainingSettings(
    rate=2e-5, epochs=3, batch=32, schedule="constant", weight_decay=0.01, warm_up=500, max_length=128, keep_zeros=True
)
_TEACHER = TrainingSettings(epochs=10, max_length=128, patience=2)

PRESETS: dict[str, TrainingSettings] = {
    "mannheim2024.mnli": TrainingSettings(rate=2e-5, epochs=5, batch=96, micro_batch=32, max_length=512),
    "mannheim2024.stsb": TrainingSettings(rate=2e-5, epochs=3, batch=8, max_length=512),
    "mannheim2024.imp_mnli": _MANNHEIM_IMP,
    "mannheim2024.imp_stsb": replace(_MANNHEIM_IMP, batch=8),
    **{
        f"hessenthaler2022.teacher_{rate}e-5_{batch}": replace(_TEACHER, rate=rate * 1e-5, batch=batch)
        for rate in (5, 3, 2)
        for batch in (32, 16)
    },
    "offline.nli": TrainingSettings(rate=5e-5, epochs=2, batch=32, weight_decay=0.01, warm_up=0.06),
    "offline.sts": TrainingSettings(rate=5e-5, epochs=4, batch=16, weight_decay=0.01, warm_up=0.06),
}
PRESETS["hessenthaler2022.teacher"] = PRESETS["hessenthaler2022.teacher_5e-5_32"]
"""By study and task. `mannheim2024.mnli`: 32 on each of three GPUs, hence batches of 96 in three parts. The teacher of
Hessenthaler et al. is the best of a grid of six on validation data, of which each is here under its rate and batch;
`hessenthaler2022.teacher` is its first. `mannheim2024.imp_…` are one round of iterative magnitude pruning, whose
schedule, as long as its examples are many, hardly falls after the warm-up: constant here. The studies pad to the
longest length; set `pad_to_max` to do so as well. `offline.…` fit a small encoder on two cores."""


def settings_of(preset: str | TrainingSettings, changes: Mapping[str, Any]) -> TrainingSettings:
    """The settings of a preset with some of them changed. Raises UnknownName and BadSetting."""
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise unknown_name("preset of finetune", preset, PRESETS)
        preset = PRESETS[preset]
    known = [field.name for field in fields(TrainingSettings)]
    for name in changes:
        if name not in known:
            near = unknown_name("setting of finetune", name, known)
            raise BadSetting(near.message, near.remedy)
    return replace(preset, **changes)
