"""The state of an unfinished training on disk: weights, the optimiser's moments and a few facts, in one file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fairsqueeze.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KEY = "fairsqueeze.training"


def save_state(
    path: Path,
    network: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
    best: dict[str, Tensor] | None = None,
) -> None:
    """Write everything that going on from here needs, whole or not at all.

    Args:
        path: the file; an earlier one is replaced when the new one is complete on the disk.
        facts: JSON values, such as the number of steps done.
        best: the best weights so far by parameter name, where early stopping keeps them.

    No pickle is written, as torch's own checkpoints would be: moments are tensors, and no random state is needed
    because every step has a seed of its own.
    """
    from safetensors.torch import save_file

    tensors = {f"weight/{name}": p.detach() for name, p in network.named_parameters()}
    tensors |= {f"best/{name}": tensor for name, tensor in (best or {}).items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"moment/{number}/{name}": value for name, value in moments.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        save_file({k: t.contiguous().cpu() for k, t in tensors.items()}, temporary, metadata={KEY: json.dumps(facts)})
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as problem:
        raise ModelError(
            f"{path} can't be written: {problem.strerror}.", "Choose another place, or free space."
        ) from problem


def read_facts(path: Path) -> dict[str, Any] | None:
    """The facts of a saved state; None where there is none. Raises ModelError if the file is damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads(file.metadata()[KEY]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(
            f"{path} is no state of a training: {problem!r}.", "Delete its folder to start again."
        ) from problem


def restore_(path: Path, network: PreTrainedModel, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Put weights and moments back, in place; returns the best weights so far (may be empty)."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors[f"weight/{name}"])
    state = optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == "moment":
            number, _, name = rest.partition("/")
            moments.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**state, "state": moments})
    return {key.removeprefix("best/"): tensor for key, tensor in tensors.items() if key.startswith("best/")}
