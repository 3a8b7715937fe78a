"""Corrections for testing many hypotheses at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Correction = Literal["holm", "bh", "none"]


def adjusted(p_values: Sequence[float | None], method: Correction = "holm") -> list[float | None]:
    """Adjusted p-values in the given order; None stays None and does not count as a test.

    `holm`: chance of any false alarm (Holm 1979). `bh`: expected share of false alarms among the alarms (Benjamini &
    Hochberg 1995). `none`: as given.
    """
    known = [i for i, p in enumerate(p_values) if p is not None]
    p = np.array([p_values[i] for i in known], dtype=np.float64)
    m = len(p)
    result: list[float | None] = [None] * len(p_values)
    if not m:
        return result
    order = np.argsort(p, kind="stable")
    ranked = p[order]
    if method == "holm":
        ranked = np.maximum.accumulate(ranked * (m - np.arange(m)))
    elif method == "bh":
        ranked = np.minimum.accumulate((ranked * m / np.arange(1, m + 1))[::-1])[::-1]
    for rank, position in enumerate(order):
        result[known[position]] = float(min(1.0, ranked[rank]))
    return result
