"""Are all weights numbers? Outputs alone do not tell: fused attention on a CPU swallows NaN and answers finitely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from fairsqueeze.errors import NonFinite
from fairsqueeze.models.packed import inner_tensors

if TYPE_CHECKING:
    from fairsqueeze.models.model import Model


def check_finite(model: Model) -> None:
    """Raises NonFinite, naming the first weights that hold NaN or infinity, and how many do."""
    found = [name for name, tensor in model.network.named_parameters() if not all(map(_finite, inner_tensors(tensor)))]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise NonFinite(
            f"{model.reference} has weights that are NaN or infinite: {', '.join(found[:3])}{more}.",
            "The model is broken (a failed compression or download); a broken model is not an unbiased one.",
        )


def _finite(tensor: torch.Tensor) -> bool:
    """Smallest and largest are finite; both are NaN if any entry is. One pass, no temporary of the tensor's size."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    low, high = torch.aminmax(tensor)
    return bool(torch.isfinite(low) and torch.isfinite(high))
