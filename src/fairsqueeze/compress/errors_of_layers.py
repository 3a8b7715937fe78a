"""Errors of layers: how far compressed weights, and what layers put out with them, lie from the old ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fairsqueeze.registry import Method


class Errors:
    """Collects, layer by layer, what a method that changes all weights did to them.

    Nothing for methods that only zero weights and know nothing of inputs: their sparsity says it all.
    """

    def __init__(self, method: Method) -> None:
        self._weights: list[float] | None = [] if method.simulated else None
        self._outputs: list[float] | None = [] if "hessian" in method.needs else None

    def add(self, old: Tensor, new: Tensor, hessian: Tensor | None) -> None:
        """Both weights (out, in), and the Hessian of the layer's squared error where it is known, (in, in)."""
        if self._weights is None and self._outputs is None:
            return
        kind = torch.float64 if old.dtype == torch.float64 else torch.float32
        was, change = old.to(kind), new.to(kind) - old.to(kind)
        if self._weights is not None:
            self._weights.append(_ratio(torch.linalg.vector_norm(change), torch.linalg.vector_norm(was)))
        if self._outputs is not None and hessian is not None:
            self._outputs.append(_ratio(_output_norm(change, hessian), _output_norm(was, hessian)))

    def to_json(self) -> dict[str, Any]:
        """`mean_relative_error`, `max_relative_error` over layers of ‖new − old‖ / ‖old‖ (Frobenius; 0 for a layer of
        zeros), and `…_relative_output_error` of ‖(new − old)X‖ / ‖old X‖ on the calibration inputs X that a layer got.
        """
        found: dict[str, Any] = {}
        for name, errors in (("relative_error", self._weights), ("relative_output_error", self._outputs)):
            if errors:
                found[f"mean_{name}"] = sum(errors) / len(errors)
                found[f"max_{name}"] = max(errors)
        return found


def _output_norm(weight: Tensor, hessian: Tensor) -> Tensor:
    """‖weight · X‖ but for a factor: the root of tr(W H Wᵀ)."""
    return ((weight @ hessian) * weight).sum(dtype=torch.float64).clamp(min=0).sqrt()


def _ratio(change: Tensor, size: Tensor) -> float:
    return float(change) / float(size) if float(size) else 0.0
