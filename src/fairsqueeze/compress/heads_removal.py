"""Removal of attention heads: which of them can go alone, and a network without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from fairsqueeze.compress.surgery import (
    Numbers,
    Plan,
    Rebuilt,
    base_config,
    cut,
    rebuild,
    silenced_answer,
    trunk_answer,
    trunk_names,
)
from fairsqueeze.errors import BadSetting
from fairsqueeze.models.anatomy import Anatomy, Attention, Block, anatomy
from fairsqueeze.models.model import Model
from fairsqueeze.models.slimmed import NUMBERS, note_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def units(attention: Attention) -> int:
    """How many parts of an attention can be removed one by one.

    Query heads that share a key-value head go together with it (grouped-query attention); where all share a single one
    (multi-query), and where none do, each query head is a part of its own.
    """
    return attention.n_kv_heads if attention.n_kv_heads > 1 else attention.n_heads


def query_heads(attention: Attention, unit: int) -> range:
    """The query heads of a unit."""
    size = attention.n_heads // units(attention)
    return range(unit * size, (unit + 1) * size)


def output_inputs(attention: Attention, removed: Sequence[int]) -> list[int]:
    """The inputs of the output projection that these units feed."""
    return [i for unit in removed for head in query_heads(attention, unit) for i in attention.output_head(head).index]


def remove_heads(network: PreTrainedModel, removed: Sequence[Sequence[int]]) -> PreTrainedModel:
    """The network of `without_heads`."""
    return without_heads(network, removed).network


def without_heads(network: PreTrainedModel, removed: Sequence[Sequence[int]]) -> Rebuilt:
    """`network` without some of its attention heads: their query, key, value and output weights are gone.

    Equal to zeroing what these heads hand to the output projection (its bias stays). The config says the new numbers
    of heads where transformers can build the result from it; elsewhere it carries the note of `models.slimmed`.

    Args:
        network: its other weights are shared with the result; drop it.
        removed: for every block of its anatomy the `units` that go. At least one must stay in each.

    Raises:
        BadSetting: numbers that don't fit the anatomy, or a block without any head left.
        ModelError: the network can't be taken apart, or without these heads no longer computes the same.

    Source: pruning of heads by Michel et al. 2019, arXiv:1905.10650; `prune_heads` of transformers 4, for any
    architecture and by group.
    """
    found = anatomy(network)
    _check(found, removed)
    if not any(removed):
        return Rebuilt(network)
    outputs: dict[str, list[int]] = {}
    inputs: dict[str, list[int]] = {}
    for block, gone in zip(found.blocks, removed, strict=True):
        if gone:
            _features(block.attention, sorted(set(gone)), outputs, inputs)
    left = [_left(block.attention, gone) for block, gone in zip(found.blocks, removed, strict=True)]
    plan = Plan(cut(network, outputs, inputs), _configs(network, found, left), _numbers(network, found, left))
    return rebuild(network, plan, lambda: silenced_answer(network, inputs), trunk_answer)


def heads_gone(network: PreTrainedModel, removed: Sequence[Sequence[int]]) -> list[list[int]]:
    """Block by block the numbers of the query heads that these units hold, as they are in `network`."""
    blocks = anatomy(network).blocks
    return [
        sorted(head for unit in gone for head in query_heads(block.attention, unit))
        for block, gone in zip(blocks, removed, strict=True)
    ]


def take_heads_(model: Model, removed: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Remove these units in place; returns `removed`, the query heads of each block, and `max_difference`."""
    gone = heads_gone(model.network, removed)
    result = without_heads(model.network, removed)
    model.network = result.network
    return {"removed": gone, **result.to_json()}


def _check(found: Anatomy, removed: Sequence[Sequence[int]]) -> None:
    if len(removed) != len(found.blocks):
        raise BadSetting(f"Heads of {len(removed)} blocks are listed.", f"The network has {len(found.blocks)}.")
    for block, gone in zip(found.blocks, removed, strict=True):
        n = units(block.attention)
        if any(not 0 <= unit < n for unit in gone):
            raise BadSetting(f"{block.name}: there is no head among {sorted(gone)}.", f"It has 0 to {n - 1}.")
        if len(set(gone)) == n:
            raise BadSetting(f"{block.name} would lose all {n} of its heads.", "At least one must stay.")


