"""The weights of a network that compression may touch, each once, found by what modules are and not by their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from fairsqueeze.errors import unknown_name

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

Select = Literal["all", "linear", "block_linear", "attention", "attention_output", "feed_forward"]


@dataclass(frozen=True, eq=False)
class WeightRef:
    """One weight of a network, itself and not a copy.

    Args:
        name: full name of the parameter, as in `state_dict`; of a tied one the first.
        parameter: shape (out, in), or (in, out) if `transposed`; norms are vectors, embeddings (rows, width).
        transposed: whether it is stored (in, out), as GPT-2's Conv1D does.
        module: name of the module that owns it.
    """

    name: str
    parameter: nn.Parameter
    transposed: bool
    module: str


def weight_matrices(network: PreTrainedModel, select: Select | str) -> list[WeightRef]:
    """The weights that `select` names, in the network's order, tied or shared ones once; never biases.

    "all": the `weight` of every module that has one – embeddings, norms, every linear layer, output head and
    classifier (Mannheim 2024, `l1-unstructured`; see papers.md, study 1).
    "linear": every linear layer, classifier and untied output head included; an output head that is tied to the token
    embedding is the embedding, and left out.
    "block_linear": the linear layers inside the blocks; no output head, pooler, classifier or embedding projection.
    "attention": query, key and value projections (the study's "Global L1 AH"); fused ones whole. Without the output.
    "attention_output": the output projections of attention.
    "feed_forward": up, gate and down projections.

    Raises UnknownName for another `select`, ModelError where blocks, attention or feed-forward can't be
    found (`anatomy`).
    """
    if select not in get_args(Select):
        raise unknown_name("selection of weights", select, get_args(Select))
    if select in ("all", "linear"):
        embeddings = {id(m.weight) for _, m in network.named_modules() if is_embedding(m)}
        everything = _unique(_owners(network))
        if select == "all":
            return everything
        modules = dict(network.named_modules())
        return [r for r in everything if is_linear(modules[r.module]) and id(r.parameter) not in embeddings]
    from fairsqueeze.models.anatomy import anatomy, block_modules

    if select == "block_linear":
        inside = {id(weight_of(m)) for _, block in block_modules(network) for m in linear_layers(block).values()}
        return [ref for ref in weight_matrices(network, "linear") if id(ref.parameter) in inside]
    found = anatomy(network)
    names: list[str] = []
    for block in found.blocks:
        attention, forward = block.attention, block.feed_forward
        parts = {
            "attention": (attention.query, attention.key, attention.value),
            "attention_output": (attention.output,),
            "feed_forward": (forward.up, forward.gate, forward.down),
        }[select]
        names += [part.module for part in parts if part is not None]
    wanted = set(names)
    return [ref for ref in _unique(_owners(network)) if ref.module in wanted]


def oriented_shape(ref: WeightRef) -> tuple[int, int]:
    """(out features, in features) of a matrix, whichever way its layer stores it."""
    rows, columns = ref.parameter.shape
    return (columns, rows) if ref.transposed else (rows, columns)


def linear_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Every linear layer by name, in order, tied ones included."""
    return {name: module for name, module in network.named_modules() if is_linear(module)}


def is_linear(module: nn.Module) -> bool:
    """torch's Linear (and what derives from it), or the Conv1D of GPT-2, which is one with its weight transposed."""
    from torch import nn

    return isinstance(module, nn.Linear) or is_transposed(module)


def is_transposed(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


def is_embedding(module: nn.Module) -> bool:
    from torch import nn

    return isinstance(module, nn.Embedding)


def is_norm(module: nn.Module) -> bool:
    """A module whose own weight is a vector: the layer norms of all families."""
    weight = module._parameters.get("weight")
    return weight is not None and weight.ndim == 1


def weight_of(module: nn.Module) -> torch.Tensor:
    """The `weight` of a module that has one."""
    weight: torch.Tensor = module.get_parameter("weight")
    return weight


def sizes(linear: nn.Module) -> tuple[int, int]:
    """(out features, in features) of a linear layer of either kind."""
    weight = weight_of(linear)
    return (weight.shape[1], weight.shape[0]) if is_transposed(linear) else (weight.shape[0], weight.shape[1])


def _owners(network: nn.Module) -> Iterator[WeightRef]:
    for name, module in network.named_modules():
        weight = module._parameters.get("weight")
        if weight is not None:
            yield WeightRef(f"{name}.weight".lstrip("."), weight, is_transposed(module), name)


def _unique(refs: Iterable[WeightRef]) -> list[WeightRef]:
    found: dict[int, WeightRef] = {}
    for ref in refs:
        found.setdefault(id(ref.parameter), ref)
    return list(found.values())
