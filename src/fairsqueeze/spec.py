"""Spec: a name with parameters, its canonical JSON, and the content id made from it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def canonical_json(value: Any) -> str:
    """One string per value: sorted keys, no white space, floats as shortest round-trip, no NaN.

    Tuples become lists and sets sorted lists. Raises ValueError for NaN, infinity and anything
    that JSON cannot express, since such a value cannot be part of an identity.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_id(value: Any, length: int = 16) -> str:
    """The first `length` hex digits of the sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(v) for v in value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < 2**53:
        return int(value)  # 1.0 and 1 are one setting
    return value


@dataclass(frozen=True)
class Spec:
    """A registered name with all its parameters, as in `magnitude.linear(sparsity=0.5)`."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Content id, 16 hex digits: equal specs have equal ids, whatever the order of their parameters."""
        return content_id(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """`{"name": …, "parameters": {…}}`, plain JSON types only."""
        return {"name": self.name, "parameters": _plain(self.parameters)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Spec:
        return cls(value["name"], dict(value.get("parameters", {})))

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v}" for k, v in self.parameters.items())
        return f"{self.name}({inside})" if inside else self.name

    def __hash__(self) -> int:
        return hash(self.id)
