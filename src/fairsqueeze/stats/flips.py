"""Flips: the items whose choice changed between two models, and McNemar's test on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class Flips:
    """How many paired items changed sides.

    `up`: from the anti-stereotypical (wrong) to the stereotypical (right) side; `down`: the other way; `ties`: items
    tied (0) in exactly one of the two models, which are no flips; `n`: items compared. `mcnemar_p`: exact two-sided
    McNemar test of up = down; it takes items as independent, so with clusters it is too small.
    """

    n: int
    up: int
    down: int
    ties: int
    mcnemar_p: float

    @property
    def share(self) -> float | None:
        """Share of the items that flipped, None without items."""
        return (self.up + self.down) / self.n if self.n else None


def flips_of(base: np.ndarray, other: np.ndarray) -> Flips:
    """Flips between two signed columns of the same items, shape (n,); items undefined (NaN) in either don't count."""
    both = ~np.isnan(base) & ~np.isnan(other)
    before, after = np.sign(base[both]), np.sign(other[both])
    up = int(np.sum((before < 0) & (after > 0)))
    down = int(np.sum((before > 0) & (after < 0)))
    ties = int(np.sum((before == 0) != (after == 0)))
    p = float(binomtest(up, up + down, 0.5).pvalue) if up + down else 1.0
    return Flips(int(both.sum()), up, down, ties, p)
