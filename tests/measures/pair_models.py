"""Simulated sentence-pair models: what a measure asks is answered from the item, with known bias and competence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fairsqueeze.items import Item
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.estimate import Estimate, estimates_of

Answerer = Callable[[Item, str, Any], Any]
"""(item, name of the request, request) -> its answer."""


def frame_from(declared: Measure, items: list[Item], answer: Answerer, **settings: Any) -> Frame:
    rows = [
        row
        for item in items
        for row in declared.score(item, {n: answer(item, n, r) for n, r in declared.asks(item).items()}, **settings)
    ]
    return frame_of(table_of(rows, step="s", checkpoint="c", measure=declared.name, metadata={}))


def estimates(declared: Measure, frame: Frame, *, replicates: int = 400) -> Mapping[str, Estimate]:
    """The overall estimates by name."""
    found = estimates_of(frame, declared, seed=0, replicates=replicates)
    return {estimate.statistic: estimate for estimate in found if estimate.axis is None}


def noise(item: Item, name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Standard normal numbers that depend on item and request only."""
    return np.random.default_rng([seed, *f"{item.id}/{name}".encode()]).standard_normal(shape)
