"""Choice: which parts go, the least important ones, so that something of every layer stays."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fairsqueeze.compress.cut import drop_count
from fairsqueeze.errors import NonFinite


def removal_counts(share: float, sizes: Sequence[int], per_layer: bool) -> list[int]:
    """How many parts a `share` in [0, 1) means: of every layer, or (a single number) of all of them together.

    To the nearest whole part, but at least one stays in each layer.
    """
    if per_layer:
        return [min(drop_count(share, n), n - 1) for n in sizes]
    return [min(drop_count(share, sum(sizes)), sum(sizes) - len(sizes))]


def least_important(importance: Sequence[Tensor], share: float, per_layer: bool) -> list[list[int]]:
    """For every layer the numbers of the parts that go, ascending: those of the smallest importance.

    Args:
        importance: of every part of every layer, one vector each; finite.
        share: of all parts, in [0, 1); see `removal_counts`.
        per_layer: the same share of each layer; else those that are the smallest of all, but never the most important
            one of a layer. Of equal parts the first go first.

    Raises NonFinite if an importance is NaN or infinite.
    """
    _check_finite(importance)
    counts = removal_counts(share, [len(scores) for scores in importance], per_layer)
    if not per_layer:
        return first_of(ranked(importance), counts[0], len(importance))
    return [
        sorted(scores.argsort(stable=True)[:count].tolist()) for scores, count in zip(importance, counts, strict=True)
    ]


def ranked(importance: Sequence[Tensor]) -> list[tuple[int, int]]:
    """(layer, part) of all that may go, the least important first; the most important of each layer may not."""
    _check_finite(importance)
    parts = []
    for layer, scores in enumerate(importance):
        order = scores.argsort(stable=True).tolist()
        parts += [(float(scores[part]), layer, part) for part in order[:-1]]
    return [(layer, part) for _, layer, part in sorted(parts)]


def first_of(order: Sequence[tuple[int, int]], count: int, layers: int) -> list[list[int]]:
    """The first `count` of (layer, part), gathered by layer."""
    gone: list[list[int]] = [[] for _ in range(layers)]
    for layer, part in order[:count]:
        gone[layer].append(part)
    return [sorted(parts) for parts in gone]


def _check_finite(importance: Sequence[Tensor]) -> None:
    if not all(bool(torch.isfinite(scores).all()) for scores in importance):
        raise NonFinite("The importance of a part is NaN or infinite.", "The model is broken; load it again.")
