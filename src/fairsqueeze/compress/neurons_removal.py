"""Removal of feed-forward neurons: a network without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fairsqueeze.compress.surgery import (
    Numbers,
    Plan,
    Rebuilt,
    base_config,
    cut,
    rebuild,
    silenced_answer,
    trunk_answer,
)
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import Anatomy, anatomy
from fairsqueeze.models.model import Model
from fairsqueeze.models.slimmed import note_of
from fairsqueeze.registry import Range

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Share = Annotated[float, Range(0, 1, high_open=True)]

SAVES = "the weights of the neurons, their memory and their time, on any hardware"

_WIDTHS = ("intermediate_size", "ffn_dim", "hidden_dim", "n_inner", "ffn_hidden_size", "inner_dim", "d_ff")
"""What configs call the number of feed-forward neurons; a wrong guess does not pass `rebuild`."""


def remove_neurons(network: PreTrainedModel, removed: Sequence[Sequence[int]]) -> PreTrainedModel:
    """The network of `without_neurons`."""
    return without_neurons(network, removed).network


def take_neurons_(model: Model, removed: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Remove these neurons in place; returns `removed`, the neurons of each block, and `max_difference`."""
    result = without_neurons(model.network, removed)
    model.network = result.network
    return {"removed": [sorted(set(gone)) for gone in removed], **result.to_json()}


def without_neurons(network: PreTrainedModel, removed: Sequence[Sequence[int]]) -> Rebuilt:
    """`network` without some of its feed-forward neurons: their up, gate and down weights are gone.

    Equal to zeroing what these neurons hand to the down projection (its bias stays). The config says the new width
    where all blocks keep the same; elsewhere it carries the note of `models.slimmed`.

    Args:
        network: its other weights are shared with the result; drop it.
        removed: for every block of its anatomy the neurons that go. At least one must stay in each.

    Raises:
        BadSetting: numbers that don't fit the anatomy, or a block without any neuron left.
        ModelError: the network can't be taken apart, or without these neurons no longer computes the same.
    """
    found = anatomy(network)
    _check(found, removed)
    if not any(removed):
        return Rebuilt(network)
    outputs: dict[str, list[int]] = {}
    inputs: dict[str, list[int]] = {}
    for block, gone in zip(found.blocks, removed, strict=True):
        forward = block.feed_forward
        for part in (forward.up, forward.gate):
            if part is not None and gone:
                outputs.setdefault(part.module, []).extend(part.index[i] for i in gone)
        if gone:
            inputs[forward.down.module] = [forward.down.index[i] for i in gone]
    note = note_of(network.config)
    numbers: Numbers = note["numbers"] if note else {}
    plan = Plan(cut(network, outputs, inputs), _configs(network, found, removed), [numbers])
    return rebuild(network, plan, lambda: silenced_answer(network, inputs), trunk_answer)


def _check(found: Anatomy, removed: Sequence[Sequence[int]]) -> None:
    if len(removed) != len(found.blocks):
        raise BadSetting(f"Neurons of {len(removed)} blocks are listed.", f"The network has {len(found.blocks)}.")
    for block, gone in zip(found.blocks, removed, strict=True):
        width = block.feed_forward.width
        if any(not 0 <= neuron < width for neuron in gone):
            raise BadSetting(f"{block.name}: there is no neuron among {sorted(gone)}.", f"It has 0 to {width - 1}.")
        if len(set(gone)) == width:
            raise BadSetting(f"{block.name} would lose all {width} of its neurons.", "At least one must stay.")


def _configs(network: PreTrainedModel, found: Anatomy, removed: Sequence[Sequence[int]]) -> list[PreTrainedConfig]:
    base = base_config(network)
    widths = [block.feed_forward.width for block in found.blocks]
    left = {width - len(set(gone)) for width, gone in zip(widths, removed, strict=True)}
    if len(left) > 1:
        return [base]
    changed = base_config(network)
    text = changed.get_text_config()
    for name in _WIDTHS:
        if hasattr(text, name) and getattr(text, name) in (None, widths[0]):
            setattr(text, name, min(left))
    return [changed, base]
