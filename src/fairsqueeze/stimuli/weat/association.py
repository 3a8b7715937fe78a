"""The arithmetic of association tests: s(w), effect size, permutation p-value. Numbers in, numbers out.

Caliskan et al. 2017 (Science 356:183): s(w) = mean_a cos(w, a) - mean_b cos(w, b) over the attribute sets A and B;
d = [mean of s over X - mean of s over Y] / standard deviation of s over X and Y together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fairsqueeze.registry import Frame

FLAT = 1e-12
"""Spread of s at or below which all targets count as equally associated: rounding, not a measurement."""

MOST_PARTITIONS = 100_000
"""Largest number of partitions that are all tried; beyond it they are sampled."""


@dataclass(frozen=True)
class EffectSize:
    """Result of one test.

    Args:
        test, axis: name of the test and its axis (None: one of the control tests).
        d: effect size, > 0 stereotypical; None where it is undefined (a set is empty, or s is the same for all).
        p: one-sided: share of partitions of X and Y whose statistic is at least the one seen; None where d is.
        exact: whether all partitions were tried.
        n_x, n_y: targets with a defined s.
    """

    test: str
    axis: str | None
    d: float | None
    p: float | None
    exact: bool
    n_x: int
    n_y: int


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of `vectors`, shape (n, width), at length 1, float64; NaN for a row of zeros."""
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.full_like(vectors, math.nan), where=length > 0)


def associations(targets: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean cosine of each target with the vectors of A, and with those of B; each of shape (n,).

    Args:
        targets, a, b: vectors of shapes (n, width), (n_a, width), (n_b, width). A zero vector gives NaN: its own
            value if it is a target's, every value if it is an attribute's.
    """
    targets = unit(targets)
    return targets @ unit(a).mean(axis=0), targets @ unit(b).mean(axis=0)


def effect_size(s: np.ndarray, is_x: np.ndarray, weights: np.ndarray, ddof: int = 1) -> np.ndarray:
    """Effect size d in each of r replicates, shape (r,); NaN where X or Y is empty or s does not vary.

    Args:
        s: associations of the targets, shape (n,), finite.
        is_x: True for the targets of X, shape (n,); the others are of Y.
        weights: how often each target counts, shape (r, n).
        ddof: 1 divides the variance by n - 1 (Caliskan, May, Bias Bench), 0 by n.
    """
    if not len(s):
        return np.full(len(weights), math.nan)
    s, x = s - s.mean(), is_x.astype(np.float64)
    y = 1.0 - x
    n_x, n_y, sum_x, sum_y, squares = (weights @ np.stack([x, y, x * s, y * s, s * s], axis=1)).T
    n, total = n_x + n_y, sum_x + sum_y
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (squares - total**2 / n) / (n - ddof)
        deviation = np.sqrt(np.where(n > ddof, np.maximum(variance, 0.0), math.nan))
        d = (sum_x / n_x - sum_y / n_y) / deviation
    flat = deviation <= max(FLAT, 1e-7 * float(np.abs(s).max()))
    return np.where(flat | (n_x == 0) | (n_y == 0), math.nan, d)


def p_value(s: np.ndarray, is_x: np.ndarray, *, samples: int, seed: int) -> tuple[float, bool]:
    """One-sided permutation p-value, and whether it is exact.

    The share of the partitions of all targets into sets of the sizes of X and Y for which the test statistic (sum of s
    over the first set minus sum over the second) is at least the one seen, which is among them: ties count, as in
    May et al.'s code; Caliskan et al. write "greater than". With more than `MOST_PARTITIONS` partitions, `samples` of
    them, the one seen included, so p is never below 1 / samples.
    """
    n, n_x = len(s), int(is_x.sum())
    seen = s[is_x].sum()
    at_least = seen - 1e-12 * max(1.0, float(np.abs(s).sum()))  # the same sum in another order is a tie
    if math.comb(n, n_x) <= MOST_PARTITIONS:
        sums = s[np.array(list(combinations(range(n), n_x)))].sum(axis=1)
        return float(np.mean(sums >= at_least)), True
    rng = np.random.default_rng(seed)
    drawn = rng.random((samples - 1, n)).argsort(axis=1)[:, :n_x]
    reached = 1 + int(np.sum(s[drawn].sum(axis=1) >= at_least))
    return float(reached / samples), False


def effect_sizes(frame: Frame, *, samples: int = 10_000, seed: int = 0) -> list[EffectSize]:
    """Effect size and p-value of every test in the records of `weat` or `seat`, in the order of the records.

    Args:
        frame: the records, control tests included.
        samples: partitions tried where not all are.
        seed: of their draw; a test's p depends on nothing but this, its name and its rows.
    """
    order = np.argsort(frame["item"].astype(str), kind="stable")
    found = []
    for test in dict.fromkeys(frame["test"]):
        rows = np.array([k for k in order if frame["test"][k] == test])
        axis = frame["axis"][rows[0]]
        rows = rows[~np.isnan(frame["s"][rows])]
        s, is_x = frame["s"][rows], frame["set"][rows] == "X"
        n_x, n_y = int(is_x.sum()), int((~is_x).sum())
        ddof = int(frame["ddof"][rows[0]]) if len(rows) else 1
        d = float(effect_size(s, is_x, np.ones((1, len(rows))), ddof)[0])
        p, exact = None, False
        if not math.isnan(d):
            p, exact = p_value(s, is_x, samples=samples, seed=seed_of(seed, test))
        found.append(EffectSize(test, axis, None if math.isnan(d) else d, p, exact, n_x, n_y))
    return found


def seed_of(seed: int, test: str) -> int:
    """The seed of one test's permutations: the same whatever other tests there are."""
    return int.from_bytes(np.random.SeedSequence([seed, *test.encode()]).generate_state(2).tobytes(), "big")
