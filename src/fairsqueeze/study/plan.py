"""Plan: the variants that a study will make and score, in order, and the steps that this takes. No model is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fairsqueeze.assets.checksum import files_named
from fairsqueeze.models.references import REFERENCES_VERSION
from fairsqueeze.registry import methods
from fairsqueeze.spec import Spec, content_id
from fairsqueeze.stats.estimate import ESTIMATES_VERSION
from fairsqueeze.study.audit import ENGINE_VERSION
from fairsqueeze.study.study import Study

if TYPE_CHECKING:
    from fairsqueeze.study.evaluation import Evaluation


@dataclass(frozen=True)
class PlannedVariant:
    """One checkpoint to score: a model as it is, compressed by `steps` with `seed`, or a reference row made from it."""

    model: str
    steps: tuple[Spec, ...] = ()
    seed: int = 0
    reference: str | None = None

    @cached_property
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
    seeded = {method.name: method.seeded for method in methods}
    found: dict[str, PlannedVariant] = {}
    for model in study.models:
        grid = study.grid(model)
        each = [PlannedVariant(model)]
        each += [PlannedVariant(model, reference=one, seed=study.seeds[0]) for one in study.references]
        each += [PlannedVariant(model, steps, seed) for steps in grid for seed in _seeds(steps, study.seeds, seeded)]
        for variant in each:
            found.setdefault(variant.id, variant)
    return Plan(study, tuple(found.values()))


def _seeds(steps: Sequence[Spec], seeds: Sequence[int], seeded: Mapping[str, bool]) -> Sequence[int]:
    return seeds if any(seeded[s.name] for s in steps) else seeds[:1]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to compute.

    Args:
        id: content id of what it computes: from which weights, by which code, with which data, items and seed.
        kind: compress (make the checkpoint, the dense one included), evaluate (ask one measure), footprint.
        variant: id of the variant.
        measure: name of the measure or task; "" for the other kinds.
        size: how much is asked, in items (`scoring.size_of`); 0 for the other kinds.
        needs: ids of the steps that must be done before.
    """

    id: str
    kind: Literal["compress", "evaluate", "footprint"]
    variant: str
    measure: str
    size: int
    needs: tuple[str, ...]


def steps_of(
    plan: Plan, model: str, source: Mapping[str, Any], evaluations: Sequence[Evaluation], sizes: Sequence[int]
) -> Iterator[Step]:
    """The steps of all variants of `model`, each after those that it needs.

    Args:
        source: what the model is now (`models.source.source_of`).
        evaluations: what it is asked, prepared once for all variants; `sizes` is how much each asks.
    """
    context = content_id([source, plan.study.dtype, plan.study.device.split(":")[0]])
    scored = scored_by(plan.study.seeds[0])
    asked = [content_id([asked_as(evaluation), scored]) for evaluation in evaluations]
    dense: tuple[str, ...] = ()
    for variant in plan.of(model):
        made = _hashed("compress", context, variant.id, content_id(made_by(variant)))
        yield Step(made, "compress", variant.id, "", 0, dense)
        dense = dense or (made,)
        yield Step(_hashed("footprint", made), "footprint", variant.id, "", 0, (made,))
        for evaluation, one, size in zip(evaluations, asked, sizes, strict=True):
            yield Step(_hashed("evaluate", made, one), "evaluate", variant.id, evaluation.declared.name, size, (made,))


def made_by(variant: PlannedVariant) -> list[Any]:
    """The code that makes `variant`, by version, and the files that its settings name, by their bytes."""
    if variant.reference:
        return ["reference", REFERENCES_VERSION]
    return [[methods.get(s.name).version, files_named(s.parameters)] for s in variant.steps]


def asked_as(evaluation: Evaluation) -> list[Any]:
    """What is asked: measure, settings, version of its code, items, data."""
    data = {name: located.sha256 for name, located in evaluation.data.items()}
    return [evaluation.spec.to_json(), evaluation.declared.version, evaluation.items_id, data]


def scored_by(seed: int) -> dict[str, int]:
    """What figures depend on besides the checkpoint and what it is asked: the code that answers, the statistics, and
    the seed of their intervals."""
    return {"engine": ENGINE_VERSION, "estimates": ESTIMATES_VERSION, "seed": seed}


def _hashed(*parts: str) -> str:
    """Content id of hashes: they need no canonical form any more."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _step_label(step: Spec) -> str:
    """Name, amount and whatever else does not stand at its default."""
    known = methods.get(step.name).settings
    parts = []
    for key, value in step.parameters.items():
        if key not in ("sparsity", "share", "bits") and not known[key].required and value == known[key].default:
            continue
        if key in ("sparsity", "share"):
            parts.append(f"{_percent(value)} %")
        elif key == "bits":
            parts.append(f"{value} bits")
        else:
            parts.append(f"{key}={value}")
    return " ".join([step.name, *parts])


def _percent(share: float) -> str:
    """`share` as a percentage with all its digits, since labels tell variants apart.

    >>> _percent(0.07), _percent(0.33333331)
    ('7', '33.333331')
    """
    return f"{(100 * Decimal(repr(float(share)))).normalize():f}"
