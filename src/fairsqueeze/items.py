"""Items (what a measure shows to a model), rows (what came back), and seeded, stratified samples of items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One line of the records: what one stimulus showed about a model. Undefined values are None, never 0.

    `preference` is the signed pull toward the stereotype (> 0 stereotypical) and `control` the competence on
    the matched content-free contrast (> 0 competent), both in nats, or in probability points where the measure
    has no likelihood. `answer` holds the raw scores: the same keys in every row of a measure.
    A row with `axis` None is a control shared by every axis.
    """

    item: str
    axis: str | None
    group: str
    cluster: str
    preference: float | None = None
    control: float | None = None
    status: str = "ok"
    answer: Mapping[str, Any] = field(default_factory=dict)
    n_tokens: int = 0


@dataclass(frozen=True, eq=False)
class Item:
    """One stimulus: whom it is about, what it depends on, and its texts under `content`."""

    id: str
    axis: str | None
    group: str
    cluster: str
    content: Mapping[str, Any]

    def row(
        self,
        preference: float | None = None,
        control: float | None = None,
        *,
        answer: Mapping[str, Any],
        n_tokens: int,
        status: str = "ok",
    ) -> Row:
        """This item's row; where either value is None, `status` says why."""
        return Row(self.id, self.axis, self.group, self.cluster, preference, control, status, answer, n_tokens)


def sample(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """A seeded sample of `limit` items, stratified by axis in proportion to the axes' sizes.

    Shares are rounded by largest remainder and every axis keeps at least one item while `limit` allows.
    Items keep their given order, and the draw depends on item ids only, not on the order of `items`.
    `limit` None, or at least as large as `items`, returns all of them.
    """
    if limit is None or limit >= len(items):
        return list(items)
    strata: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        strata[item.axis or ""].append(item)
    quota = _quotas({axis: len(members) for axis, members in strata.items()}, limit)
    chosen: set[str] = set()
    for axis, members in sorted(strata.items()):
        ids = sorted(i.id for i in members)
        rng = np.random.default_rng([seed, *axis.encode()])
        chosen.update(ids[k] for k in rng.choice(len(ids), size=quota[axis], replace=False))
    return [item for item in items if item.id in chosen]


def _quotas(sizes: Mapping[str, int], limit: int) -> dict[str, int]:
    total = sum(sizes.values())
    exact = {axis: limit * size / total for axis, size in sizes.items()}
    floor = 1 if limit >= len(sizes) else 0
    quota = {axis: min(sizes[axis], max(floor, int(share))) for axis, share in exact.items()}
    by_remainder = sorted(exact, key=lambda a: (-(exact[a] - int(exact[a])), a))
    while (short := limit - sum(quota.values())) != 0:
        step = 1 if short > 0 else -1
        order = by_remainder if step > 0 else sorted(quota, key=lambda a: (-quota[a], a))
        for axis in order:
            if short == 0:
                break
            if (step > 0 and quota[axis] < sizes[axis]) or (step < 0 and quota[axis] > floor):
                quota[axis] += step
                short -= step
    return quota
