"""A known bias put into vectors: the targets of an association test are turned toward the attributes of one side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fairsqueeze.engine.requests import Vector
from fairsqueeze.items import Item
from fairsqueeze.stimuli.weat.association import unit
from fairsqueeze.stimuli.weat.tables import SETS

MOST = 1 - 1e-6
"""Share of the largest possible association at which a vector stops turning."""


def is_association(item: Item) -> bool:
    """Whether the item is a test of two sets of targets against two of attributes (or one whose data is absent)."""
    return "absent" in item.content or set(SETS) <= set(item.content)


def turned(item: Item, answers: Mapping[str, Vector], shift: float) -> dict[str, Vector]:
    """The vectors with the preference of every target moved by `shift`, as far as it can be; attributes stay.

    s(w) = cos(w, g)·|g|, where g is the mean of A's unit vectors less that of B's. So w is turned in the plane of w and
    g, its length kept, until s has moved by ±shift·2·n_set/n (+ for X, - for Y), which is what moves its preference by
    `shift` (`stimuli.weat.scoring.rows_of`). Control tests have no preference and stay.
    """
    if "absent" in item.content or item.axis is None:
        return dict(answers)
    means = [unit(np.stack([answers[text].values for text in item.content[s]])).mean(axis=0) for s in ("A", "B")]
    toward = means[0] - means[1]
    n = {s: len(item.content[s]) for s in ("X", "Y")}
    moved = dict(answers)
    for which, sign in (("X", 1.0), ("Y", -1.0)):
        rise = sign * shift * 2 * n[which] / (n["X"] + n["Y"])
        for text in item.content[which]:
            moved[text] = _turned(answers[text], toward, rise)
    return moved


def _turned(answer: Vector, toward: np.ndarray, rise: float) -> Vector:
    """The vector with its product with `toward` (at length 1) raised by `rise`; as it was where that is undefined."""
    values = answer.values.astype(np.float64)
    length, reach = float(np.linalg.norm(values)), float(np.linalg.norm(toward))
    if not length > 0 or not reach > 0:
        return answer
    direction = toward / reach
    along = float(values @ direction) / length
    across = values / length - along * direction
    size = float(np.linalg.norm(across))
    if not size > 0:
        return answer
    goal = float(np.clip(along + rise / reach, -MOST, MOST))
    turned = goal * direction + np.sqrt(1 - goal**2) * across / size
    return Vector((length * turned).astype(answer.values.dtype), answer.n_tokens)
