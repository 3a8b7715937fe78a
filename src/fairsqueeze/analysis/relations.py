"""What a set of checkpoints says about its measures: agreement, capability, validity, rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fairsqueeze.analysis.checkpoints import Checkpoints, MeasureColumn
from fairsqueeze.stats.agreement import (
    MIN_ROWS,
    Agreement,
    correlations,
    direction_agreement,
    kendall,
    krippendorff_alpha,
)
from fairsqueeze.stats.estimate import generator
from fairsqueeze.stats.multiplicity import Correction, adjusted
from fairsqueeze.stats.multitrait import Multitrait, multitrait
from fairsqueeze.stats.randomness_reward import RandomnessReward, reward_from_table

CORRECTION: Correction = "holm"
"""Over all pairs of one kind within one set of checkpoints."""


@dataclass(frozen=True)
class Capability:
    """How one measure goes with performance; `reading`: "as published" or "distance from the ideal"."""

    measure: str
    reading: str
    agreement: Agreement


@dataclass(frozen=True)
class Reward:
    """Randomness reward of one measure, and its interval at the level that Bonferroni asks over all measures."""

    measure: str
    reward: RandomnessReward
    low_corrected: float | None
    high_corrected: float | None


@dataclass(frozen=True)
class Relations:
    """What one set of checkpoints shows. `left_out` names the checkpoints that the set lacks."""

    name: str
    left_out: tuple[str, ...]
    n: int
    agreement: tuple[Agreement, ...]
    ranking: Agreement | None
    capability: tuple[Capability, ...]
    validity: Multitrait | None
    rewards: tuple[Reward, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "set": self.name,
            "left_out": list(self.left_out),
            "n": self.n,
            "agreement": [asdict(a) for a in self.agreement],
            "ranking": None if self.ranking is None else asdict(self.ranking),
            "capability": [
                {"measure": c.measure, "reading": c.reading, **asdict(c.agreement)} for c in self.capability
            ],
            "validity": None if self.validity is None else _validity_json(self.validity),
            "randomness_reward": [
                {
                    "measure": r.measure,
                    **asdict(r.reward),
                    "low_corrected": r.low_corrected,
                    "high_corrected": r.high_corrected,
                }
                for r in self.rewards
            ],
        }


def relations_of(points: Checkpoints, name: str, left_out: Sequence[str], *, seed: int, replicates: int) -> Relations:
    """All relations within `points`.

    Args:
        name: of the set: "all", "without collapsed", "without influential".
        left_out: labels of the checkpoints that were taken out to make it.
        seed: of the bootstrap; each figure's draws depend on the seed and its kind only.
    """
    pairs, capability = _correlations(points, seed, replicates)
    return Relations(
        name,
        tuple(left_out),
        points.n,
        tuple(pairs + _direction(points, seed, replicates)),
        _ranking(points, seed, replicates),
        tuple(capability),
        _validity(points),
        tuple(_rewards(points, seed, replicates)),
    )


def varying(measures: Sequence[MeasureColumn]) -> list[MeasureColumn]:
    """The measures with at least two different values."""
    return [m for m in measures if len(np.unique(m.bias[~np.isnan(m.bias)])) > 1]


def _correlations(points: Checkpoints, seed: int, replicates: int) -> tuple[list[Agreement], list[Capability]]:
    """Agreement of the measures' bias with each other, and of bias and published values with performance."""
    columns = {m.name: m.bias for m in varying(points.measures)}
    performance, held = {}, None
    if points.performance is not None:
        held = points.performance.name
        performance = {held: points.performance.upward}
    published = {m.name: m.values for m in points.measures if m.name in columns}
    options: dict[str, Any] = {"replicates": replicates, "correction": "none"}

    def drawn(kind: str) -> np.random.Generator:
        return generator(seed, f"analysis/{kind}", None)

    every = {**performance, **columns}
    of_bias = correlations(every, points.clusters, rng=drawn("spearman"), given=held, **options)
    of_bias += kendall(every, points.clusters, rng=drawn("kendall"), **options)
    pairs = [a for a in of_bias if held not in (a.x, a.y)]
    capability: list[Agreement] = []
    if held is not None:
        every = {**performance, **published}
        capability = correlations(every, points.clusters, rng=drawn("published"), **options)
        capability += correlations(every, points.clusters, rng=drawn("pearson"), ranked=False, **options)
    as_bias = _of_capability([a for a in of_bias if held in (a.x, a.y)], held, "distance from the ideal")
    with_ideal = {m.name for m in points.measures if m.ideal is not None}
    as_published = _of_capability([a for a in capability if held in (a.x, a.y)], held, "as published")
    return _corrected(pairs), as_published + [c for c in as_bias if c.measure in with_ideal]


