"""Removal of whole blocks: a network without them, the others moved up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fairsqueeze.compress.surgery import Numbers, Plan, Rebuilt, base_config, rebuild, trunk_answer
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import Anatomy, anatomy
from fairsqueeze.models.model import Model
from fairsqueeze.models.slimmed import note_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

SAVES = "the blocks' share of weights, memory and time, on any hardware and in plain transformers"
REQUIRES = "blocks with weights of their own (ALBERT is refused) that compute the same at another place"


def remove_blocks(network: PreTrainedModel, removed: Sequence[int]) -> PreTrainedModel:
    """The network of `without_blocks`."""
    return without_blocks(network, removed).network


def take_blocks_(model: Model, removed: Sequence[int]) -> dict[str, Any]:
    """Remove these blocks in place; returns `removed`, their numbers from 0, and `max_difference`."""
    result = without_blocks(model.network, removed)
    model.network = result.network
    return {"removed": sorted(set(removed)), **result.to_json()}


def without_blocks(network: PreTrainedModel, removed: Sequence[int]) -> Rebuilt:
    """`network` without some of its blocks: the others follow one another as if the removed ones changed nothing.

    The config's number of layers, and what it lists layer by layer, is adjusted.

    Args:
        network: its other weights are shared with the result; drop it.
        removed: numbers of blocks of its anatomy, from 0. At least one must stay.

    Raises:
        BadSetting: numbers out of range, or no block left.
        ModelError: blocks share their weights (ALBERT), or hang on their place, so that the rest computes otherwise.
    """
    found = own_blocks(network)
    gone = sorted(set(removed))
    n = len(found.blocks)
    if any(not 0 <= block < n for block in gone):
        raise BadSetting(f"There is no block among {gone}.", f"The network has 0 to {n - 1}.")
    if len(gone) == n:
        raise BadSetting(f"All {n} blocks would go.", "At least one must stay.")
    if not gone:
        return Rebuilt(network)
    names = [block.name for block in found.blocks]

    def skipping() -> Tensor:
        with _skipped(network, [names[i] for i in gone]):
            return trunk_answer(network)

    kept = [name for i, name in enumerate(names) if i not in gone]
    moved = dict(zip(kept, names, strict=False))  # old name -> new name
    tensors = {
        _renamed(name, moved): tensor
        for name, tensor in network.state_dict(keep_vars=True).items()
        if not any(name.startswith(f"{names[i]}.") for i in gone)
    }
    back = {new: old for old, new in moved.items()}
    plan = Plan(
        tensors, [_config(network, n, gone)], [_numbers(network, kept, moved)], lambda name: _renamed(name, back)
    )
    return rebuild(network, plan, skipping, trunk_answer)


def own_blocks(network: PreTrainedModel) -> Anatomy:
    """The anatomy of a network whose blocks have weights of their own; ModelError for one that shares them."""
    found = anatomy(network)
    if found.shared:
        raise ModelError(
            f"The {found.n_layers} layers of {type(network).__name__} share the weights of {len(found.blocks)} block.",
            "Removing one saves nothing but time; methods on heads and neurons apply to it.",
        )
    if len({block.name.rpartition(".")[0] for block in found.blocks}) > 1:
        raise ModelError(f"The blocks of {type(network).__name__} lie in several lists.", "None can be removed.")
    return found


@contextmanager
def _skipped(network: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """In this context these blocks hand on what they get."""
    handles = [network.get_submodule(name).register_forward_hook(_hand_on, with_kwargs=True) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hand_on(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
    hidden = block_input(given, named)
    return hidden if isinstance(output, Tensor) else (hidden, *output[1:])


def block_input(given: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    """The hidden state that a block gets: (batch, tokens, width)."""
    hidden = given[0] if given else named.get("hidden_states")
    if not isinstance(hidden, Tensor):
        raise ModelError("A block of the network takes no hidden state.", "Its blocks can't be compared or removed.")
    return hidden


def block_output(output: Any) -> Tensor:
    """The hidden state that a block puts out."""
    return output if isinstance(output, Tensor) else output[0]


def _renamed(name: str, moved: dict[str, str]) -> str:
    for old, new in moved.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return name


def _config(network: PreTrainedModel, n: int, gone: Sequence[int]) -> PreTrainedConfig:
    config = base_config(network)
    text = config.get_text_config()
    lists = {
        name: [entry for i, entry in enumerate(value) if i not in gone]
        for name, value in text.to_dict().items()
        if "layer" in name and isinstance(value, (list, tuple)) and len(value) == n
    }
    text.num_hidden_layers = n - len(gone)
    for name, value in lists.items():
        setattr(text, name, value)
    return config


def _numbers(network: PreTrainedModel, kept: Sequence[str], moved: dict[str, str]) -> Numbers:
    """The numbers of the note of a slimmed network, for the blocks that stay."""
    note = note_of(network.config)
    if note is None:
        return {}
    prefix = next((p for p in _prefixes(network) if kept[0].startswith(p)), "")
    inside = {old.removeprefix(prefix): new.removeprefix(prefix) for old, new in moved.items()}
    return {
        _renamed(name, inside): numbers
        for name, numbers in note["numbers"].items()
        if any(name.startswith(f"{old}.") for old in inside)
    }


def _prefixes(network: PreTrainedModel) -> list[str]:
    """What stands in front of the names within the trunk."""
    return [f"{name}." for name, module in network.named_modules() if name and module is network.base_model]


Influence = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def watch_blocks(network: PreTrainedModel, sequences: Sequence[Tensor], compare: Influence) -> list[list[Tensor]]:
    """`compare(input, output)` of every block for every token sequence (1, n): block by block."""
    found = own_blocks(network)
    seen: list[list[Tensor]] = [[] for _ in found.blocks]

    def watch(number: int) -> Callable[..., None]:
        def hook(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            seen[number].append(compare(block_input(given, named), block_output(output)))

        return hook

    handles = [
        network.get_submodule(block.name).register_forward_hook(watch(number), with_kwargs=True)
        for number, block in enumerate(found.blocks)
    ]
    try:
        for ids in sequences:
            here = ids.to(network.device)
            network.base_model(input_ids=here, attention_mask=torch.ones_like(here))
    finally:
        for handle in handles:
            handle.remove()
    return seen
