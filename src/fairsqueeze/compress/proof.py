"""Proof: what a method promised to remove is compared with what is really gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairsqueeze.compress.cut import drop_count
from fairsqueeze.errors import ModelError, NonFinite
from fairsqueeze.models.anatomy import WeightRef
from fairsqueeze.registry import Method

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_floats(refs: Sequence[WeightRef], method: str) -> None:
    """ModelError if a weight is no ordinary float (a quantised model), NonFinite if one is NaN or infinite."""
    for ref in refs:
        weight = ref.parameter
        if weight.dtype not in FLOATS or type(weight.data) is not Tensor or weight.is_meta:
            raise ModelError(
                f"{method} can't change {ref.name}: its weights are {weight.dtype} ({type(weight.data).__name__}).",
                "Prune before quantising, or load the model dequantised.",
            )
        if not bool(torch.isfinite(weight).all()):
            raise NonFinite(f"{ref.name} holds NaN or infinite weights.", "The model is broken; load it again.")


@dataclass(frozen=True)
class Zeros:
    """Zeros among the selected weights, counted unit by unit: a matrix, a row, or the whole selection.

    Args:
        names: of the layers, in order.
        zeros, sizes: per layer, int64 arrays over its units.
        pooled: all layers together are one unit.
    """

    names: tuple[str, ...]
    zeros: tuple[Tensor, ...]
    sizes: tuple[Tensor, ...]
    pooled: bool

    @classmethod
    def of(cls, refs: Sequence[WeightRef], exact_over: str) -> Zeros:
        """Count them now. A row is an output row, whichever way the layer stores it."""
        zeros, sizes = [], []
        for ref in refs:
            weight = ref.parameter.detach()
            if exact_over == "row" and weight.ndim == 2:
                inputs = 0 if ref.transposed else 1
                count = _zeros_along(weight, inputs).cpu()
                size = torch.full_like(count, weight.shape[inputs])
            else:
                count = torch.tensor([weight.numel() - int(torch.count_nonzero(weight))])
                size = torch.tensor([weight.numel()])
            zeros.append(count)
            sizes.append(size)
        return cls(tuple(r.name for r in refs), tuple(zeros), tuple(sizes), exact_over == "selection")

    @property
    def total(self) -> tuple[int, int]:
        """Zeros, and weights, of the whole selection."""
        return int(sum(z.sum() for z in self.zeros)), int(sum(s.sum() for s in self.sizes))

    def units(self) -> list[tuple[str, int, int]]:
        """(layer, zeros, weights) of every unit."""
        if self.pooled:
            return [("the selection", *self.total)]
        return [
            (name, int(z), int(n))
            for name, zeros, sizes in zip(self.names, self.zeros, self.sizes, strict=True)
            for z, n in zip(zeros.tolist(), sizes.tolist(), strict=True)
        ]


def _zeros_along(weight: Tensor, dim: int) -> Tensor:
    """Zeros along a dimension, int64. By the "norm" of order 0, since the sum of a mask holds eight bytes a weight:
    beside them the counts would keep half a GiB of a small model from being given back."""
    kind = torch.promote_types(weight.dtype, torch.float32)  # whole numbers are exact up to 2^24
    nonzero = torch.linalg.vector_norm(weight, 0, dim, dtype=kind)
    return weight.shape[dim] - nonzero.to(torch.int64)


def prove(method: Method, settings: Mapping[str, Any], before: Zeros, after: Zeros) -> dict[str, Any]:
    """What is zero now, JSON-ready: `weights`, `zeros`, `sparsity` of the selection and its range over layers.

    Raises ModelError where the method promises an exact sparsity and a unit has another one, to the nearest weight.
    A unit that already had more zeros keeps them.
    """
    if method.exact_over and "sparsity" in settings:
        for (name, was, n), (_, now, _) in zip(before.units(), after.units(), strict=True):
            wanted = max(was, drop_count(settings["sparsity"], n))
            if now != wanted:
                raise ModelError(
                    f"{method.name}: {name} has {now:,} zeros of {n:,} weights (a {method.exact_over}) "
                    f"where sparsity {settings['sparsity']} means {wanted:,}.",
                    "This is a fault of the method; nothing is returned.",
                )
    zeros, weights = after.total
    shares = [int(z.sum()) / int(n.sum()) for z, n in zip(after.zeros, after.sizes, strict=True)]
    return {
        "matrices": len(after.names),
        "weights": weights,
        "zeros": zeros,
        "zeros_before": before.total[0],
        "sparsity": zeros / weights,
        "lowest_sparsity": min(shares),
        "highest_sparsity": max(shares),
    }
