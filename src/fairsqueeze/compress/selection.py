"""Selection: which weight matrices a method applies to, by the name it declares."""

from __future__ import annotations

from typing import Any

from fairsqueeze.models.anatomy import WeightRef, anatomy, weight_matrices


def selected(network: Any, select: str) -> list[WeightRef]:
    """The weights that `select` names, each matrix once, in the network's order. Biases are never among them.

    Args:
        network: a transformers model.
        select: "all" (embeddings and norms included), "linear", "attention", "feed_forward", or "query_key_value"
            (of attention, without the output projection).
    """
    if select != "query_key_value":
        return weight_matrices(network, select)
    raise NotImplementedError
