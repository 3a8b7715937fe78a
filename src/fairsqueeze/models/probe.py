"""Dataflow inside a block, seen by experiment: change one number that a linear layer puts out, and look where it shows.

All linear layers of the block get made-up outputs, so what the weights are (pruned, zero, broken) plays no part; only
the code between them does. Three tokens are enough: what is changed at the middle one shows at the last one only if
attention carried it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

TOKENS = 3
MIDDLE = 1
LAST = 2
_BASE = 0.3
_CHANGE = 30.0


class _Reached(Exception):
    """The block is through; the rest of the network need not run."""


@dataclass(frozen=True)
class Change:
    """One made-up difference at one position: `features` of what `module` puts out (None: all of them)."""

    module: str
    features: tuple[int, ...] | None = None


class Probe:
    """Experiments on one block of a network.

    Args:
        network: the model; run in eval mode, hooks removed and mode restored afterwards.
        block: the module to look into.
        linears: its linear layers by any name, with their numbers of output features.
        seed: of the made-up numbers.
    """

    def __init__(
        self, network: PreTrainedModel, block: nn.Module, linears: dict[str, tuple[nn.Module, int]], seed: int = 0
    ) -> None:
        import torch

        self.network = network
        self.block = block
        self.modules = {name: module for name, (module, _) in linears.items()}
        generator = torch.Generator().manual_seed(seed)
        self.base = {}
        for name, (_, width) in linears.items():
            sign = 2.0 * torch.randint(0, 2, (TOKENS, width), generator=generator) - 1.0
            # Neither near zero, where a factor would hide a change, nor equal, where a mean would.
            self.base[name] = sign * (_BASE + _BASE * torch.rand((TOKENS, width), generator=generator))

    def changed(self, changes: Sequence[Change]) -> list[dict[str, torch.Tensor]]:
        """For each change at the middle token: by linear layer, which of its inputs differ, bool (TOKENS, in)."""
        outputs = {name: base.repeat(1 + len(changes), 1, 1) for name, base in self.base.items()}
        for row, change in enumerate(changes, start=1):
            where = slice(None) if change.features is None else list(change.features)
            outputs[change.module][row, MIDDLE, where] += _CHANGE
        seen = self.inputs(outputs)
        found: list[dict[str, torch.Tensor]] = []
        for row in range(1, 1 + len(changes)):
            found.append({name: _differ(x[row], x[0]) for name, x in seen.items()})
        return found

    def inputs(self, outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What each linear layer gets when all put out `outputs` (name -> (rows, TOKENS, out)), float32 (rows, TOKENS,
        in). Layers that did not run, or run on something else than the tokens (relative positions), are missing."""
        rows = next(iter(outputs.values())).shape[0]
        seen: dict[str, torch.Tensor] = {}

        def put(name: str) -> Any:
            def hook(module: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
                given = arguments[0]
                if given.shape[:-1].numel() != rows * TOKENS:
                    return output
                if name in seen:
                    raise ModelError(f"{name} runs more than once.", "Such a block can't be taken apart.")
                seen[name] = given.detach().reshape(rows, TOKENS, -1).float().cpu()
                return outputs[name].to(output).reshape(output.shape)

            return hook

        def stop(*_: Any) -> None:
            raise _Reached

        hooks = {module: put(name) for name, module in self.modules.items()}
        with _hooked({**hooks, self.block: stop}):
            try:
                run(self.network, rows)
            except _Reached:
                return seen
        raise ModelError("A block of the network never ran.", "Its architecture can't be taken apart.")


def count_runs(network: PreTrainedModel, blocks: Sequence[nn.Module]) -> list[int]:
    """How often each block runs in one pass: more than once where layers share their weights."""
    counts = dict.fromkeys(blocks, 0)

    def count(module: nn.Module, *_: Any) -> None:
        counts[module] += 1

    with _hooked(dict.fromkeys(blocks, count)):
        run(network, 1)
    return [counts[block] for block in blocks]


def run(network: PreTrainedModel, rows: int) -> None:
    """One pass of the trunk over `rows` equal texts of TOKENS tokens."""
    import torch

    trunk = network.base_model
    padding = getattr(network.config.get_text_config(), "pad_token_id", None)
    ids = [i for i in range(TOKENS + 1) if i != padding][:TOKENS]
    tokens = torch.tensor([ids] * rows, device=network.device)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            trunk(input_ids=tokens, attention_mask=torch.ones_like(tokens))
    except (RuntimeError, ValueError, TypeError, IndexError) as problem:
        raise ModelError(
            f"{type(trunk).__name__} fails on {TOKENS} tokens: {problem}", "The model is broken."
        ) from problem
    finally:
        network.train(training)


@contextmanager
def _hooked(hooks: dict[nn.Module, Any]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _differ(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Where two inputs differ by more than rounding does, in whatever precision the network runs."""
    return (one - other).abs() > 0.02 * other.abs().clamp(min=_BASE)
