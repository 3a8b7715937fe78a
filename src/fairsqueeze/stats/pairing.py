"""Pairing: the rows that two models' records share, undefined wherever either is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from fairsqueeze.records import select
from fairsqueeze.registry import Frame, Measure
from fairsqueeze.stats.forms import FORMS


@dataclass(frozen=True, eq=False)
class Pair:
    """Two frames of the same rows in the same order; `n_unpaired` counts rows of one only, by axis (None: all)."""

    base: dict[str, np.ndarray]
    other: dict[str, np.ndarray]
    n_unpaired: dict[str | None, int]


def paired_frames(base: Frame, other: Frame, declared: Measure) -> Pair:
    """Join two models' records on item, axis and group (repeated keys in their order).

    In every column that a statistic needs, a value that is undefined in one model becomes undefined in the other;
    such a row gets the status `undefined in one model`. Cluster names are those of `base`.
    """
    base_keys, other_keys = _keys(base), _keys(other)
    position = {key: i for i, key in enumerate(other_keys)}
    shared = [(i, position[key]) for i, key in enumerate(base_keys) if key in position]
    index = np.array(shared, dtype=np.int64).reshape(-1, 2)
    left, right = select(base, index[:, 0]), select(other, index[:, 1])
    right["cluster"] = left["cluster"]
    _blank(left, right, _needed(declared))
    lost: Counter[str | None] = Counter()
    for key in set(base_keys) ^ set(other_keys):
        lost[None] += 1
        if key[1] is not None:
            lost[key[1]] += 1
    return Pair(left, right, dict(lost))


def _keys(frame: Frame) -> list[tuple[str, str | None, str | None, int]]:
    seen: Counter[tuple[str, str | None, str | None]] = Counter()
    keys = []
    for item, axis, group in zip(frame["item"], frame["axis"], frame["group"], strict=True):
        seen[item, axis, group] += 1
        keys.append((item, axis, group, seen[item, axis, group]))
    return keys


def _needed(declared: Measure) -> set[str]:
    columns = {"preference", "control"} | {c for form in FORMS for c in form.columns}
    return columns | {c for s in declared.statistics for c in s.needs}


def _blank(left: dict[str, np.ndarray], right: dict[str, np.ndarray], columns: set[str]) -> None:
    """Set undefined in both what is undefined in one; the arrays are replaced, not edited."""
    bad = np.zeros(len(left["item"]), dtype=bool)
    for name in sorted(columns & set(left) & set(right)):
        undefined = _undefined(left[name]) | _undefined(right[name])
        bad |= undefined & ~(_undefined(left[name]) & _undefined(right[name]))
        for side in (left, right):
            side[name] = side[name].copy()
            side[name][undefined] = None if side[name].dtype == object else np.nan
    for side in (left, right):
        side["status"] = np.where(bad & (side["status"] == "ok"), "undefined in one model", side["status"])
    failed = (left["status"] != "ok") | (right["status"] != "ok")
    left["status"] = np.where(failed & (left["status"] == "ok"), right["status"], left["status"])


def _undefined(column: np.ndarray) -> np.ndarray:
    if column.dtype == object:
        return np.array([v is None for v in column], dtype=bool)
    return np.isnan(column)
