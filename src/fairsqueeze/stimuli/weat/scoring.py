"""From association tests to items, from vectors to rows, and the statistics that `weat` and `seat` publish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fairsqueeze.engine.requests import Vector
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Frame, Statistic
from fairsqueeze.stimuli.weat.association import associations, effect_size, p_value, seed_of
from fairsqueeze.stimuli.weat.chance import chance_of
from fairsqueeze.stimuli.weat.tables import SETS, Test

LONGEST_LABEL = 60
"""Characters of a target that go into its row's name; a longer text is named by its word and place."""

PERMUTATIONS = 10_000
"""Partitions tried for a p-value where not all are."""

Spread = Literal["sample", "population"]


def item_of(test: Test) -> Item:
    """One test as one item: a test is a whole and is never sampled."""
    if test.absent:
        return Item(test.name, test.axis, "", "not available", {"absent": test.absent})
    content: dict[str, Any] = {s: [text.text for text in test.texts[s]] for s in SETS}
    content["words"] = {s: [text.word for text in test.texts[s]] for s in ("X", "Y")}
    content["categories"] = dict(test.categories)
    return Item(test.name, test.axis, f"{test.categories['X']} / {test.categories['Y']}", test.name, content)


def texts_of(item: Item) -> list[str]:
    """The distinct texts of a test, in order; none for a test that is absent."""
    if "absent" in item.content:
        return []
    return list(dict.fromkeys(text for s in SETS for text in item.content[s]))


def rows_of(item: Item, vectors: Mapping[str, Vector], spread: Spread) -> list[Row]:
    """One row per target of a test.

    Args:
        item: the test.
        vectors: the vector of every text.
        spread: recorded as `ddof`, for the effect size.

    The preference of a target in X is +s·n/(2·n_X), of one in Y -s·n/(2·n_Y), where n targets have a defined s: so
    their mean is (mean of s over X - mean of s over Y) / 2, whatever the sizes of the sets. For the control tests the
    same number is the control.
    """
    ddof = 1 if spread == "sample" else 0
    if "absent" in item.content:
        return [_undefined(item.id, item, item.content["absent"], Target(item.id, "", "", "not available"), ddof)]
    targets = [t for s in ("X", "Y") for t in _targets(item, s)]
    stacked = {s: np.stack([vectors[text].values for text in item.content[s]]) for s in SETS}
    to_a, to_b = associations(np.concatenate([stacked["X"], stacked["Y"]]), stacked["A"], stacked["B"])
    defined = np.isfinite(to_a) & np.isfinite(to_b)
    counts = {s: sum(1 for t, ok in zip(targets, defined, strict=True) if ok and t.set == s) for s in ("X", "Y")}
    attributes_zero = any(not np.any(row) for s in ("A", "B") for row in stacked[s])
    rows = []
    for k, target in enumerate(targets):
        name = f"{item.id}:{target.label}"
        n_tokens = vectors[target.text].n_tokens
        if not defined[k]:
            status = "zero vector among the attributes" if attributes_zero else "zero vector"
            rows.append(_undefined(name, item, status, target, ddof, n_tokens))
            continue
        s = float(to_a[k] - to_b[k])
        value = (s if target.set == "X" else -s) * sum(counts.values()) / (2 * counts[target.set])
        answer = _answer(item.id, target.set, ddof, s=s, to_a=float(to_a[k]), to_b=float(to_b[k]))
        preference, control = (None, value) if item.axis is None else (value, None)
        rows.append(
            Row(name, item.axis, target.category, target.word, preference, control, answer=answer, n_tokens=n_tokens)
        )
    return rows


@dataclass(frozen=True)
class Target:
    """A target text: which set it is of, what it is about, and what its row is called."""

    text: str
    set: str
    category: str
    word: str
    label: str = ""


def _targets(item: Item, which: str) -> list[Target]:
    found = []
    for k, (text, word) in enumerate(zip(item.content[which], item.content["words"][which], strict=True)):
        label = text if len(text) <= LONGEST_LABEL else f"{word} ({which}{k})"
        found.append(Target(text, which, item.content["categories"][which], word, label))
    return found


def _answer(test: str, which: str, ddof: int, **scores: float | None) -> dict[str, Any]:
    return {"test": test, "set": which, "s": None, "to_a": None, "to_b": None, "ddof": ddof, **scores}


def _undefined(name: str, item: Item, status: str, target: Target, ddof: int, n_tokens: int = 0) -> Row:
    answer = _answer(item.id, target.set, ddof)
    return Row(name, item.axis, target.category, target.word, status=status, answer=answer, n_tokens=n_tokens)


def statistics_of(kind: Literal["words", "sentences"], tests: Sequence[Test]) -> tuple[Statistic, ...]:
    """Mean |d| per axis and overall; then, on its own rows, effect size and permutation p-value of every test."""

    def chance(frame: Frame, rng: np.random.Generator) -> float:
        return chance_of(kind, frame)

    mean = Statistic(
        "mean_abs_effect",
        mean_abs_effect,
        ideal=0.0,
        chance=chance,
        constant=None,
        range=(0.0, 2.0),
        needs=("s",),
    )
    return (mean, *(statistic for test in tests for statistic in _of_test(test.name)))


def mean_abs_effect(frame: Frame, weights: np.ndarray) -> np.ndarray:
    """Mean of |d| over the tests of `frame` whose d is defined, shape (r,); NaN where none is."""
    sizes = np.abs([_effects(frame, weights, test) for test in dict.fromkeys(frame["test"])])
    defined = ~np.isnan(sizes)
    count = defined.sum(axis=0)
    return np.where(count > 0, np.where(defined, sizes, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _of_test(name: str) -> tuple[Statistic, Statistic]:
    def effect(frame: Frame, weights: np.ndarray) -> np.ndarray:
        return _effects(frame, weights, name)

    def p(frame: Frame, weights: np.ndarray) -> np.ndarray:
        """Where every row counts once; NaN in a bootstrap, which has no use for a p-value."""
        if len(weights) != 1 or not np.all(weights == 1) or np.isnan(effect(frame, weights)[0]):
            return np.full(len(weights), np.nan)
        seed = seed_of(0, name)
        return np.array([p_value(frame["s"], frame["set"] == "X", samples=PERMUTATIONS, seed=seed)[0]])

    own: dict[str, Any] = {"needs": ("s",), "by_axis": False, "where": ("test", name)}
    return (
        Statistic(f"effect_size:{name}", effect, 0.0, 0.0, None, (-2.0, 2.0), **own),
        Statistic(f"p_value:{name}", p, None, 0.5, None, (0.0, 1.0), resample=False, **own),
    )


def _effects(frame: Frame, weights: np.ndarray, test: str) -> np.ndarray:
    rows = np.flatnonzero(frame["test"] == test)
    if not len(rows):
        return np.full(len(weights), np.nan)
    s, is_x, ddof = frame["s"][rows], frame["set"][rows] == "X", int(frame["ddof"][rows[0]])
    return effect_size(s, is_x, weights[:, rows], ddof)


Choose = Callable[[Test], bool]


def chosen(tests: Sequence[Test], choose: Choose) -> list[Item]:
    """The tests that `choose` takes, and the control tests 1 and 2, as items."""
    return [item_of(test) for test in tests if test.axis is None or choose(test)]
