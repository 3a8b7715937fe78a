"""Cut: which scores are the smallest, to the last one, over one tensor or many, without sorting or joining them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from fairsqueeze.registry import Range

Sparsity = Annotated[float, Range(0, 1, high_open=True)]
"""Share of weights that are zero afterwards."""

SAVES = "nothing by itself: the zeros are stored and multiplied; only a sparse encoding on disk is smaller"
"""What zeros that are stored like other weights save."""

_CHUNK = 1 << 22
_DIGIT = 16


@dataclass(frozen=True)
class Cut:
    """Where scores are cut: all below `value` go, and of those equal to it the first `ties`, in the order given."""

    value: float
    ties: int


def drop_count(sparsity: float, n: int) -> int:
    """How many of `n` weights a sparsity in [0, 1) means: the nearest whole number (halves to even, as in torch)."""
    return round(sparsity * n)


def cut_at(scores: Sequence[Tensor], count: int) -> Cut:
    """The cut below which exactly `count` of all the magnitudes in `scores` lie.

    Magnitudes are compared as float32 (float64 if any tensor is), which is exact for every float type that models use.
    It selects by digits of the bit pattern, which orders non-negative floats as their values do: two passes of
    histograms for 32 bits, so that nothing of the size of all scores together is ever held.

    Args:
        scores: finite floats of any shape; only their magnitude counts.
        count: 1 to the total number of scores.

    Raises:
        ValueError: if `count` is out of this range.
    """
    total = sum(s.numel() for s in scores)
    if not 1 <= count <= total:
        raise ValueError(f"cut_at: count is {count}, and there are {total} scores.")
    wide = any(s.dtype == torch.float64 for s in scores)
    bits, prefix, rank = (64 if wide else 32), 0, count
    for shift in range(bits - _DIGIT, -1, -_DIGIT):
        histogram = torch.zeros(1 << _DIGIT, dtype=torch.int64)
        for keys in _keys(scores, wide):
            upper = keys >> shift
            digits = upper[(upper >> _DIGIT) == prefix] & ((1 << _DIGIT) - 1)
            histogram += torch.bincount(digits, minlength=1 << _DIGIT).cpu()
        up_to = histogram.cumsum(0)
        digit = int(torch.searchsorted(up_to, rank))
        rank -= int(up_to[digit]) - int(histogram[digit])
        prefix = (prefix << _DIGIT) | digit
    as_integer, as_float = (torch.int64, torch.float64) if wide else (torch.int32, torch.float32)
    return Cut(torch.tensor(prefix, dtype=as_integer).view(as_float).item(), rank)


def _keys(scores: Iterable[Tensor], wide: bool) -> Iterator[Tensor]:
    """The magnitudes' bit patterns as integers that order alike, in pieces."""
    as_float, as_integer = (torch.float64, torch.int64) if wide else (torch.float32, torch.int32)
    for score in scores:
        for piece in score.reshape(-1).split(_CHUNK):
            yield piece.abs().to(as_float).view(as_integer)


def below(score: Tensor, cut: Cut) -> tuple[Tensor, int]:
    """Boolean mask, shaped as `score`, of what `cut` takes from it, and how many ties it used up."""
    magnitude = score.abs().to(torch.promote_types(score.dtype, torch.float32))  # as `cut_at` compared it
    mask = magnitude < cut.value
    ties = (magnitude == cut.value).reshape(-1).nonzero()[: cut.ties, 0] if cut.ties else None
    if ties is None or not len(ties):
        return mask, 0
    mask = mask.reshape(-1)
    mask[ties] = True
    return mask.reshape(score.shape), len(ties)


def zero_smallest(weight: Tensor, score: Tensor, count: int) -> Tensor:
    """A copy of `weight` in which the `count` weights of smallest |score| are zero; of equal ones the first."""
    if count == 0:
        return weight.clone()
    mask, _ = below(score, cut_at([score], count))
    return weight.masked_fill(mask, 0)


@torch.no_grad()
def zero_smallest_of_all_(weights: Sequence[Tensor], count: int) -> None:
    """Zero, in place, the `count` smallest of all `weights` together; of equal ones those of the earlier tensor."""
    if count == 0:
        return
    cut = cut_at(weights, count)
    for weight in weights:
        mask, used = below(weight, cut)
        weight.masked_fill_(mask, 0)
        cut = Cut(cut.value, cut.ties - used)
