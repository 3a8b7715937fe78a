"""Plan: the variants that a study will make and score, in order. Pure: no model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairsqueeze.registry import methods
from fairsqueeze.spec import Spec, content_id
from fairsqueeze.study.study import Study


@dataclass(frozen=True)
class PlannedVariant:
    """One checkpoint to score: a model as it is, compressed by `steps` with `seed`, or a reference row made from it."""

    model: str
    steps: tuple[Spec, ...] = ()
    seed: int = 0
    reference: str | None = None

    @property
    def id(self) -> str:
        """Content id of how this checkpoint is made."""
        steps = [s.to_json() for s in self.steps]
        return content_id({"model": self.model, "steps": steps, "seed": self.seed, "reference": self.reference})

    @property
    def kind(self) -> str:
        """dense, compressed or reference."""
        return "reference" if self.reference else "compressed" if self.steps else "dense"

    @property
    def label(self) -> str:
        """Short name for tables: `magnitude.linear 50 %`."""
        if self.reference:
            return f"reference: {self.reference}"
        if not self.steps:
            return "dense"
        return " + ".join(_step_label(s) for s in self.steps) + (f", seed {self.seed}" if self.seed else "")


@dataclass(frozen=True)
class Plan:
    """All variants of a study: for every model the dense one first, then its references, then its compressed ones."""

    study: Study
    variants: tuple[PlannedVariant, ...]

    def of(self, model: str) -> list[PlannedVariant]:
        return [v for v in self.variants if v.model == model]


def plan(study: Study) -> Plan:
    """The variants of `study`, each once: a pipeline without a seeded method runs for the first seed only."""
    found: dict[str, PlannedVariant] = {}
    for model in study.models:
        grid = study.grid(model)
        each = [PlannedVariant(model)]
        each += [PlannedVariant(model, reference=one, seed=study.seeds[0]) for one in study.references]
        each += [PlannedVariant(model, steps, seed) for steps in grid for seed in _seeds(steps, study.seeds)]
        for variant in each:
            found.setdefault(variant.id, variant)
    return Plan(study, tuple(found.values()))


def _seeds(steps: Sequence[Spec], seeds: Sequence[int]) -> Sequence[int]:
    return seeds if any(methods.get(s.name).seeded for s in steps) else seeds[:1]


def _step_label(step: Spec) -> str:
    """Name, amount and whatever else does not stand at its default."""
    known = methods.get(step.name).settings
    parts = []
    for key, value in step.parameters.items():
        if key not in ("sparsity", "share", "bits") and not known[key].required and value == known[key].default:
            continue
        if key in ("sparsity", "share"):
            parts.append(f"{100 * value:g} %")
        elif key == "bits":
            parts.append(f"{value} bits")
        else:
            parts.append(f"{key}={value}")
    return " ".join([step.name, *parts])
