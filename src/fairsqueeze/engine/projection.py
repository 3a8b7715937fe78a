"""Projector: hidden states to vocabulary logits, at the needed positions alone.

Architectures differ in what lies between the last hidden state and the logits (a transform, soft-capping, a scale). So
the network's own forward is used, with its body replaced for the moment by one that hands over the states in question:
whatever the network does after its body, it does here. A small probe makes sure that this gives the network's logits.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from fairsqueeze.engine.usage import Usage

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOGITS_AT_ONCE = 1 << 24
"""Logits held at a time: 64 MiB in float32."""
TOLERANCE = 1e-4


class Projector:
    """Runs the body of a network and projects chosen states; `body` is None where only the whole network will do."""

    def __init__(self, network: PreTrainedModel, usage: Usage) -> None:
        self._network = network
        self.usage = usage
        self._accepted = frozenset(inspect.signature(network.forward).parameters)
        self._output_type: Any = None
        self.body = next((body for body in _bodies(network) if self._agrees(body)), None)
        usage.only_needed_projected = self.body is not None
        if self.body is None:
            usage.note("All positions are projected to the vocabulary: this architecture's head can't be run apart.")

    @property
    def most_tokens(self) -> int | None:
        """How many tokens fit a forward pass by their logits: no limit where only needed positions are projected."""
        return None if self.body is not None else max(1, 4 * LOGITS_AT_ONCE // _vocabulary(self._network))

    def states(self, **inputs: torch.Tensor) -> torch.Tensor:
        """What `logits` takes: last hidden states, shape (rows, length, width), or all logits where need be."""
        self.usage.forward_passes += 1
        if self.body is None:
            return self._network(**inputs, **self._without_cache()).logits
        return self.body(**inputs, **self._without_cache()).last_hidden_state

    def logits(self, states: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Logits in float32 of `states`, shape (n, width), piece by piece: (index of the first, (some, vocabulary))."""
        self.usage.positions_projected += len(states)
        if self.body is None:
            yield 0, states.float()
            return
        step = max(1, LOGITS_AT_ONCE // _vocabulary(self._network))
        for begin in range(0, len(states), step):
            yield begin, self._head(self.body, states[begin : begin + step]).float()

    def _head(self, body: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        output = self._output_type(last_hidden_state=states[None])
        dummy = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        with _answering(body, output):
            return self._network(input_ids=dummy, **self._without_cache()).logits[0]

    def _agrees(self, body: torch.nn.Module) -> bool:
        """Whether the network's logits come out of `body` and `_head`, on one short sequence."""
        ids = probe_ids(self._network, 7)[None]
        whole = self._network(input_ids=ids, **self._without_cache()).logits[0].float()
        try:
            output = body(input_ids=ids, **self._without_cache())
            self._output_type = type(output)
            apart = self._head(body, output.last_hidden_state[0, 1:4])
        except Exception:  # a body of another make may fail in any way; then the whole network is run instead
            return False
        scale = max(1.0, whole.abs().max().item())
        return apart.shape == whole[1:4].shape and (apart - whole[1:4]).abs().max().item() <= TOLERANCE * scale

    def _without_cache(self) -> dict[str, bool]:
        return {"use_cache": False} if "use_cache" in self._accepted else {}


def probe_ids(network: PreTrainedModel, length: int, seed: int = 0) -> torch.Tensor:
    """A fixed sequence of different token ids, shape (length,)."""
    ids = [(31 * position + 17 + 101 * seed) % _vocabulary(network) for position in range(length)]
    return torch.tensor(ids, device=network.device)


def _vocabulary(network: PreTrainedModel) -> int:
    weight: Any = network.get_input_embeddings().weight
    return int(weight.shape[0])


def _bodies(network: PreTrainedModel) -> list[torch.nn.Module]:
    """What may be called by the network's forward to get hidden states: its base model, or the decoder in this."""
    base = network.base_model
    found = [base, getattr(base, "decoder", None), getattr(base, "encoder", None)]
    return [body for body in found if isinstance(body, torch.nn.Module) and body is not network]


@contextmanager
def _answering(body: torch.nn.Module, output: Any) -> Iterator[None]:
    """Within, `body` answers `output` to whatever it is asked, once at least."""
    asked = []

    def forward(*args: Any, **kwargs: Any) -> Any:
        asked.append(True)
        return output

    own = body.__dict__.get("forward")
    body.forward = forward
    try:
        yield
    finally:
        if own is None:
            del body.forward
        else:
            body.forward = own
    if not asked:
        raise RuntimeError("The network does not call this body.")
