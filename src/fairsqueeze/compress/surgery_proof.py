"""Proof of a removal: what a network is made of, counted before and after, against what a method promised to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairsqueeze.compress.heads_removal import units
from fairsqueeze.compress.surgery import token_rows
from fairsqueeze.compress.surgery_choice import removal_counts
from fairsqueeze.errors import ModelError
from fairsqueeze.models.anatomy import anatomy
from fairsqueeze.registry import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Sizes:
    """What a network is made of.

    Args:
        heads, units, neurons: per block: query heads, parts of the attention that can go alone, feed-forward neurons.
        blocks: number of layers that a text passes through.
        tokens: rows of the token embedding.
        parameters: tied ones once.
    """

    heads: tuple[int, ...]
    units: tuple[int, ...]
    neurons: tuple[int, ...]
    blocks: int
    tokens: int
    parameters: int

    @classmethod
    def of(cls, network: PreTrainedModel) -> Sizes:
        """Count them now, on the modules and not on the config."""
        found = anatomy(network)
        return cls(
            heads=tuple(block.attention.n_heads for block in found.blocks),
            units=tuple(units(block.attention) for block in found.blocks),
            neurons=tuple(block.feed_forward.width for block in found.blocks),
            blocks=found.n_layers,
            tokens=token_rows(network),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
        )

    def total(self, kind: str) -> int:
        """How many heads, neurons, blocks or tokens there are in all."""
        value = getattr(self, kind)
        return value if isinstance(value, int) else sum(value)


def prove_removal(
    method: Method, settings: Mapping[str, Any], before: Sizes, after: Sizes, removed: Sequence[Any] | None = None
) -> dict[str, Any]:
    """What is gone, JSON-ready: of the kind that `method` removes, `…_before`, `…_removed` and what is left of it (by
    block where blocks have some), and `parameters_before`, `parameters`. `removed`, if the method tells it, says which:
    numbers of query heads by block, of blocks, and of neurons by block in ranges ("0-3,7").

    Raises ModelError where the method promises a `share` and another number is gone, where it tells of other parts than
    are gone, or anything else changed.
    """
    kind = method.removes
    share = settings.get("share")
    if share is not None and kind in ("heads", "neurons"):
        had = before.units if kind == "heads" else before.neurons
        wanted = removal_counts(share, had, settings.get("per_layer", True))
        gone = _units_gone(before, after) if kind == "heads" else _less(before.neurons, after.neurons)
        gone = gone if len(wanted) == len(gone) else [sum(gone)]
        _must(gone == wanted, method, f"{gone} {kind} are gone where share {share} means {wanted}")
    if share is not None and kind == "blocks":
        gone_blocks, wanted_blocks = before.blocks - after.blocks, removal_counts(share, [before.blocks], True)[0]
        _must(gone_blocks == wanted_blocks, method, f"{gone_blocks} blocks are gone, not {wanted_blocks}")
    for other in {"heads", "neurons", "tokens"} - {kind}:
        same = kind == "blocks" and other != "tokens"
        _must(same or getattr(before, other) == getattr(after, other), method, f"the number of {other} changed")
    measured: dict[str, Any] = {
        f"{kind}_before": before.total(kind),
        f"{kind}_removed": before.total(kind) - after.total(kind),
        kind: after.total(kind),
        "parameters_before": before.parameters,
        "parameters": after.parameters,
    }
    if kind in ("heads", "neurons"):
        measured[f"{kind}_by_block"] = list(getattr(after, kind))
    if removed is not None:
        lost = _less(getattr(before, kind), getattr(after, kind)) if kind != "blocks" else before.blocks - after.blocks
        told = len(removed) if kind == "blocks" else [len(numbers) for numbers in removed]
        _must(told == lost, method, f"{lost} {kind} are gone where it tells of {told}")
        measured["removed"] = [ranges(numbers) for numbers in removed] if kind == "neurons" else list(removed)
    return measured


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers, ascending, with runs as ranges.

    >>> ranges([0, 1, 2, 3, 7, 9, 10])
    '0-3,7,9-10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def _units_gone(before: Sizes, after: Sizes) -> list[int]:
    """In parts as they were before: with one key-value head left, the rest would count head by head."""
    each = [heads // n for heads, n in zip(before.heads, before.units, strict=True)]
    lost = _less(before.heads, after.heads)
    return [n // size for n, size in zip(lost, each, strict=True)]


def _less(before: Sequence[int], after: Sequence[int]) -> list[int]:
    return [a - b for a, b in zip(before, after, strict=True)]


def _must(true: bool, method: Method, what: str) -> None:
    if not true:
        raise ModelError(f"{method.name}: {what}.", "This is a fault of the method; nothing is returned.")
