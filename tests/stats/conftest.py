"""Frames and declared measures made of plain numbers, so that statistics can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fairsqueeze.registry import Card, Measure, Statistic


def share(frame, weights):
    """Share of rows with preference > 0, ties counted half."""
    chosen = (frame["preference"] > 0) + 0.5 * (frame["preference"] == 0)
    return weights @ chosen / weights.sum(axis=1)


SHARE = Statistic("share_stereotypical", share, 0.5, 0.5, 0.5, (0.0, 1.0), needs=("preference",))


def text(values: Sequence[str | None]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = list(values)
    return column


def make_frame(preference, control, cluster=None, axis=None, item=None, **columns) -> dict[str, np.ndarray]:
    """Columns of records; undefined numbers as NaN, status ok where anything is defined."""
    preference, control = np.asarray(preference, float), np.asarray(control, float)
    n = len(preference)
    defined = ~np.isnan(preference) | ~np.isnan(control)
    return {
        "item": text(item if item is not None else [f"i{i:05d}" for i in range(n)]),
        "axis": text(axis if axis is not None else ["gender"] * n),
        "group": text(["g"] * n),
        "cluster": text([str(c) for c in (cluster if cluster is not None else range(n))]),
        "status": text(["ok" if d else "broken" for d in defined]),
        "preference": preference,
        "control": control,
        "n_tokens": np.ones(n),
        **{name: np.asarray(c) for name, c in columns.items()},
    }


@pytest.fixture(name="frame")
def frame_fixture() -> Callable[..., dict[str, np.ndarray]]:
    return make_frame


@pytest.fixture(name="share")
def share_fixture() -> Statistic:
    return SHARE


@pytest.fixture
def declare() -> Callable[..., Measure]:
    def make(*statistics: Statistic, role: str = "measure", name: str = "toy", control: str = "a contrast") -> Measure:
        def score(item, answers):
            """A toy."""
            return []

        return Measure(
            name=name,
            role=role,
            version=1,
            kinds=frozenset({"causal"}),
            data=(),
            source="none",
            items=lambda files: [],
            asks=lambda item: {},
            score=score,
            statistics=statistics,
            card=Card(control=control),
        )

    return make
