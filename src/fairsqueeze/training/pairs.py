"""Labelled pairs to train on: labels as class numbers or values, and a content id of the lot."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fairsqueeze.errors import BadSetting, DataError
from fairsqueeze.spec import canonical_json
from fairsqueeze.stimuli.class_labels import plain_name
from fairsqueeze.stimuli.labelled import Example, read_examples
from fairsqueeze.stimuli.nli_labels import label_named

if TYPE_CHECKING:
    from fairsqueeze.models.model import Model


class Labelled(Protocol):
    """Two texts (the second may be "") and a class number, or a value for a regressor."""

    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...
    @property
    def label(self) -> float: ...


@dataclass(frozen=True)
class Pair:
    """Two texts (the second may be "") and a class number, or a value for a regressor."""

    first: str
    second: str
    label: float


Data = str | Path | Sequence[Example] | Sequence[Labelled]


def pairs_for(model: Model, data: Data) -> list[Pair]:
    """The pairs in `data` with labels as this model counts them.

    Args:
        model: a classifier, whose config names its classes, or a regressor.
        data: a file (`stimuli.labelled.read_examples`), or examples. A label of a classifier is the name of a class,
            in any case, or its number where no name is one; of a regressor a value.

    Raises DataError for a file that can't be read or no pairs, BadSetting for a label that is none of the model's.
    """
    examples: Sequence[Any] = read_examples(Path(data).expanduser()) if isinstance(data, (str, Path)) else data
    if not examples:
        raise DataError("There are no examples to train on.", "Give at least one.")
    names = getattr(model.network.config, "id2label", None) or {}
    classes = [str(names[number]) for number in sorted(names)]
    known = _known(classes) if model.kind == "pair_classifier" else None
    return [Pair(e.first, e.second, _number(str(e.label), known, classes, at)) for at, e in enumerate(examples)]


def _known(classes: Sequence[str]) -> dict[str, float]:
    """Class numbers by every way in which a label may be written; numbers only where no class is called by one."""
    numbered = not any(_whole(name) for name in classes)
    known = {str(number): float(number) for number in range(len(classes))} if numbered else {}
    for number, name in enumerate(classes):
        known[plain_name(name)] = float(number)
        if label_named(name) is not None:
            known[str(label_named(name))] = float(number)
    return known


def _number(label: str, known: dict[str, float] | None, classes: Sequence[str], at: int) -> float:
    try:
        if known is None:
            value = float(label)
            if not math.isfinite(value):
                raise ValueError
            return value
        written = str(int(float(label))) if _whole(label) else label_named(label) or plain_name(label)
        return known[written]
    except (ValueError, KeyError):
        wanted = "a number" if known is None else f"one of {', '.join(classes)}, or a class number"
        raise BadSetting(f"finetune: example {at + 1} has the label {label!r}.", f"It must be {wanted}.") from None


def _whole(label: str) -> bool:
    try:
        return float(label).is_integer()
    except ValueError:
        return False


def pairs_sha256(pairs: Sequence[Labelled]) -> str:
    """64 hex digits over all texts and labels in their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(canonical_json([pair.first, pair.second, float(pair.label)]).encode())
        digest.update(b"\n")
    return digest.hexdigest()
