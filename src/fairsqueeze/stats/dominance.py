"""How many rows lie below and left of each row: the counts behind Kendall's tau, exactly, in O(n log n) for any ties.

The counts come from a radix descent over the bits of the ranks (a wavelet tree, walked once): at each bit the rows of
one group are split stably, and a row whose bit is 1 lies above all rows before it whose bit is 0. Every step is one
pass over arrays, for many columns at once.
"""

from __future__ import annotations

import numpy as np

CACHED = 16_000
"""Entries that are handled at once: few enough for the processor's cache."""


def concordance_sums(x: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Per row i the sum over rows j of sign(x_i - x_j) · sign(y_i - y_j), shapes (n,), (k, n) to int64 (k, n).

    Half of their total is Kendall's concordant minus discordant pairs. No value may be NaN.
    """
    ys = np.atleast_2d(ys)
    n = ys.shape[1]
    x_codes = np.unique(x, return_inverse=True)[1].ravel()
    y_codes = np.stack([np.unique(y, return_inverse=True)[1].ravel() for y in ys])
    below_x, same_x = _below_and_same(x_codes)
    below_y, same_y = (np.stack(c) for c in zip(*map(_below_and_same, y_codes), strict=True))
    top = y_codes.max() + 1
    # by x, and within equal x by falling y: rows before with a smaller y then have a smaller x
    key = x_codes * top + (top - 1 - y_codes)
    order = np.argsort(key, axis=1, kind="stable")
    less, equal = preceding(np.take_along_axis(y_codes, order, axis=1))
    run_start, run_end = _runs(np.take_along_axis(key, order, axis=1))
    equal = equal - (np.arange(n) - run_start)
    less, equal, start, end = (_in_rows(order, c) for c in (less, equal, run_start, run_end))
    below_in_x = below_x + same_x - end
    right_below = below_y - less - below_in_x
    right_same = same_y - equal - (end - start)
    right_above = n - below_x - same_x - right_below - right_same
    left_above = below_x - less - equal
    return less + right_above - left_above - right_below


def preceding(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every entry, how many before it in its row are smaller, and how many equal, int64 (k, n) each.

    Args:
        codes: integers >= 0, shape (k, n).
    """
    step = max(1, CACHED // max(1, codes.shape[1]))
    parts = [_preceding(codes[i : i + step]) for i in range(0, len(codes), step)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _preceding(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k, n = codes.shape
    offset = n * np.arange(k)[:, None]
    place = np.arange(n) + offset
    state = [codes.ravel(), place.ravel(), np.zeros(k * n, dtype=np.int64)]
    start, end = np.repeat(offset.ravel(), n), np.repeat(offset.ravel() + n, n)
    position = place.ravel()
    for bit in reversed(range(int(codes.max(initial=0)).bit_length())):
        current, rows, less = state
        one = (current >> bit) & 1
        zeros = np.concatenate([[0], np.cumsum(1 - one)])
        before = zeros[position] - zeros[start]
        middle = start + zeros[end] - zeros[start]
        up = one == 1
        less = less + np.where(up, before, 0)
        target = np.where(up, middle + (position - start) - before, start + before)
        moved = [np.empty_like(c) for c in (current, rows, less, start, end)]
        for to, values in zip(
            moved, (current, rows, less, np.where(up, middle, start), np.where(up, end, middle)), strict=True
        ):
            to[target] = values
        state, start, end = moved[:3], moved[3], moved[4]
    found = np.empty((2, k * n), dtype=np.int64)
    found[0, state[1]], found[1, state[1]] = state[2], position - start
    return found[0].reshape(k, n), found[1].reshape(k, n)


def _below_and_same(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many rows have a smaller code, and how many the same (the row itself among them)."""
    count = np.bincount(codes)
    return (np.cumsum(count) - count)[codes], count[codes]


def _runs(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First position of each entry's run of equal keys, and the position after its last, shape (k, n)."""
    n = ordered.shape[1]
    edge = np.ones((ordered.shape[0], n + 1), dtype=bool)
    edge[:, 1:-1] = ordered[:, 1:] != ordered[:, :-1]
    start = np.maximum.accumulate(np.where(edge[:, :-1], np.arange(n), 0), axis=1)
    after = np.where(edge[:, 1:], np.arange(1, n + 1), n)
    return start, np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]


def _in_rows(order: np.ndarray, values: np.ndarray) -> np.ndarray:
    back = np.empty_like(values)
    np.put_along_axis(back, order, values, axis=1)
    return back
