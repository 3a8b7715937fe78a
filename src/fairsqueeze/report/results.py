"""Results: the plain values that every report is made from. No model and no store are needed any more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from fairsqueeze.errors import StoreError

Kind = Literal["dense", "compressed", "reference"]
JSON = Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """One model of the report: its audit and, unless it is the base itself, its comparison with the base.

    Args:
        label: what the reader calls it: `magnitude.linear 50 %`.
        kind: "dense" (what others are compared with), "compressed", or "reference" (random, constant, destroyed).
        audit: the JSON document of `fairsqueeze audit`.
        comparison: the JSON document of `fairsqueeze compare` with the dense model, or None.
    """

    label: str
    kind: Kind
    audit: JSON
    comparison: JSON | None = None

    @property
    def estimates(self) -> Sequence[JSON]:
        return self.audit.get("estimates", ())

    @property
    def footprint(self) -> JSON:
        return self.audit.get("footprint") or {}

    @property
    def latency(self) -> JSON:
        return self.footprint.get("latency") or {}

    @property
    def energy(self) -> JSON:
        return self.latency.get("energy") or {}

    @property
    def origin(self) -> str:
        """The dense model that it comes from, by its reference: `MODEL`, `MODEL > label`, `reference:KIND:MODEL`."""
        reference = str(self.audit.get("model", {}).get("reference"))
        if reference.startswith("reference:"):
            reference = reference.split(":", 2)[2]
        return reference.split(" > ")[0]

    @property
    def comparisons(self) -> Sequence[JSON]:
        return (self.comparison or {}).get("comparisons", ())

    @property
    def verdict(self) -> str:
        """The verdict against the dense model; "base" for the dense model itself, "not compared" if there is none."""
        if self.comparison is None:
            return "base" if self.kind == "dense" else "not compared"
        return str(self.comparison.get("verdict") or "not compared")

    def estimate(self, measure: str, statistic: str, axis: str | None = None) -> JSON | None:
        """The estimate of that name, or None if this model was not asked."""
        return _find(self.estimates, measure, statistic, axis)

    def change(self, measure: str, statistic: str, axis: str | None = None) -> JSON | None:
        """The paired comparison of that name, or None."""
        return _find(self.comparisons, measure, statistic, axis)


COSTS_AGAINST_DENSE = tuple(
    f"{name}{bound}" for name in ("speedup", "energy_against_dense") for bound in ("", "_low", "_high")
)
"""Speed and joules a pass against the dense model, with their intervals."""


@dataclass(frozen=True)
class Results:
    """What a report shows. `cards` replaces the measure cards of the registry, by measure name (for plugins and tests).

    Raises StoreError if a number in it is NaN or infinite: undefined must be null with a status that says why.
    """

    name: str
    description: str
    variants: Sequence[Variant]
    command: str = ""
    created: str = ""
    cards: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.variants:
            raise StoreError("There is nothing to report: no model was scored.", "Run the audit or study first.")
        for variant in self.variants:
            for row in (*variant.estimates, *variant.comparisons):
                _refuse_non_finite(variant.label, row)

    @property
    def dense(self) -> Variant | None:
        """The first dense model, or None."""
        return next((v for v in self.variants if v.kind == "dense"), None)

    def of_kind(self, *kinds: Kind) -> Iterator[Variant]:
        return (v for v in self.variants if v.kind in kinds)

    def costs_against_dense(self, variant: Variant) -> dict[str, float | None]:
        """`COSTS_AGAINST_DENSE` of a variant, None where undefined.

        A dense model has 1 by definition, in energy only where one of its models was metered.
        """
        found: dict[str, float | None] = {}
        for name in COSTS_AGAINST_DENSE:
            of_energy = name.startswith("energy_")
            value = variant.energy.get(name.removeprefix("energy_")) if of_energy else variant.latency.get(name)
            by_definition = variant.kind == "dense" and (variant.origin in self._metered or not of_energy)
            found[name] = 1.0 if value is None and by_definition else value
        return found

    @cached_property
    def _metered(self) -> frozenset[str]:
        """Dense models of which some variant's energy was counted."""
        return frozenset(v.origin for v in self.variants if v.energy.get("against_dense") is not None)

    @property
    def measures(self) -> list[str]:
        """Names of the measures and tasks, in the order of their first appearance."""
        return list(dict.fromkeys(e["measure"] for v in self.variants for e in v.estimates))

    def statistics(self, measure: str) -> list[str]:
        """Names of the statistics of one measure, in the order of their first appearance."""
        return list(
            dict.fromkeys(e["statistic"] for v in self.variants for e in v.estimates if e["measure"] == measure)
        )

    def axes(self, measure: str, statistic: str) -> list[str]:
        """Axes for which there is an estimate of this statistic, overall figure left out, sorted."""
        found = {
            e["axis"]
            for v in self.variants
            for e in v.estimates
            if e["measure"] == measure and e["statistic"] == statistic and e["axis"] is not None
        }
        return sorted(found)

    def is_bias(self, measure: str) -> bool:
        """Whether this is a bias measure (it has a corrected form) rather than a task."""
        return corrected_statistic(self.statistics(measure)) is not None


def corrected_statistic(statistics: Sequence[str]) -> str | None:
    """The corrected bias that decides: prior-corrected where the measure has it, else raw, else None."""
    return next((s for s in ("corrected_bias.prior", "corrected_bias") if s in statistics), None)


_NO_BIAS = ("corrected_bias", "competence", "preference", "lm_score", "accuracy", "control_accuracy", "effect_size:")
"""Beginnings of statistics that are no published score of bias as a whole: our own, a skill, one test of many."""


def published_scores(rows: Sequence[JSON]) -> list[str]:
    """Names of the published scores of bias that have an ideal, in the order of `rows` (estimates or points)."""
    names = dict.fromkeys(r["statistic"] for r in rows if r.get("ideal") is not None)
    return [name for name in names if not name.startswith(_NO_BIAS)]


def _find(rows: Sequence[JSON], measure: str, statistic: str, axis: str | None) -> JSON | None:
    wanted = (measure, statistic, axis)
    return next((r for r in rows if (r["measure"], r["statistic"], r.get("axis")) == wanted), None)


def _refuse_non_finite(label: str, row: JSON) -> None:
    for key, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            name = f"{row.get('measure')} {row.get('statistic')} {row.get('axis') or ''}".strip()
            raise StoreError(
                f"{label}: {key} of {name} is {value}.",
                "A number that is not finite is never reported; the results are damaged: run them again.",
            )
