"""What few rows can't rule out: the least width that an interval of so few rows may have.

Resampling a handful of rows that happen to lie on a line gives the same coefficient each time, and so an interval of
width 0 around 1. Below `FEW_ROWS` rows an interval is therefore never narrower than the classical one of as many
independent rows: Fisher's z with the standard error of Bonett & Wright 2000 for Spearman, of Fieller, Hartley & Pearson
1957 for Kendall, and half a step of the coefficient taken off first (continuity), so that 1 is never certain; for the
agreement of signs, Clopper & Pearson's exact interval of the share of equal signs.
"""

from __future__ import annotations

import math

from scipy.special import betaincinv, ndtr, ndtri

FEW_ROWS = 30


def least_interval(kind: str, value: float, n: int, level: float = 0.95) -> tuple[float, float, float] | None:
    """Lower and upper bound and two-sided p-value of 0 as of `n` independent rows; None where too few even for that.

    Args:
        kind: pearson, spearman, krippendorff_alpha, partial_pearson, partial_spearman or kendall.
        value: the coefficient, in [-1, 1].
    """
    error = _error(kind, value, n)
    if error is None:
        return None
    size = max(0.0, min(abs(value) - _half_step(kind, n), 1 - 1e-9))
    centre = math.copysign(math.atanh(size), value)
    half = float(ndtri((1 + level) / 2)) * error
    low, high = math.tanh(centre - half), math.tanh(centre + half)
    return min(low, value), max(high, value), float(2 * ndtr(-abs(centre) / error))


def share_bounds(same: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper & Pearson's exact interval of the share `same` / `n`."""
    tail = (1 - level) / 2
    low = 0.0 if same == 0 else float(betaincinv(same, n - same + 1, tail))
    high = 1.0 if same == n else float(betaincinv(same + 1, n - same, 1 - tail))
    return low, high


def _error(kind: str, value: float, n: int) -> float | None:
    """Standard error of atanh(value); the variable held constant takes one row away."""
    if kind == "kendall":
        return math.sqrt(0.437 / (n - 4)) if n > 4 else None
    free = n - 3 - kind.startswith("partial")
    if free < 1:
        return None
    return math.sqrt((1 if kind.endswith("pearson") else 1 + value**2 / 2) / free)


def _half_step(kind: str, n: int) -> float:
    if kind == "kendall":
        return 2 / (n * (n - 1))
    return 0.0 if kind.endswith("pearson") else 6 / (n**3 - n)
