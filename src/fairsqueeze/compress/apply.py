"""Compress a model in memory: a copy is changed by declared methods, checked, and told how it came to be."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fairsqueeze.assets.checksum import files_named
from fairsqueeze.compress.block_stream import stream_blocks
from fairsqueeze.compress.calibration import Calibration
from fairsqueeze.compress.errors_of_layers import Errors
from fairsqueeze.compress.proof import Zeros, check_floats, prove
from fairsqueeze.compress.surgery_proof import Sizes, prove_removal
from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.anatomy import WeightRef, weight_matrices
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Method, call_with, checked_settings, methods
from fairsqueeze.spec import Spec, content_id


def compress(model: Model, method: str, *, seed: int = 0, **settings: Any) -> Model:
    """A compressed copy of `model`; the model itself is not touched. Memory: the model twice, and a layer.

    Args:
        model: loaded by `models.load`, or made in memory.
        method: a registered name, such as `magnitude.linear`.
        seed: of methods that draw at random; each layer draws from the seed and its own name.
        settings: the method's own; `fairsqueeze show method NAME` lists them.

    Returns:
        A model whose `provenance["steps"]` ends with this step: its name, parameters, seed, version, and what was
        measured on the result (`measured`).

    Raises:
        UnknownName, BadSetting, and the errors of files that can't be read: before anything is copied.
        ModelError: the model holds weights that are no ordinary floats, or the method did not do what it promises.
        NonFinite: the model holds NaN or infinite weights.

    >>> from fairsqueeze.testing.tiny import tiny_model
    >>> pruned = compress(tiny_model("bert"), "magnitude.linear", sparsity=0.5)
    >>> pruned.provenance["steps"][-1]["measured"]["sparsity"]
    0.5
    """
    return pipeline(model, [Spec(method, settings)], seed=seed)


def pipeline(model: Model, specs: Iterable[Spec | Mapping[str, Any]], *, seed: int = 0) -> Model:
    """A copy of `model` after several methods in sequence; all settings are checked before the first is applied.

    Args:
        model: not touched.
        specs: `Spec`s, or their JSON (`{"name": …, "parameters": {…}}`), in the order of application.
        seed: of every step.

    Raises: as `compress`.
    """
    steps = [_step(spec, seed) for spec in specs]
    _check_fits(model, steps)
    result = replace(
        model,
        network=copy.deepcopy(model.network),
        reference=" → ".join([model.reference, *(str(step.spec) for step in steps)]),
        provenance=copy.deepcopy(model.provenance),
    )
    for step in steps:
        told = {**step.to_json(), "measured": _apply(result, step)}
        result.provenance["steps"] = [*result.provenance.get("steps", ()), told]
    return result


@dataclass(frozen=True)
class _Step:
    method: Method
    settings: Mapping[str, Any]
    seed: int

    @property
    def spec(self) -> Spec:
        return Spec(self.method.name, self.settings)

    def to_json(self) -> dict[str, Any]:
        """Name, parameters, seed (null where nothing is drawn at random), version, whether what it saves is only
        simulated, sha256 of the files it names."""
        seed = self.seed if self.method.seeded else None
        files = files_named(self.settings)
        told = {**self.spec.to_json(), "seed": seed, "version": self.method.version}
        told["simulated"] = self.method.simulated
        return {**told, "files": files} if files else told


def _step(spec: Spec | Mapping[str, Any], seed: int) -> _Step:
    spec = spec if isinstance(spec, Spec) else Spec.from_json(spec)
    method = methods.get(spec.name)
    return _Step(method, checked_settings(method, spec.parameters), seed)


def _check_fits(model: Model, steps: Sequence[_Step]) -> None:
    """BadSetting where settings don't suit model and weights, and the errors of files that a step would read.

    Whether settings suit the weights that a removal leaves shows once it is done.
    """
    removed = False
    for number, step in enumerate(steps):
        method, given = step.method, {**step.settings, "seed": step.seed, "model": model}
        if method.packs and number + 1 < len(steps):
            raise BadSetting(
                f"{method.name} packs weights, which {steps[number + 1].method.name} after it can't change.",
                "Make the step that packs the last one.",
            )
        if method.fits is not None and (_looks_at_model(method.fits) or not removed):
            call_with(method.fits, weight_matrices(model.network, method.selects), settings=given)
        if method.calibration is not None:
            call_with(method.calibration, model, settings=given)
        removed = removed or bool(method.removes)


def _looks_at_model(fits: Callable[..., None]) -> bool:
    """Whether it names the model: then all it says is said before the first step."""
    return "model" in inspect.signature(fits).parameters


def _apply(model: Model, step: _Step) -> dict[str, Any]:
    """Apply one step to `model` in place; returns what was measured."""
    refs = weight_matrices(model.network, step.method.selects)
    if not refs:
        raise ModelError(
            f"{step.method.name} finds nothing to compress in {model.reference}.",
            f"It applies to: {step.method.selects.replace('_', ' ')}.",
        )
    check_floats(refs, step.method.name)
    if step.method.fits is not None and not _looks_at_model(step.method.fits):
        call_with(step.method.fits, refs, settings=step.settings)
    before = Zeros.of(refs, step.method.exact_over)
    sizes = Sizes.of(model.network) if step.method.removes else None
    with torch.no_grad():
        if step.method.grain == "model":
            seeds = {"seed": step.seed} if step.method.seeded else {}
            told = step.method.function(model, **step.settings, **seeds) or {}
            refs = weight_matrices(model.network, step.method.selects)
        else:
            told = _apply_to_weights(model, refs, step)
        if step.method.measures is not None:
            told |= call_with(step.method.measures, refs, settings=step.settings)
    if step.method.packs:  # no floats whose zeros could be counted here: the method has
        return dict(told)
    measured = {**prove(step.method, step.settings, before, Zeros.of(refs, step.method.exact_over)), **told}
    if sizes is not None:
        measured |= prove_removal(step.method, step.settings, sizes, Sizes.of(model.network), told.get("removed"))
    return measured


def _apply_to_weights(model: Model, refs: Sequence[WeightRef], step: _Step) -> dict[str, Any]:
    """Every weight through the rule; tells the calibration, and for weights that were all changed, how far."""
    errors = Errors(step.method)
    turns: Iterable[tuple[WeightRef, Mapping[str, Tensor]]] = ((ref, {}) for ref in refs)
    told: dict[str, Any] = {}
    if step.method.calibration is not None:
        settings = {**step.settings, "seed": step.seed}
        calibration: Calibration = call_with(step.method.calibration, model, settings=settings)
        told["calibration"] = calibration.to_json()
        turns = _turns(model, refs, calibration, step.method.needs)
    for ref, statistics in turns:
        weight = oriented(ref)
        given = {**step.settings, **statistics, "seed": layer_seed(step.seed, ref.name)}
        result = call_with(step.method.function, weight, settings=given)
        if result.shape != weight.shape or result.dtype != weight.dtype:
            raise ModelError(
                f"{step.method.name} turned {ref.name}, {tuple(weight.shape)} {weight.dtype}, into "
                f"{tuple(result.shape)} {result.dtype}.",
                "A weight rule must keep shape and type; this is a fault of the method.",
            )
        errors.add(weight, result, statistics.get("hessian"))
        ref.parameter.copy_(result.T if ref.transposed else result)
    return {**told, **errors.to_json()}


def _turns(
    model: Model, refs: Sequence[WeightRef], calibration: Calibration, needs: Collection[str]
) -> Iterator[tuple[WeightRef, Mapping[str, Tensor]]]:
    """Weights block by block with the statistics of their inputs; a block's are those before it is changed."""
    by_module = {ref.module: ref for ref in refs}
    for statistics in stream_blocks(model.network, calibration.sequences, needs):
        for module in [module for module in statistics if module in by_module]:
            yield by_module.pop(module), statistics[module]
    if by_module:
        raise ModelError(f"{', '.join(by_module)} lie in no block and have no statistics.", "Select block_linear.")


def oriented(ref: WeightRef) -> Tensor:
    """The weight as (out, in), whichever way its layer stores it (GPT-2's Conv1D stores (in, out)). A view."""
    return ref.parameter.detach().T if ref.transposed else ref.parameter.detach()


def layer_seed(seed: int, layer: str) -> int:
    """A seed of the layer's own, the same on every machine and in every order: 63 bits."""
    return int(content_id([seed, layer], 16), 16) >> 1
