"""Surgery: take features of linear layers, or whole blocks, out of a network, and build what is left anew.

Nothing is trusted: the network that is left is built as transformers will build it from its config (or as
`models.slimmed` will), given the remaining weights, and must answer a probe as the whole network does with the removed
parts silenced. A config that does not pass is not used; if none passes, nothing is returned.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from fairsqueeze.errors import ModelError, NonFinite
from fairsqueeze.models.matrices import is_linear, is_transposed, sizes
from fairsqueeze.models.quiet import quiet_transformers
from fairsqueeze.models.slimmed import KEY, note_of, plain_class, slimmed_class

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Features: TypeAlias = Mapping[str, Iterable[int]]
"""Feature numbers by full name of a linear layer."""
Numbers: TypeAlias = dict[str, dict[str, int]]
"""Attributes by name of a module within the trunk, as in `models.slimmed`."""

_PROBE_TOKENS = 12
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
_TOLERANCE_16_BIT = 0.05
_ROUNDING = 1000.0
"""How far above the limit in float32 a difference may still be rounding, so that float64 decides."""
_FAILS = (ValueError, TypeError, RuntimeError, ArithmeticError, AttributeError, LookupError, ModelError)
"""What a network raises while it is built or run with a config that does not fit: no reason to stop trying others."""


@dataclass(frozen=True)
class Plan:
    """What a network shall become.

    Args:
        tensors: every parameter and persistent buffer of it by name; tied ones the same object.
        configs: candidates, without the note of `models.slimmed`, the preferred first. The last one must build the
            whole network but for the shapes of linear layers.
        numbers: what attention modules must be told where a config can't say it; candidates, the preferred first.
        old_name: name of a tensor or module of the new network -> its name in the old one.
    """

    tensors: Mapping[str, Tensor]
    configs: Sequence[PreTrainedConfig]
    numbers: Sequence[Numbers] = field(default_factory=lambda: ({},))
    old_name: Callable[[str], str] = str


@dataclass(frozen=True)
class Rebuilt:
    """A network without some parts, and how far its answer to the probe is from the whole one with them silenced.

    Args:
        network: shares its other weights with the whole one.
        max_difference: largest difference of an entry of the answers; 0 where nothing was removed.
        in_float64: the same in float64, where a float32 network differs by more than 1e-5 × max(1, largest entry): deep
            ones do by rounding alone, since smaller matrices are summed in another order. It is what decides then.
    """

    network: PreTrainedModel
    max_difference: float = 0.0
    in_float64: float | None = None

    def to_json(self) -> dict[str, float]:
        """`max_difference`, and `max_difference_float64` where that decided."""
        exact = {} if self.in_float64 is None else {"max_difference_float64": self.in_float64}
        return {"max_difference": self.max_difference, **exact}


def cut(network: PreTrainedModel, outputs: Features, inputs: Features) -> dict[str, Tensor]:
    """All tensors of `network` by name, without these output and input features of its linear layers.

    Untouched tensors are those of the network itself; tied ones stay one object. Biases go with the outputs.
    """
    state = network.state_dict(keep_vars=True)
    changed: dict[int, Tensor] = {}
    for features, out in ((outputs, True), (inputs, False)):
        for name, removed in features.items():
            module = network.get_submodule(name)
            keep = _left(sizes(module)[0 if out else 1], removed)
            axis = 0 if out != is_transposed(module) else 1
            weight: Tensor = module.weight  # type: ignore[assignment]
            changed[id(weight)] = changed.get(id(weight), weight.detach()).index_select(axis, keep.to(weight.device))
            bias = getattr(module, "bias", None)
            if out and bias is not None:
                changed[id(bias)] = bias.detach().index_select(0, keep.to(bias.device))
    parameters = {key: nn.Parameter(tensor.contiguous()) for key, tensor in changed.items()}
    return {name: parameters.get(id(tensor), tensor) for name, tensor in state.items()}


def _left(size: int, removed: Iterable[int]) -> Tensor:
    gone = set(removed)
    left = torch.tensor([i for i in range(size) if i not in gone], dtype=torch.long)
    if not len(left):
        raise ModelError("Nothing would be left of a layer.", "Remove less.")
    return left


@contextmanager
def silenced(network: nn.Module, inputs: Features) -> Iterator[None]:
    """In this context the given input features of linear layers are zero: the reference that a removal must equal."""

    def silence(removed: Iterable[int]) -> Callable[..., Any]:
        index = torch.tensor(sorted(removed), dtype=torch.long)
        return lambda _, given: (given[0].index_fill(-1, index.to(given[0].device), 0.0), *given[1:])

    handles = [network.get_submodule(n).register_forward_pre_hook(silence(r)) for n, r in inputs.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def base_config(network: PreTrainedModel) -> PreTrainedConfig:
    """A copy of its config without the note of `models.slimmed`."""
    config = copy.deepcopy(network.config)
    if getattr(config, KEY, None) is not None:
        delattr(config, KEY)
    return config


def trunk_names(network: PreTrainedModel) -> dict[str, str]:
    """Name within the trunk, by full name of a module."""
    inside = {id(module): name for name, module in network.base_model.named_modules()}
    return {name: inside[id(module)] for name, module in network.named_modules() if id(module) in inside}


def rebuild(
    network: PreTrainedModel, plan: Plan, reference: Callable[[], Tensor], answer: Callable[[PreTrainedModel], Tensor]
) -> Rebuilt:
    """The network that `plan` describes: the first of its candidates whose `answer` is the `reference`, to 1e-5.

    `reference()`: what `network` answers with the removed parts silenced.

    Plain configs are tried first, then with the note of `models.slimmed`. Weights are shared with `network`, not
    copied; it should be dropped. Raises ModelError if no candidate answers right, NonFinite if `wanted` isn't finite.
    """
    wanted = reference()
    if not bool(torch.isfinite(wanted).all()):
        raise NonFinite(f"{type(network).__name__} answers NaN or infinity.", "The model is broken; load it again.")
    reasons: list[str] = []
    for config in _candidates(network, plan):
        try:
            candidate = _built(network, config(), plan)
            got = answer(candidate)
        except _FAILS as problem:
            reasons.append(str(problem).split("\n")[0])
            continue
        limit = _TOLERANCE.get(network.dtype, _TOLERANCE_16_BIT) * max(1.0, float(wanted.abs().max()))
        difference = _difference(got, wanted)
        if difference <= limit:
            return Rebuilt(candidate, difference)
        if difference <= _ROUNDING * limit and _all_float32(network, candidate):
            exact = _in_float64(network, candidate, lambda new: _difference(answer(new), reference()))
            if exact <= limit:
                return Rebuilt(candidate, difference, exact)
            difference = exact
        reasons.append(f"answers differ by {difference:.3g}")
    raise ModelError(
        f"A {type(network).__name__} without these parts can't be built: {'; '.join(dict.fromkeys(reasons))}.",
        "Methods that zero weights apply to it.",
    )


def _difference(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).abs().max()) if got.shape == wanted.shape else float("nan")


def _all_float32(*networks: PreTrainedModel) -> bool:
    tensors = [t for network in networks for t in (*network.parameters(), *network.buffers())]
    return all(tensor.dtype == torch.float32 for tensor in tensors if tensor.is_floating_point())


def _in_float64(
    network: PreTrainedModel, candidate: PreTrainedModel, difference: Callable[[PreTrainedModel], float]
) -> float:
    """`difference` of two float32 networks that share weights while both are float64; exact there and back."""
    try:
        network.double(), candidate.double()
        return difference(candidate)
    finally:
        network.float(), candidate.float()


def _candidates(network: PreTrainedModel, plan: Plan) -> Iterator[Callable[[], PreTrainedConfig]]:
    for config in plan.configs:
        yield lambda config=config: config  # type: ignore[misc]
    for config in reversed(plan.configs):
        for numbers in plan.numbers:
            yield lambda config=config, numbers=numbers: _noted(network, config, plan.tensors, numbers)  # type: ignore[misc]


def _noted(
    network: PreTrainedModel, config: PreTrainedConfig, tensors: Mapping[str, Tensor], numbers: Numbers
) -> PreTrainedConfig:
    """`config` with the note that makes up for every linear layer that it would build with another shape."""
    empty = empty_network(network, config)
    names = trunk_names(empty)
    linears = {}
    for name, module in empty.named_modules():
        weight = tensors.get(f"{name}.weight")
        if not is_linear(module) or weight is None or weight.shape == module.weight.shape:  # type: ignore[union-attr]
            continue
        if name not in names:
            raise ModelError(f"{name}, outside the trunk, has another shape", "")
        shape = weight.T.shape if is_transposed(module) else weight.shape
        linears[names[name]] = list(shape)
    noted = copy.deepcopy(config)
    setattr(noted, KEY, {"linears": linears, "numbers": numbers})
    note_of(noted)
    return noted


def empty_network(network: PreTrainedModel, config: PreTrainedConfig) -> PreTrainedModel:
    """A network like `network`, built from `config` without weights (on the meta device)."""
    from transformers import initialization

    made_from = type(network)
    more = {}
    takes = inspect.signature(made_from.__init__).parameters
    if "add_pooling_layer" in takes:
        more["add_pooling_layer"] = getattr(network, "pooler", None) is not None
    with quiet_transformers(), initialization.no_init_weights(), torch.device("meta"):
        built = slimmed_class(made_from, config)._from_config(copy.deepcopy(config), dtype=network.dtype, **more)
    return plain_class(built)


def _built(network: PreTrainedModel, config: PreTrainedConfig, plan: Plan) -> PreTrainedModel:
    built = empty_network(network, config)
    built.load_state_dict(plan.tensors, strict=True, assign=True)
    old = dict(network.named_buffers())
    for name, buffer in list(built.named_buffers()):
        if buffer.is_meta:
            owner, _, own = name.rpartition(".")
            built.get_submodule(owner)._buffers[own] = old[plan.old_name(name)]
    left = [name for name, parameter in built.named_parameters() if parameter.is_meta]
    if left:
        raise ModelError(f"{left[0]} has no weights", "")
    if getattr(network, "generation_config", None) is not None:
        built.generation_config = copy.deepcopy(network.generation_config)
    return built.eval()


def probe_ids(network: PreTrainedModel, allowed: Sequence[int] | None = None) -> Tensor:
    """Token ids (1, 12), drawn with a fixed seed from those that are `allowed` (None: all)."""
    rows = token_rows(network)
    drawn = torch.randint(0, len(allowed) if allowed else rows, (1, _PROBE_TOKENS), generator=_generator())
    return torch.tensor(allowed)[drawn] if allowed else drawn


def token_rows(network: PreTrainedModel) -> int:
    """Rows of the token embedding."""
    weight: Tensor = network.get_input_embeddings().weight  # type: ignore[assignment]
    return weight.shape[0]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def trunk_answer(network: PreTrainedModel) -> Tensor:
    """The last hidden state of `network` for its probe."""
    return answer_of(network.base_model, probe_ids(network))


def silenced_answer(network: PreTrainedModel, inputs: Features) -> Tensor:
    """`trunk_answer` with these input features of linear layers at zero."""
    with silenced(network, inputs):
        return trunk_answer(network)


@torch.no_grad()
def answer_of(network: nn.Module, ids: Tensor) -> Tensor:
    """First output of `network` for token ids (1, n)."""
    ids = ids.to(next(network.parameters()).device)
    first: Tensor = network(input_ids=ids, attention_mask=torch.ones_like(ids))[0]
    return first
