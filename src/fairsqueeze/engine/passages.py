"""Passages (token ids with the log-probabilities wanted of them) and rows (passages computed together).

A row is a few trees of tokens: passages with a common beginning share nodes, so that each is computed once. A node sees
its ancestors only and stands at the position of its depth; a row of one passage is a chain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

WIDEST_ROW = 512
"""Rows grow no longer than this, or twice their longest passage."""


@dataclass(frozen=True)
class Passage:
    """Token ids to forward, and (position, token id) pairs: how likely is this token, by the state at this position?"""

    ids: tuple[int, ...]
    wants: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Row:
    """Trees of tokens, parents before children.

    `ids` and `parents` (-1 for a root) have one entry per node; `nodes[k][i]` is the node of token i of passage k.
    """

    ids: tuple[int, ...]
    parents: tuple[int, ...]
    passages: tuple[Passage, ...]
    nodes: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_chain(self) -> bool:
        return all(parent == node - 1 for node, parent in enumerate(self.parents))

    @property
    def depths(self) -> list[int]:
        """Number of ancestors of each node: its position."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        return depths

    def ancestors(self) -> np.ndarray:
        """Which nodes each node sees, itself included; boolean, shape (n, n)."""
        seen = np.eye(len(self), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen

    def halves(self) -> list[Row]:
        """The same passages in two rows; the row itself if it has only one."""
        if len(self.passages) == 1:
            return [self]
        middle = len(self.passages) // 2
        return [row_of(self.passages[:middle]), row_of(self.passages[middle:])]


def row_of(passages: Iterable[Passage]) -> Row:
    """One row of all `passages`, which come sorted by their ids."""
    ids: list[int] = []
    parents: list[int] = []
    nodes: list[tuple[int, ...]] = []
    chosen = tuple(passages)
    previous: tuple[int, ...] = ()
    path: list[int] = []
    for passage in chosen:
        path = path[: common(previous, passage.ids)]
        for token in passage.ids[len(path) :]:
            parents.append(path[-1] if path else -1)
            path.append(len(ids))
            ids.append(token)
        nodes.append(tuple(path))
        previous = passage.ids
    return Row(tuple(ids), tuple(parents), chosen, tuple(nodes))


def alone(passages: Iterable[Passage]) -> list[Row]:
    """One chain per distinct sequence of ids."""
    ordered = sorted(passages, key=_order)
    return [row_of(same) for _, same in groupby(ordered, key=lambda passage: passage.ids)]


def shared(passages: Iterable[Passage], width: int) -> list[Row]:
    """Rows of several trees, in which common beginnings are computed once.

    Attention costs the square of a row's length, so a passage joins the tree before it only where the beginning it
    shares is worth more than the larger tree: per token, a block of hidden size `width` spends 24 width² operations
    on its weights and 4 width on each pair of nodes; masked attention runs at about half the speed.
    """
    rows: list[list[Passage]] = []
    length = 0
    previous: tuple[int, ...] = ()
    for passage in sorted(passages, key=_order):
        joint = common(previous, passage.ids)
        new = len(passage.ids) - joint
        if rows and _together(length, joint, new, width):
            rows[-1].append(passage)
            length += new
        else:
            rows.append([passage])
            length = len(passage.ids)
        previous = passage.ids
    return _packed(rows, max(64, min(256, 3 * width // 16)))


def common(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Length of the common beginning."""
    for position, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return position
    return min(len(first), len(second))


def _packed(trees: list[list[Passage]], capacity: int) -> list[Row]:
    """Trees side by side in rows of up to `capacity` nodes, where they don't see each other.

    Rows of like length need no padding, and at this capacity attention adds a sixteenth to the cost of a token at
    most. Best fit, largest first; a tree beyond the capacity has a row of its own.
    """
    sized = sorted(((len(row_of(tree)), tree) for tree in trees), key=lambda pair: (-pair[0], _order(pair[1][0])))
    rows: list[list[Passage]] = []
    with_space: dict[int, list[list[Passage]]] = defaultdict(list)
    for size, tree in sized:
        space = next((space for space in range(size, capacity) if with_space.get(space)), None)
        if space is None:
            row = list(tree)
            rows.append(row)
            space = capacity
        else:
            row = with_space[space].pop()
            row += tree
        with_space[space - size].append(row)
    return [row_of(sorted(row, key=_order)) for row in rows]


def _together(length: int, joint: int, new: int, width: int) -> bool:
    if joint == 0 or length + new > max(WIDEST_ROW, 2 * (joint + new)):
        return False
    pairs_per_token = 3 * width
    extra_pairs = (length + new) ** 2 - length**2 - (joint + new) ** 2
    return extra_pairs <= joint * pairs_per_token


def _order(passage: Passage) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    return passage.ids, passage.wants
