"""From association tests to items, rows and statistics: what `weat` and `seat` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from fairsqueeze.engine.requests import Vector
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Frame, Statistic
from fairsqueeze.stimuli.weat.association import associations, effect_size, p_value, seed_of
from fairsqueeze.stimuli.weat.chance import chance_of
from fairsqueeze.stimuli.weat.tables import SETS, Test

Deviation = Literal["sample", "population"]
ZERO = "a vector is zero"
PERMUTATIONS = 10_000


def items_of(tests: Sequence[Test]) -> list[Item]:
    """One item per test; the axis of a control test (1 and 2) is None: its rows are controls shared by every axis."""
    return [
        Item(
            test.name,
            test.axis,
            test.categories["X"],
            test.name,
            {
                "texts": {s: [[t.text, t.word] for t in test.texts.get(s, ())] for s in SETS},
                "categories": dict(test.categories),
                "absent": test.absent,
            },
        )
        for test in tests
    ]


def texts_of(item: Item) -> dict[str, str]:
    """Every text of the test by set and number: `X0`, `X1`, …; none for a test that can't be run here."""
    return {f"{s}{k}": text for s in SETS for k, (text, _) in enumerate(item.content["texts"][s])}


def rows_of(item: Item, answers: Mapping[str, Vector], sd: Deviation) -> list[Row]:
    """One row per target of the test (X, then Y); a single row with the reason for a test that can't be run here.

    The value of a target is s(w) for X and -s(w) for Y, times n / (2 n_set): its mean over the test is half the
    difference of the sets' means. It is the preference of a bias test and the control of tests 1 and 2.
    """
    ddof = 1 if sd == "sample" else 0
    if item.content["absent"]:
        answer = {"test": item.id, "set": "", "s": None, "ddof": ddof}
        reason = item.content["absent"]
        return [Row(f"{item.id}:absent", item.axis, item.group, item.id, status=reason, answer=answer)]
    sets = {s: [answers[f"{s}{k}"] for k in range(len(item.content["texts"][s]))] for s in SETS}
    vectors = {s: np.stack([v.values for v in found]) for s, found in sets.items()}
    rows = []
    n = len(sets["X"]) + len(sets["Y"])
    for name, sign in (("X", 1.0), ("Y", -1.0)):
        with_a, with_b = associations(vectors[name], vectors["A"], vectors["B"])
        for k, s in enumerate(with_a - with_b):
            value = None if np.isnan(s) else float(sign * s * n / (2 * len(sets[name])))
            rows.append(
                Row(
                    f"{item.id}:{name}{k}",
                    item.axis,
                    item.content["categories"][name],
                    item.content["texts"][name][k][1],
                    preference=value if item.axis is not None else None,
                    control=value if item.axis is None else None,
                    status="ok" if value is not None else ZERO,
                    answer={"test": item.id, "set": name, "s": None if value is None else float(s), "ddof": ddof},
                    n_tokens=sets[name][k].n_tokens,
                )
            )
    return rows


def statistics_of(kind: Literal["words", "sentences"], tests: Sequence[str]) -> tuple[Statistic, ...]:
    """mean |d| overall and per axis, then effect size and permutation p-value of every test."""

    def chance(frame: Frame, rng: np.random.Generator) -> float:
        return chance_of(kind, frame)

    mean = Statistic("mean_abs_effect", mean_abs_effect, 0.0, chance, None, (0.0, 2.0), needs=("s",))
    single = []
    for test in tests:
        where = {"needs": ("s",), "by_axis": False, "where": ("test", test)}
        single.append(Statistic(f"effect_size:{test}", _effect, 0.0, 0.0, None, (-2.0, 2.0), **where))
        p = _p_value_of(test)
        single.append(Statistic(f"p_value:{test}", p, None, 0.5, None, (0.0, 1.0), resample=False, **where))
    return (mean, *single)


def mean_abs_effect(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """Mean |d| over the tests of `frame`, shape (r,); a test without a defined d does not count, NaN if none does."""
    each = []
    for test in dict.fromkeys(frame["test"]):
        rows = np.flatnonzero(frame["test"] == test)
        each.append(np.abs(_effect({k: v[rows] for k, v in frame.items()}, weights[:, rows])))
    stacked = np.stack(each)
    defined = ~np.isnan(stacked)
    total = np.where(defined, stacked, 0.0).sum(axis=0)
    return np.divide(total, defined.sum(axis=0), out=np.full(len(weights), np.nan), where=defined.any(axis=0))


def _effect(frame: Frame, weights: np.ndarray) -> np.ndarray:
    return effect_size(frame["s"], frame["set"] == "X", weights, int(frame["ddof"][0]))


def _p_value_of(test: str) -> Callable[[Frame, np.ndarray], np.ndarray]:
    """The p-value where every row counts once; NaN in a bootstrap, which it has no use for."""

    def compute(frame: Frame, weights: np.ndarray) -> np.ndarray:
        if len(weights) != 1 or not np.all(weights == 1) or np.isnan(_effect(frame, weights)[0]):
            return np.full(len(weights), np.nan)
        p, _ = p_value(frame["s"], frame["set"] == "X", samples=PERMUTATIONS, seed=seed_of(0, test))
        return np.array([p])

    return compute