def _of_capability(found: list[Agreement], held: str | None, reading: str) -> list[Capability]:
    return [Capability(a.y if a.x == held else a.x, reading, a) for a in _corrected(found)]


def _direction(points: Checkpoints, seed: int, replicates: int) -> list[Agreement]:
    """Whether bias moved the same way against the dense parent."""
    rows = points.children
    if len(rows) < MIN_ROWS:
        return []
    changes = {m.name: m.bias[rows] - m.bias[points.parent[rows]] for m in varying(points.measures)}
    rng = generator(seed, "analysis/direction", None)
    return direction_agreement(changes, points.clusters[rows], rng=rng, replicates=replicates, correction=CORRECTION)


def _ranking(points: Checkpoints, seed: int, replicates: int) -> Agreement | None:
    columns = {m.name: m.bias for m in varying(points.measures)}
    if len(columns) < 2 or points.n < MIN_ROWS:
        return None
    rng = generator(seed, "analysis/ranking", None)
    return krippendorff_alpha(columns, points.clusters, rng=rng, replicates=replicates)


def _validity(points: Checkpoints) -> Multitrait | None:
    """The matrix of all methods that are there on the same two or more axes; None if there are not two."""
    by_method: dict[str, dict[str, MeasureColumn]] = {}
    for m in (*varying(points.measures), *varying(points.by_axis)):
        if m.method and m.axis:
            by_method.setdefault(m.method, {})[m.axis] = m
    axes = crossed(by_method)
    methods = [m for m, own in by_method.items() if axes and axes <= set(own)]
    if len(methods) < 2:
        return None
    cells = [(axis, method) for method in methods for axis in sorted(axes)]
    columns = [by_method[method][axis].bias for axis, method in cells]
    return multitrait(columns, [c[0] for c in cells], [c[1] for c in cells], points.clusters)


def crossed(by_method: dict[str, dict[str, MeasureColumn]]) -> set[str]:
    """The two or more axes that some two methods share, as many cells (methods x axes) as there can be."""
    best: tuple[int, set[str]] = (0, set())
    for one in by_method.values():
        for two in by_method.values():
            axes = set(one) & set(two)
            covering = sum(axes <= set(own) for own in by_method.values())
            if one is not two and len(axes) > 1 and len(axes) * covering > best[0]:
                best = (len(axes) * covering, axes)
    return best[1]


def _rewards(points: Checkpoints, seed: int, replicates: int) -> list[Reward]:
    competence = None if points.performance is None else points.performance.competence
    if competence is None or not len(points.children):
        return []
    known = [m for m in points.measures if m.ideal is not None]
    found = []
    for m in known:
        both = [
            reward_from_table(
                m.values,
                competence,
                points.parent,
                float(m.ideal or 0.0),
                rng=generator(seed, "analysis/reward", m.name),
                replicates=replicates,
                level=level,
            )
            for level in (0.95, 1 - 0.05 / len(known))
        ]
        found.append(Reward(m.name, both[0], both[1].low, both[1].high))
    return found


def _corrected(found: list[Agreement]) -> list[Agreement]:
    result = list(found)
    for kind in {a.kind for a in found}:
        members = [i for i, a in enumerate(found) if a.kind == kind]
        for i, p in zip(members, adjusted([found[i].p for i in members], CORRECTION), strict=True):
            result[i] = replace(found[i], p_adjusted=p)
    return result


def _validity_json(validity: Multitrait) -> dict[str, Any]:
    matrix = [[None if np.isnan(v) else float(v) for v in row] for row in validity.matrix]
    cells = [{"axis": t, "method": m} for t, m in zip(validity.traits, validity.methods, strict=True)]
    return {"cells": cells, "matrix": matrix, "figures": [asdict(f) for f in validity.figures], "n": validity.n}
