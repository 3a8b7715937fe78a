"""Anatomy: the blocks of a network and the parts of each – attention heads, feed-forward neurons – of any architecture.

Nothing here knows an architecture by name. Blocks are the repeated modules; what each linear layer of a block does is
found by experiment (`probe.py`), and a guess from sizes and config counts only once the experiment agrees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fairsqueeze.errors import ModelError
from fairsqueeze.models.matrices import (
    Select,
    WeightRef,
    is_embedding,
    is_linear,
    is_norm,
    is_transposed,
    linear_layers,
    sizes,
    weight_matrices,
    weight_of,
)
from fairsqueeze.models.probe import count_runs

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

__all__ = [
    "Anatomy",
    "Attention",
    "Block",
    "FeedForward",
    "LinearLayer",
    "Select",
    "Slice",
    "WeightRef",
    "anatomy",
    "block_modules",
    "part_of",
    "weight_matrices",
]


@dataclass(frozen=True)
class Slice:
    """Some features of a linear layer, in a meaningful order.

    Args:
        module: full name of the linear layer.
        index: feature numbers; of queries, head by head (head h has `index[h * head_dim : (h + 1) * head_dim]`).
        side: "out" – rows of a weight (out, in) – or "in" – its columns.
    """

    module: str
    index: tuple[int, ...]
    side: Literal["out", "in"] = "out"

    def take(self, start: int, stop: int) -> Slice:
        """The features from `start` to `stop` of this slice."""
        return Slice(self.module, self.index[start:stop], self.side)


@dataclass(frozen=True)
class Attention:
    """Self-attention of a block. `output` lists the inputs of the output projection, query head by query head.

    With `n_kv_heads` < `n_heads`, query heads share keys and values: head h uses kv head h // (n_heads // n_kv_heads).
    """

    query: Slice
    key: Slice
    value: Slice
    output: Slice
    n_heads: int
    n_kv_heads: int
    head_dim: int

    def query_head(self, head: int) -> Slice:
        """The features of one query head, in the query projection."""
        return self.query.take(head * self.head_dim, (head + 1) * self.head_dim)

    def output_head(self, head: int) -> Slice:
        """The inputs of the output projection that one query head feeds."""
        return self.output.take(head * self.head_dim, (head + 1) * self.head_dim)

    def key_head(self, kv_head: int) -> Slice:
        return self.key.take(kv_head * self.head_dim, (kv_head + 1) * self.head_dim)

    def value_head(self, kv_head: int) -> Slice:
        return self.value.take(kv_head * self.head_dim, (kv_head + 1) * self.head_dim)

    def kv_head_of(self, head: int) -> int:
        """The key-value head that query head `head` reads."""
        return head // (self.n_heads // self.n_kv_heads)


@dataclass(frozen=True)
class FeedForward:
    """The feed-forward part: neuron i is feature i of `up` (and of `gate`, None where there is none) and input i of
    `down`."""

    up: Slice
    gate: Slice | None
    down: Slice

    @property
    def width(self) -> int:
        return len(self.down.index)


Part = TypeVar("Part", Attention, FeedForward)


@dataclass(frozen=True)
class Block:
    """One block: a module, its parts, and how often it runs in one pass (> 1 where layers share their weights)."""

    name: str
    attention: Attention
    feed_forward: FeedForward
    runs: int = 1

    @property
    def shared(self) -> bool:
        return self.runs > 1


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer; `transposed` if its weight is stored (in, out)."""

    name: str
    in_features: int
    out_features: int
    transposed: bool
    bias: bool


@dataclass(frozen=True)
class Anatomy:
    """What a network is made of.

    Args:
        blocks: in order; a block whose weights several layers share stands once.
        linears: every linear layer, in order, by name.
        embeddings, norms: names of modules.
        input_embedding: the token embedding.
        head: linear layers outside the trunk (a masked head's transform and decoder, an output head, a classifier).
        tied: names of parameters that are one tensor, in groups.
    """

    blocks: tuple[Block, ...]
    linears: dict[str, LinearLayer]
    embeddings: tuple[str, ...]
    norms: tuple[str, ...]
    input_embedding: str
    head: tuple[str, ...]
    tied: tuple[tuple[str, ...], ...]

    @property
    def shared(self) -> bool:
        """Whether several layers share the weights of one block, as in ALBERT: compressing it compresses them all."""
        return any(block.shared for block in self.blocks)

    @property
    def n_layers(self) -> int:
        """Number of layers that a text passes through, shared ones counted each time."""
        return sum(block.runs for block in self.blocks)


