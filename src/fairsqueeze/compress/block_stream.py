"""Block stream: hidden states of many sequences, carried through a network one block at a time."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fairsqueeze.compress.layer_statistics import Watch
from fairsqueeze.errors import ModelError
from fairsqueeze.models.anatomy import block_modules
from fairsqueeze.models.matrices import linear_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_REMEDY = "Use a method without calibration, such as magnitude.linear or rtn."
_HIDDEN = "hidden_states"


class _Reached(Exception):
    """The first block is reached; the rest of the network need not run."""


@dataclass(frozen=True)
class _Call:
    """How a network calls a block: everything but the hidden states."""

    block: int
    arguments: tuple[Any, ...]
    named: dict[str, Any]

    def run(self, block: nn.Module, hidden: Tensor) -> Tensor:
        return _first(block(hidden, *self.arguments, **self.named))


@torch.no_grad()
def stream_blocks(
    network: PreTrainedModel, sequences: Sequence[Tensor], needs: Collection[str]
) -> Iterator[dict[str, dict[str, Tensor]]]:
    """For each block in order, the statistics of its linear layers' inputs, by full name of the layer.

    Until the next step is asked for the caller may change the block's weights in place: it then runs again, and what
    the next block gets is what the changed one puts out. A block that runs several times in a row (shared layers) gives
    the statistics of all its runs. Memory: the hidden states (twice for shared layers) and one block.

    Args:
        network: in eval mode; left as it was, but for what the caller changes.
        sequences: token ids, (1, length) each, all of one length, run one by one.
        needs: names out of `layer_statistics.STATISTICS`.

    Raises:
        ModelError: the network does something between its blocks, feeds them with more than hidden states that differ
            between sequences, or comes back to a block after another one.
    """
    blocks = block_modules(network)
    calls = _calls(network, [module for _, module in blocks], sequences[0])
    turns = [(number, list(group)) for number, group in groupby(calls, key=lambda call: call.block)]
    if len({number for number, _ in turns}) != len(turns):
        raise ModelError(f"{type(network).__name__} comes back to a block after another one.", _REMEDY)
    hidden = _hidden_states(network, blocks[calls[0].block][1], sequences, calls[0])
    for place, (number, runs) in enumerate(turns):
        name, block = blocks[number]
        yield _statistics(name, block, runs, hidden, needs)
        if place < len(turns) - 1:
            _advance(block, runs, hidden)


def _statistics(
    name: str, block: nn.Module, runs: Sequence[_Call], hidden: Tensor, needs: Collection[str]
) -> dict[str, dict[str, Tensor]]:
    watch = Watch({f"{name}.{inner}": layer for inner, layer in linear_layers(block).items()}, needs)
    carried = hidden.clone() if len(runs) > 1 else hidden
    for place, run in enumerate(runs):
        more = place < len(runs) - 1
        for row in range(len(hidden)):
            with watch.watching(whole=more):
                out = run.run(block, carried[row : row + 1])
                if more:
                    carried[row] = out[0]
    return watch.values()


def _advance(block: nn.Module, runs: Sequence[_Call], hidden: Tensor) -> None:
    for run in runs:
        for row in range(len(hidden)):
            hidden[row] = run.run(block, hidden[row : row + 1])[0]


def _calls(network: PreTrainedModel, blocks: Sequence[nn.Module], ids: Tensor) -> list[_Call]:
    """How one pass calls the blocks, in order; what one puts out must be what the next one gets."""
    calls: list[_Call] = []
    last: list[Tensor] = []
    numbers = {block: number for number, block in enumerate(blocks)}

    def before(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        hidden, call = _taken_apart(numbers[module], arguments, named)
        if last and not (hidden is last[0] or torch.equal(hidden, last[0])):
            raise ModelError(f"{type(network).__name__} changes hidden states between its blocks.", _REMEDY)
        calls.append(call)

    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        last[:] = [_first(output)]

    handles = [block.register_forward_pre_hook(before, with_kwargs=True) for block in blocks]
    handles += [block.register_forward_hook(after) for block in blocks]
    try:
        _run(network, ids)
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise ModelError(f"{type(network).__name__} ran none of its blocks.", _REMEDY)
    return calls


def _hidden_states(network: PreTrainedModel, first: nn.Module, sequences: Sequence[Tensor], like: _Call) -> Tensor:
    """What the first block gets for every sequence, (sequences, length, width)."""
    found: list[Tensor] = []

    def catch(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        hidden, call = _taken_apart(like.block, arguments, named)
        if not _same(call.arguments, like.arguments) or not _same(call.named, like.named):
            raise ModelError(f"{type(network).__name__} feeds its blocks with more than hidden states.", _REMEDY)
        found.append(hidden)
        raise _Reached

    whole: Tensor | None = None
    handle = first.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        for row, ids in enumerate(sequences):
            try:
                _run(network, ids)
            except _Reached:
                hidden = found.pop()
                if whole is None:
                    whole = hidden.new_empty((len(sequences), *hidden.shape[1:]))
                whole[row] = hidden[0]
    finally:
        handle.remove()
    if whole is None:
        raise ModelError(f"{type(network).__name__} never reached its first block.", _REMEDY)
    return whole


def _run(network: PreTrainedModel, ids: Tensor) -> None:
    here = ids.to(network.device)
    trunk = network.base_model
    with _without_cache(network):
        more = {"use_cache": False} if "use_cache" in inspect.signature(trunk.forward).parameters else {}
        trunk(input_ids=here, attention_mask=torch.ones_like(here), **more)


@contextmanager
def _without_cache(network: PreTrainedModel) -> Iterator[None]:
    """Keys and values of one pass must not be there in the next."""
    config = network.config.get_text_config()
    before = getattr(config, "use_cache", None)
    config.use_cache = False
    try:
        yield
    finally:
        if before is None:
            del config.use_cache
        else:
            config.use_cache = before


def _taken_apart(block: int, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Tensor, _Call]:
    from transformers.cache_utils import Cache

    named = {name: None if isinstance(value, Cache) else value for name, value in named.items()}
    if arguments:
        return arguments[0], _Call(block, arguments[1:], named)
    hidden = named.pop(_HIDDEN)
    return hidden, _Call(block, (), named)


def _first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def _same(one: Any, other: Any) -> bool:
    """Equal, tensors by their values."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one is other or one == other)
