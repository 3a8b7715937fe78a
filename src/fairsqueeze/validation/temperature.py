"""Temperature: a model whose logits are divided by a number before they become probabilities.

Softmax makes probabilities of the divided logits anew at every token, so that a text's log-probability is not divided
by the number: a hot model prefers fewer tokens. Only where all options are one position's (a classifier's classes,
words of one token in one place) are their differences divided. `degradation.scaled` divides the scores themselves.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.model import Model

if TYPE_CHECKING:
    from torch import Tensor, nn

KINDS = frozenset({"causal", "masked", "pair_classifier"})
"""Kinds of models that turn logits into probabilities; a regressor's output and an encoder's vectors have none."""
_AGREEMENT = 1e-3


def with_temperature(model: Model, temperature: float) -> Model:
    """A copy of `model` whose logits are those of `model` divided by `temperature` (> 0).

    Its last layer is divided; embeddings that shared its weights keep theirs.

    Raises BadSetting for a kind without probabilities, ModelError where the logits did not become the wanted ones (a
    network that does more than one linear layer at its end, such as soft-capping).
    """
    import torch

    if model.kind not in KINDS:
        raise BadSetting(
            f"temperature: a {model.kind} model has no probabilities.", f"It takes {', '.join(sorted(KINDS))}."
        )
    network: Any = copy.deepcopy(model.network)
    name, layer = _last_layer(network, model.kind)
    cooled = copy.deepcopy(layer)  # apart from embeddings that share its weight
    with torch.no_grad():
        for own in cooled.parameters():
            own.copy_(own / temperature)
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, cooled)
    if hasattr(network.config, "tie_word_embeddings"):
        network.config.tie_word_embeddings = False
    _prove(model, network, temperature)
    step = {"name": "temperature", "parameters": {"level": temperature}, "seed": None}
    steps = [*model.provenance.get("steps", ()), step]
    reference = f"{model.reference} → temperature({temperature:g})"
    return replace(model, network=network, reference=reference, provenance={**model.provenance, "steps": steps})


def _last_layer(network: Any, kind: str) -> tuple[str, nn.Module]:
    """Name and module of the layer that puts out the logits."""
    from torch import nn

    if kind != "pair_classifier":
        head = network.get_output_embeddings()
        found = [(name, module) for name, module in network.named_modules() if module is head and head is not None]
    else:
        wide = int(network.config.num_labels)
        body = network.base_model_prefix
        found = [
            (name, module)
            for name, module in network.named_modules()
            if isinstance(module, nn.Linear) and module.out_features == wide and not name.startswith(f"{body}.")
        ]
    if not found:
        raise ModelError(f"{type(network).__name__} has no linear layer that puts out its logits.", "")
    return found[-1]


def _prove(model: Model, network: Any, temperature: float) -> None:
    before, after = _logits(model.network), _logits(network)
    scale = max(1.0, float(before.abs().max()))
    if not float((after - before / temperature).abs().max()) <= _AGREEMENT * scale:
        raise ModelError(
            f"{model.reference}: dividing the last layer of {type(network).__name__} does not divide its logits.",
            "It does more at its end than one linear layer; use the degradation scaling.",
        )


def _logits(network: Any) -> Tensor:
    import torch

    from fairsqueeze.engine.projection import probe_ids

    with torch.inference_mode():
        logits: Tensor = network(input_ids=probe_ids(network, 7)[None]).logits
    return logits.float()