def anatomy(network: PreTrainedModel) -> Anatomy:
    """What `network` is made of. Runs a few tiny passes of it, and leaves it as it was.

    Raises ModelError where blocks, attention or feed-forward parts can't be told apart with certainty: a block with
    experts, cross-attention, convolutions, or a layout of fused projections that no hypothesis explains.
    """
    from fairsqueeze.models.roles import roles_in

    found = block_modules(network)
    known: dict[tuple[object, ...], tuple[str, Attention, FeedForward]] = {}
    blocks = []
    for (name, module), runs in zip(found, count_runs(network, [m for _, m in found]), strict=True):
        signature = _signature(module)
        if signature not in known:
            known[signature] = (name, *roles_in(network, name, module))
        first, attention, forward = known[signature]
        blocks.append(Block(name, _moved(attention, first, name), _moved(forward, first, name), runs))
    linears = linear_layers(network)
    modules = dict(network.named_modules())
    token = network.get_input_embeddings()
    return Anatomy(
        blocks=tuple(blocks),
        linears={
            name: LinearLayer(name, sizes(m)[1], sizes(m)[0], is_transposed(m), getattr(m, "bias", None) is not None)
            for name, m in linears.items()
        },
        embeddings=tuple(name for name, m in modules.items() if is_embedding(m)),
        norms=tuple(name for name, m in modules.items() if is_norm(m)),
        input_embedding=next(name for name, m in modules.items() if m is token),
        head=tuple(_outside_trunk(network, linears)),
        tied=_tied(network),
    )


def part_of(network: PreTrainedModel, part: Slice) -> torch.Tensor:
    """A copy of the part of a weight that `part` names: (features, in) for side "out", (out, features) for "in"."""
    module = network.get_submodule(part.module)
    weight = weight_of(module).detach()
    oriented = weight.T if is_transposed(module) else weight
    return oriented[list(part.index)].clone() if part.side == "out" else oriented[:, list(part.index)].clone()


def block_modules(network: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """The blocks by name: the children of the list of modules, all of one class, that holds most weights of linear
    layers. Where each child only wraps a list of the same kind (ALBERT's groups), the children of those.

    Raises ModelError where there is no such list.
    """
    lists = _lists_of_blocks("", network)
    if not lists:
        raise ModelError(
            f"{type(network).__name__} has no repeated blocks of linear layers.",
            "Its architecture can't be taken apart.",
        )
    name, chosen = max(lists, key=lambda entry: _linear_weights(entry[1]))
    blocks = [(f"{name}.{key}", child) for key, child in chosen.named_children()]
    while all(_only_wraps(name, block) for name, block in blocks):
        inner = [_lists_of_blocks(name, block)[0] for name, block in blocks]
        blocks = [(f"{name}.{key}", child) for name, inside in inner for key, child in inside.named_children()]
    return blocks


def _only_wraps(name: str, block: nn.Module) -> bool:
    """Whether all linear layers of `block` lie in one list of blocks inside it."""
    inner = _lists_of_blocks(name, block)
    return len(inner) == 1 and _linear_weights(inner[0][1]) == _linear_weights(block)


def _lists_of_blocks(prefix: str, root: nn.Module) -> list[tuple[str, nn.Module]]:
    from torch import nn

    found: list[tuple[str, nn.Module]] = []
    for name, module in root.named_modules(prefix=prefix):
        if module is root or not isinstance(module, nn.ModuleList) or len(module) == 0:
            continue
        inside = any(name.startswith(f"{outer}.") for outer, _ in found)
        if not inside and len({type(child) for child in module}) == 1 and _linear_weights(module):
            found.append((name, module))
    return found


def _linear_weights(root: nn.Module) -> int:
    return sum(weight_of(module).numel() for module in root.modules() if is_linear(module))


def _signature(block: nn.Module) -> tuple[object, ...]:
    """Equal for blocks that are built alike."""
    return tuple((name, *sizes(module), is_transposed(module)) for name, module in linear_layers(block).items())


def _moved(part: Part, old: str, new: str) -> Part:
    """The same part of another block that is built alike."""
    changes: dict[str, Any] = {
        field.name: replace(value, module=new + value.module.removeprefix(old))
        for field in fields(part)
        if isinstance(value := getattr(part, field.name), Slice)
    }
    return replace(part, **changes)


def _outside_trunk(network: PreTrainedModel, linears: dict[str, nn.Module]) -> Iterable[str]:
    inside = {id(module) for module in network.base_model.modules()}
    return [name for name, module in linears.items() if id(module) not in inside]


def _tied(network: PreTrainedModel) -> tuple[tuple[str, ...], ...]:
    groups: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
