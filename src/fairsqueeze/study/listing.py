"""What can be named, as rows for a table or JSON: methods, measures, tasks, models, data."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from fairsqueeze.assets.catalogue import EntryKind, describe, entries, entry
from fairsqueeze.registry import Measure, Method, measures, methods, tasks

Listed = list[dict[str, Any]]


def _methods() -> Listed:
    return [
        {
            "name": m.name,
            "what": m.summary,
            "settings": "; ".join(s.describe() for s in m.settings.values()),
            "requires": m.requires,
            "simulated": m.simulated,
            "saves": m.saves,
            "source": m.source,
        }
        for m in methods
    ]


def _evaluations(registry: Any) -> Callable[[], Listed]:
    def listed() -> Listed:
        return [
            {
                "name": m.name,
                "kinds": ", ".join(sorted(m.kinds)),
                "what": m.summary,
                "data": ", ".join(m.data) or "in the package",
                "items": m.card.expected_n,
                "default for": ", ".join(sorted(m.default_for)),
            }
            for m in registry
        ]

    return listed


def _assets(kind: EntryKind) -> Callable[[], Listed]:
    return lambda: [{**describe(one), "from": _remote(describe(one)["sources"])} for one in entries(kind)]


def _remote(sources: list[str] | str) -> str:
    """The sources that `fetch` can use: a hub or a wheel."""
    each = sources.split(", ") if isinstance(sources, str) else sources
    return ", ".join(s for s in each if s.startswith(("hub", "wheel"))) or "a folder only"


LISTINGS: dict[str, Callable[[], Listed]] = {
    "methods": _methods,
    "measures": _evaluations(measures),
    "tasks": _evaluations(tasks),
    "models": _assets("model"),
    "data": _assets("data"),
}


COLUMNS: dict[str, list[str]] = {
    "methods": ["name", "what", "simulated", "saves"],
    "measures": ["name", "kinds", "what", "items", "default for"],
    "tasks": ["name", "kinds", "what", "items", "default for"],
    "models": ["name", "licence", "bytes", "from", "here"],
    "data": ["name", "licence", "n_items", "bytes", "from", "here"],
}
"""What of each row a table for people shows; `--json` and `show` give all of it."""


def _method(name: str) -> dict[str, Any]:
    m: Method = methods.get(name)
    return {
        "name": m.name,
        "what": m.doc,
        "settings": [s.describe() for s in m.settings.values()],
        "applies to": m.selects,
        "needs": sorted(m.needs),
        "requires": m.requires or "weights of ordinary floats, nothing else",
        "seeded": m.seeded,
        "simulated": m.simulated,
        "saves": m.saves,
        "source": m.source,
        "version": m.version,
    }


def _evaluation(registry: Any) -> Callable[[str], dict[str, Any]]:
    def shown(name: str) -> dict[str, Any]:
        m: Measure = registry.get(name)
        return {
            "name": m.name,
            "what": m.doc,
            "kinds": sorted(m.kinds),
            "data": list(m.data) or ["in the package"],
            "items": m.card.expected_n,
            "settings": [s.describe() for s in m.settings.values()],
            "statistics": {s.name: _statistic(s) for s in m.statistics},
            "control": m.card.control,
            "neutral contexts": m.card.neutral,
            "differs from the reference code": m.card.differs,
            "criticisms": list(m.card.criticisms),
            "source": m.source,
            "version": m.version,
        }

    return shown


def _statistic(s: Any) -> str:
    chance = "simulated" if callable(s.chance) else s.chance
    better = f", {s.better} is better" if s.better else ""
    unit = f" {s.unit}" if s.unit else ""
    return (
        f"range {s.range[0]:g} to {s.range[1]:g}{unit}, ideal {s.ideal}, chance {chance}, constant {s.constant}{better}"
    )


def _asset(kind: EntryKind) -> Callable[[str], dict[str, Any]]:
    def shown(name: str) -> dict[str, Any]:
        one = entry(name, kind)
        found = describe(one)
        if one.delta is not None:
            found["card"] = files("fairsqueeze.models").joinpath("deltas", one.delta.card).read_text(encoding="utf-8")
        return found

    return shown


SHOWN: dict[str, Callable[[str], dict[str, Any]]] = {
    "method": _method,
    "measure": _evaluation(measures),
    "task": _evaluation(tasks),
    "model": _asset("model"),
    "data": _asset("data"),
}
