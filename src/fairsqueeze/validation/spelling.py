"""Spellings: the same request written another way, so that its tokens differ and its meaning does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from fairsqueeze.engine.requests import BLANK, Request


def lower_case(request: Request) -> Request:
    """The request in lower case; the mark of an open place stays."""
    return _rewritten(request, lambda text: BLANK.join(part.lower() for part in text.split(BLANK)))


def wider_space(request: Request) -> Request:
    """The request with a space in front of its first text."""
    name = "prefix" if getattr(request, "prefix", "") else fields(request)[0].name
    changed: dict[str, Any] = {name: f" {getattr(request, name)}"}
    return replace(request, **changed)


SPELLINGS: dict[str, Callable[[Request], Request]] = {"lower_case": lower_case, "leading_space": wider_space}
"""By name: what can be done to every text that a model is shown."""


def _rewritten(request: Request, change: Callable[[str], str]) -> Request:
    """The request with `change` applied to all its texts (not to its settings)."""
    texts = ("text", "prefix", "other", "context", "word", "first", "second", "candidates", "seconds")
    new: dict[str, Any] = {}
    for field in fields(request):
        value = getattr(request, field.name)
        if field.name not in texts or isinstance(value, bool) or value is None:
            continue
        new[field.name] = tuple(change(v) for v in value) if isinstance(value, tuple) else change(value)
    return replace(request, **new)
