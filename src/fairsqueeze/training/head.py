"""A new output on an encoder or a language model: a classifier or a regressor of pairs, untrained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.model import Model
from fairsqueeze.models.quiet import quiet_transformers
from fairsqueeze.models.slimmed import plain_class, slimmed_loader

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Head = Sequence[str] | Literal["regression"]


def with_head(model: Model, head: Head, seed: int = 0) -> Model:
    """The trunk of `model`, its weights copied, under a new random output; `model` is not touched.

    Args:
        model: of any kind; an output that it has is left out.
        head: names of the classes in their order, two or more; or "regression".
        seed: of the output's weights, and of what its architecture puts between (a pooler the model was without).

    Returns:
        A pair_classifier or pair_regressor that has learned nothing yet; `provenance["fresh"]` names what is random.

    Raises:
        BadSetting: fewer than two names, or one twice.
        ModelError: the architecture has no classifier, or the trunk does not fit it.
    """
    from transformers import AutoModelForSequenceClassification

    names = [] if head == "regression" else [str(name) for name in head]
    if head != "regression" and (isinstance(head, str) or len(names) < 2 or len(set(names)) != len(names)):
        raise BadSetting(f"head is {head!r}.", 'Give the names of two or more classes, or "regression".')
    config = copy.deepcopy(model.network.config)
    config.num_labels = len(names) or 1
    if names:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
    else:
        config.problem_type = "regression"
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = model.tokenizer.pad_token_id
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(seed)
        network = _built(AutoModelForSequenceClassification, config, model)
    fresh = _copy_trunk_(model, network)
    provenance = copy.deepcopy(model.provenance)
    provenance["fresh"] = fresh
    network.to(device=model.device, dtype=model.network.dtype)  # type: ignore[call-arg]
    return Model(
        network.eval(),
        model.tokenizer,
        "pair_classifier" if names else "pair_regressor",
        model.reference,
        provenance,
    )


def _built(automatic: Any, config: PreTrainedConfig, model: Model) -> PreTrainedModel:
    if type(config) not in automatic._model_mapping:
        raise ModelError(f"{model.reference} has an architecture without a classifier.", "Choose another model.")
    loader = slimmed_loader(automatic, config)
    make = loader.from_config if loader is automatic else loader._from_config
    return plain_class(make(config, dtype=torch.float32))


def _copy_trunk_(model: Model, network: PreTrainedModel) -> list[str]:
    """Copy the weights that both have under one name; returns the names of the others in `network`."""
    old, new = model.network.base_model, network.base_model
    report = new.load_state_dict(old.state_dict(), strict=False)
    strange = [name for name in report.unexpected_keys if "pooler" not in name.split(".")]
    lacking = [name for name in report.missing_keys if "pooler" not in name.split(".")]
    if strange or lacking:
        differing = ", ".join([*strange, *lacking][:4])
        raise ModelError(
            f"The trunk of {model.reference} does not fit a {type(network).__name__}: {differing}.",
            "Load the model as an encoder, or choose another.",
        )
    prefix = f"{network.base_model_prefix}."
    outside = [name for name, _ in network.named_parameters() if not name.startswith(prefix)]
    return [*(f"{prefix}{name}" for name in report.missing_keys), *outside]
