"""Descent: one optimiser step after another, each with randomness of its own, so that any step can be the first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from fairsqueeze.errors import NonFinite
from fairsqueeze.training.batches import Loss
from fairsqueeze.training.processes import Processes

if TYPE_CHECKING:
    from transformers import PreTrainedModel


ALONE = Processes()


def adamw(network: nn.Module, rate: float, decay: float, *, decay_all: bool = False) -> torch.optim.AdamW:
    """AdamW over all parameters; weights decay, biases and norms only with `decay_all`."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in parameters if decay_all or p.ndim > 1]
    spared = [p for p in parameters if not decay_all and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": decay}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, eps=1e-8)


def step_(
    network: PreTrainedModel,
    losses: Sequence[tuple[float, Loss]],
    optimizer: torch.optim.Optimizer,
    *,
    rate: float,
    clip: float,
    seed: int,
    keep: Sequence[tuple[nn.Parameter, Tensor]] = (),
    processes: Processes = ALONE,
) -> float:
    """One step, in place; returns the loss before it.

    Args:
        network: in training mode.
        losses: (weight, loss) of each part of the batch; weights add up to 1.
        rate: learning rate of this step.
        clip: largest norm of the whole gradient.
        seed: of the dropout in this step. The caller's random state is not its business: see `own_randomness`.
        keep: parameters with masks, True where a weight may be other than 0.
        processes: that share the parts; each ends with the same weights.

    Raises NonFinite where the loss or the gradient is not a number: the rate is too high, or the model broken.
    """
    torch.manual_seed(seed + processes.number)
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for weight, loss in processes.share(losses):
        value = loss(network) * weight
        value.backward()
        total += float(value.detach())
    trained = [p for p in network.parameters() if p.requires_grad]
    processes.add_up_(trained)
    total = processes.sum_of(total, network.device)
    for parameter, mask in keep:
        if parameter.grad is not None:
            parameter.grad.mul_(mask)
    norm = float(nn.utils.clip_grad_norm_(trained, clip))
    if not (math.isfinite(total) and math.isfinite(norm)):
        raise NonFinite(
            f"Training broke: the loss is {total}, the norm of its gradient {norm}.",
            "Take a lower rate or a longer warm-up, and check the labels.",
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    with torch.no_grad():
        for parameter, mask in keep:
            parameter.mul_(mask)
    return total


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Inside, seeds may be set; afterwards the caller's random state is what it was."""
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def training_mode(network: PreTrainedModel, gradient_checkpointing: bool = False) -> Iterator[None]:
    """Inside, dropout is on and every parameter has a gradient; afterwards all is as before, in eval mode."""
    wanted = [(p, p.requires_grad) for p in network.parameters()]
    for parameter, _ in wanted:
        parameter.requires_grad_(True)
    if gradient_checkpointing:
        _checkpointing(network, "enable")
    network.train()
    try:
        with torch.enable_grad():
            yield
    finally:
        network.eval()
        if gradient_checkpointing:
            _checkpointing(network, "disable")
        for parameter, was in wanted:
            parameter.requires_grad_(was)
            parameter.grad = None


def _checkpointing(network: PreTrainedModel, what: Literal["enable", "disable"]) -> None:
    """transformers calls it activation checkpointing from some release of version 5 on."""
    new = getattr(network, f"activation_checkpointing_{what}", None)
    switch = new or getattr(network, f"gradient_checkpointing_{what}")
    name = "activation_checkpointing_kwargs" if new else "gradient_checkpointing_kwargs"
    switch(**({name: {"use_reentrant": False}} if what == "enable" else {}))
