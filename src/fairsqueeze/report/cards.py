"""Measure cards: what a reader must know before trusting a measure, as plain values for the page."""

from __future__ import annotations

from typing import Any

from fairsqueeze.registry import Measure, measures, tasks
from fairsqueeze.report.results import Results


def cards(results: Results) -> dict[str, dict[str, Any]]:
    """The card of every measure and task in the results, by name.

    Keys: `summary, source, control, neutral, differs, criticisms, expected_n, statistics`. Cards given with the results
    win over the registry; a measure that neither knows (a plugin that is not installed here) has no card.
    """
    found = {}
    for name in results.measures:
        if name in results.cards:
            found[name] = dict(results.cards[name])
        elif not results.cards:
            declared = _declared(name)
            if declared is not None:
                found[name] = card_of(declared)
    return found


def card_of(declared: Measure) -> dict[str, Any]:
    """The card of one declared measure."""
    card = declared.card
    return {
        "summary": declared.summary,
        "source": declared.source,
        "control": card.control,
        "neutral": card.neutral,
        "differs": card.differs,
        "criticisms": list(card.criticisms),
        "expected_n": card.expected_n,
        "statistics": [
            {"name": s.name, "ideal": s.ideal, "constant": s.constant, "range": list(s.range), "unit": s.unit}
            for s in declared.statistics
        ],
    }


def _declared(name: str) -> Measure | None:
    for registry in (measures, tasks):
        if name in registry:
            return registry.get(name)
    return None
