"""Reference models, scored beside real ones: what a measure says of a network that knows nothing (any more)."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from fairsqueeze.models.matrices import is_norm, weight_of
from fairsqueeze.models.model import Model
from fairsqueeze.models.quiet import quiet_transformers
from fairsqueeze.models.reference import ReferenceModel
from fairsqueeze.models.slimmed import note_of, plain_class, slimmed_class

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

REFERENCES_VERSION = 1
"""Raised when a reference model of equal seed gets other weights, so that no kept one is mistaken for a new one."""


def make_reference(model: Model, which: ReferenceModel, seed: int = 0) -> Model:
    """A reference model made from `model`, which is left as it is; same tokeniser, kind, precision and device.

    "random": the same architecture, freshly initialised by its own initialiser.
    "constant": the same answer to everything, see `constant`.
    "destroyed": the entries of every weight matrix shuffled within it, so that all its statistics of size stay.

    Equal seeds give equal weights ("constant" has no chance in it).
    """
    make: dict[str, Callable[[PreTrainedModel, int], PreTrainedModel]] = {
        "random": random,
        "constant": lambda network, _: constant(network),
        "destroyed": destroyed,
    }
    provenance = copy.deepcopy(model.provenance)
    provenance["reference_model"] = {"which": which, "of": model.reference, "of_id": model.id, "seed": seed}
    return Model(
        make[which](model.network, seed).eval(),
        model.tokenizer,
        model.kind,
        f"reference:{which}:{model.reference}",
        provenance,
        model.absent,
        model.ignored,
    )


def random(network: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
    """The architecture of `network` with the weights that its own initialiser draws from `seed`."""
    import torch

    kind = type(network)
    has_pooler_setting = "add_pooling_layer" in inspect.signature(kind.__init__).parameters
    without_pooler = has_pooler_setting and getattr(network, "pooler", None) is None
    settings = {"add_pooling_layer": False} if without_pooler else {}
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(seed)
        config = copy.deepcopy(network.config)
        fresh = plain_class(slimmed_class(kind, config)._from_config(config, dtype=torch.float32, **settings))
        if note_of(config) is not None:
            _draw_again(fresh)
    return fresh.to(device=network.device, dtype=network.dtype).eval()  # type: ignore[call-arg]


def constant(network: PreTrainedModel) -> PreTrainedModel:
    """A copy of `network` whose output does not depend on its input, exactly: no rounding tells two texts apart.

    Every token embedding is the first unit vector, positions and segments are zero, and so is every linear layer and
    bias; where a norm has a bias, this is the first unit vector too and its weight zero. All hidden states are then a
    multiple of the first unit vector (the same in every place of every text), and every token or label has the same
    logit: its product with the head has one term only, so no order of summation matters.
    """
    import torch

    fresh = copy.deepcopy(network)
    with torch.no_grad():
        for module in fresh.modules():
            rms = is_norm(module) and getattr(module, "bias", None) is None
            for name, parameter in module.named_parameters(recurse=False):
                if not (rms and name == "weight"):
                    parameter.zero_()
        for module in fresh.modules():
            if is_norm(module) and getattr(module, "bias", None) is not None:
                module.get_parameter("bias")[0] = 1.0
        weight_of(fresh.get_input_embeddings())[:, 0] = 1.0
    return fresh.eval()


def destroyed(network: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
    """A copy of `network` with the entries of every weight matrix (embeddings too) shuffled within the matrix.

    Each matrix has its own stream, drawn from `seed` and its name; vectors (biases, norms) stay as they are.
    """
    import torch

    fresh = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in fresh.named_parameters():
            if parameter.ndim < 2:
                continue
            order = torch.randperm(parameter.numel(), generator=_generator(name, seed)).to(parameter.device)
            parameter.copy_(parameter.reshape(-1)[order].reshape(parameter.shape))
    return fresh.eval()


def _draw_again(network: PreTrainedModel) -> None:
    """Have the initialiser fill every weight: a slimmed network reshapes some and leaves them empty."""
    for thing in (*network.modules(), *network.parameters()):
        if hasattr(thing, "_is_hf_initialized"):
            del thing._is_hf_initialized
    network.init_weights()


def _generator(name: str, seed: int) -> torch.Generator:
    import torch

    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
