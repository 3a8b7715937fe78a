"""Layer statistics: what went into the linear layers of a block, summed up while it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fairsqueeze.errors import ModelError, NonFinite, unknown_name
from fairsqueeze.models.matrices import sizes

STATISTICS = ("input_norm", "input_mean_abs", "hessian")
"""`input_norm`: L2 norm of each input feature over all tokens, (in,). `input_mean_abs`: mean magnitude of each, (in,).
`hessian`: 2/n · XᵀX of the n tokens' inputs X (n, in), (in, in): that of the squared error of a layer's outputs."""


class InputSums:
    """Sums over the inputs of one linear layer.

    Args:
        features: number of input features.
        needs: which of `STATISTICS` will be asked for; sums for others are not kept.
        like: device and floating type of the layer; sums of float64 layers are float64, of others float32.
    """

    def __init__(self, features: int, needs: Collection[str], like: Tensor) -> None:
        self.tokens = 0
        self._kind = torch.float64 if like.dtype == torch.float64 else torch.float32
        vector = torch.zeros(features, dtype=torch.float64, device=like.device)
        self._squares = vector.clone() if "input_norm" in needs else None
        self._sizes = vector.clone() if "input_mean_abs" in needs else None
        square = (features, features)
        self._products = torch.zeros(square, dtype=self._kind, device=like.device) if "hessian" in needs else None

    def add(self, inputs: Tensor) -> None:
        """Count the tokens in `inputs`, (…, features)."""
        rows = inputs.detach().reshape(-1, inputs.shape[-1]).to(self._kind)
        self.tokens += len(rows)
        if self._squares is not None:
            self._squares += rows.square().sum(0, dtype=torch.float64)
        if self._sizes is not None:
            self._sizes += rows.abs().sum(0, dtype=torch.float64)
        if self._products is not None:
            self._products.addmm_(rows.T, rows)

    def values(self, layer: str) -> dict[str, Tensor]:
        """The statistics asked for, by name. Raises ModelError if no token came by, NonFinite for NaN or infinity."""
        if not self.tokens:
            raise ModelError(
                f"{layer} saw no token of the calibration text.",
                "Use more sequences; a layer that is never called can't be calibrated.",
            )
        found: dict[str, Tensor] = {}
        if self._squares is not None:
            found["input_norm"] = self._squares.sqrt().to(self._kind)
        if self._sizes is not None:
            found["input_mean_abs"] = (self._sizes / self.tokens).to(self._kind)
        if self._products is not None:
            found["hessian"] = self._products * (2 / self.tokens)
        for name, value in found.items():
            if not bool(torch.isfinite(value).all()):
                raise NonFinite(
                    f"{name} of {layer} is NaN or infinite.", "The model is broken on the calibration text."
                )
        return found


class _Seen(Exception):
    """The last layer has its input; the rest of the block need not run."""


class Watch:
    """Statistics of several linear layers of a block. Layers that get the very same tensor (query, key and value) are
    summed once, since the Hessian is what costs."""

    def __init__(self, layers: Mapping[str, nn.Module], needs: Collection[str]) -> None:
        for need in needs:
            if need not in STATISTICS:
                raise unknown_name("layer statistic", need, STATISTICS)
        self._layers, self._needs = layers, needs
        self._sums: dict[str, InputSums] = {}
        self._leader: dict[str, str] = {}
        self._now: dict[tuple[int, int], tuple[Tensor, str]] = {}
        self._called: list[str] = []
        self._usual: list[str] = []

    @contextmanager
    def watching(self, whole: bool = True) -> Iterator[None]:
        """In this context the layers' inputs are counted: one pass of the block over one batch.

        A pass that need not be `whole` ends with the input of the last layer, where passes before it have shown which
        that is: every layer once, in one order. What comes out of the block is then not computed.
        """
        self._called, self._whole = [], whole
        handles = [layer.register_forward_pre_hook(self._hook(name)) for name, layer in self._layers.items()]
        try:
            yield
            self._usual = self._called
        except _Seen:
            pass
        finally:
            self._now.clear()
            for handle in handles:
                handle.remove()

    def values(self) -> dict[str, dict[str, Tensor]]:
        """By layer, its statistics by name; layers with the same inputs share the tensors."""
        empty = {name: self._leader.get(name, name) for name in self._layers}
        for name in set(empty.values()) - self._sums.keys():
            self._sums[name] = self._fresh(name)
        shared = {name: self._sums[name].values(name) for name in dict.fromkeys(empty.values())}
        return {name: shared[leader] for name, leader in empty.items()}

    def _fresh(self, name: str) -> InputSums:
        layer = self._layers[name]
        return InputSums(sizes(layer)[1], self._needs, layer.get_parameter("weight"))

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_: nn.Module, given: tuple[Any, ...]) -> None:
            inputs: Tensor = given[0]
            # Held until the pass ends, so that no other tensor can get the same id.
            leader = self._now.setdefault((id(inputs), inputs._version), (inputs, name))[1]
            if self._leader.setdefault(name, leader) != leader:
                raise ModelError(f"The inputs of {name} do not come the same way in every pass.", "")
            if leader == name:
                if name not in self._sums:
                    self._sums[name] = self._fresh(name)
                self._sums[name].add(inputs)
            self._called.append(name)
            if not self._whole and self._called == self._usual and sorted(self._usual) == sorted(self._layers):
                raise _Seen

        return hook