def _features(
    attention: Attention, gone: Sequence[int], outputs: dict[str, list[int]], inputs: dict[str, list[int]]
) -> None:
    heads = [head for unit in gone for head in query_heads(attention, unit)]
    parts = [attention.query_head(head) for head in heads]
    if attention.n_kv_heads > 1:
        kv_heads = sorted({attention.kv_head_of(head) for head in heads})
        parts += [part(head) for part in (attention.key_head, attention.value_head) for head in kv_heads]
    elif attention.n_heads == 1:
        raise BadSetting("An attention with one head can't lose it.", "At least one must stay.")
    for part in parts:
        outputs.setdefault(part.module, []).extend(part.index)
    inputs.setdefault(attention.output.module, []).extend(output_inputs(attention, gone))


def _left(attention: Attention, gone: Sequence[int]) -> tuple[int, int]:
    """(query heads, key-value heads) that stay."""
    lost = sum(len(query_heads(attention, unit)) for unit in set(gone))
    kv_lost = len(set(gone)) if attention.n_kv_heads > 1 else 0
    return attention.n_heads - lost, attention.n_kv_heads - kv_lost


def _configs(network: PreTrainedModel, found: Anatomy, left: Sequence[tuple[int, int]]) -> list[PreTrainedConfig]:
    """The config as it is, and before it, where all blocks keep the same numbers of heads, one that says these."""
    base = base_config(network)
    if len(set(left)) > 1:
        return [base]
    changed = base_config(network)
    text = changed.get_text_config()
    heads, kv_heads = left[0]
    try:
        text.head_dim = found.blocks[0].attention.head_dim
        text.num_attention_heads = heads
        if getattr(text, "num_key_value_heads", None) is not None:
            text.num_key_value_heads = kv_heads
    except AttributeError:  # a config that derives one from the others (Falcon)
        return [base]
    return [changed, base]


def _numbers(network: PreTrainedModel, found: Anatomy, left: Sequence[tuple[int, int]]) -> list[Numbers]:
    """What the modules around each attention must be told, without and with what they read from their config."""
    names = trunk_names(network)
    note = note_of(network.config)
    before: Numbers = note["numbers"] if note else {}
    plain, deep = {k: dict(v) for k, v in before.items()}, {k: dict(v) for k, v in before.items()}
    for block, (heads, kv_heads) in zip(found.blocks, left, strict=True):
        size = block.attention.head_dim
        new = {"heads": heads, "kv_heads": kv_heads, "group": heads // kv_heads, "width": heads * size}
        for full in _around(block):
            module = network.get_submodule(full)
            own = _told(module, new)
            read = _told(getattr(module, "config", None), {k: new[k] for k in ("heads", "kv_heads")})
            if own:
                plain.setdefault(names[full], {}).update(own)
                deep.setdefault(names[full], {}).update(own)
            if read and module is _nearest(network, block):
                deep.setdefault(names[full], {}).update({f"config.{k}": v for k, v in read.items()})
    return [plain, deep]


def _told(owner: object, new: dict[str, int]) -> dict[str, int]:
    """Those attributes of `owner` that hang on its heads, with their new values."""
    return {
        attribute: new[role]
        for role, attributes in NUMBERS.items()
        if role in new
        for attribute in attributes
        if isinstance(getattr(owner, attribute, None), int)
    }


def _around(block: Block) -> list[str]:
    """The modules within a block that hold one of its attention's projections."""
    attention = block.attention
    parts = {part.module for part in (attention.query, attention.key, attention.value, attention.output)}
    names = {part.rpartition(".")[0] for part in parts}
    return sorted(name for name in names if len(name) > len(block.name))


def _nearest(network: PreTrainedModel, block: Block) -> nn.Module:
    return network.get_submodule(block.attention.query.module.rpartition(".")[0])
