"""Built-in models that are small differences from a fetched one: what a recipe learned, applied once, exactly.

A delta is a safetensors file: `NAME.low_rank_a` (r, in) and `NAME.low_rank_b` (out, r) in float16, whose product is
added to the weight NAME; `NAME.low_bit_codes` and `NAME.low_bit_scales`, a change in 4 bits that is added (`low_bit`),
of the rows in `NAME.low_bit_rows` (int32) where that is given; and plain `NAME`s that replace one. Its metadata
`fairsqueeze` is JSON: `architecture` (a transformers class), `config` (entries that differ from the base's config),
`recipe` (what made it).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairsqueeze.assets.checksum import sha256_of
from fairsqueeze.errors import ModelError
from fairsqueeze.models.converted import converted
from fairsqueeze.models.low_bit import unpacked
from fairsqueeze.models.quiet import quiet_transformers

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

FACTS = "delta.json"
VERSION = 1
"""Counts up when the same files would make another model."""

_LOW, _HIGH = ".low_rank_a", ".low_rank_b"
_CODES, _SCALES, _ROWS = ".low_bit_codes", ".low_bit_scales", ".low_bit_rows"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def with_delta(base: Path, delta: Path, sha256: str, identity: str, base_sha256: str) -> tuple[Path, dict[str, Any]]:
    """The folder in the cache that holds `base` with `delta` applied, and the facts: ids, recipe, version.

    Args:
        base: folder of the fetched model, its bytes already checked.
        delta: the safetensors file that the package ships.
        sha256: what the bytes of `delta` must hash to: checked before.
        identity: the checkpoint id that must come out: checked after.
        base_sha256: content id of the fetched files.

    Raises ModelError if the delta has other bytes, does not fit, or makes a model with another id.
    """
    if not delta.is_file():
        raise ModelError(f"{delta} is missing.", "Install fairsqueeze again: the package is incomplete.")
    found = sha256_of(delta)
    if found != sha256:
        raise ModelError(f"{delta} has sha256 {found}; expected {sha256}.", "Install fairsqueeze again.")

    def build(folder: Path) -> dict[str, Any]:
        network, recipe = applied(base, delta)
        with quiet_transformers():
            network.save_pretrained(folder)
        for name in _TOKENIZER:
            shutil.copyfile(base / name, folder / name)
        made = _read_back(folder)
        if made != identity:
            raise ModelError(
                f"{delta.stem} makes a model with id {made}; expected {identity}.",
                "Fetch its base again; if that does not help, report it with `fairsqueeze doctor`.",
            )
        return {"delta_sha256": sha256, "base_sha256": base_sha256, "id": identity, "recipe": recipe}

    return converted(f"{sha256[:16]}-{base_sha256[:8]}-{VERSION}", FACTS, build)


def applied(base: Path, delta: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The network that `delta` makes of the one in `base`, in float32 and eval mode, and the recipe it tells of.

    Raises ModelError if the delta names a weight that is not there, has a wrong shape, or leaves a weight unset.
    """
    import torch
    import transformers
    from safetensors.torch import load_file

    told = read_metadata(delta)
    network_class = getattr(transformers, told["architecture"])
    config = transformers.AutoConfig.from_pretrained(base, local_files_only=True)
    config.update({**told["config"], "architectures": [told["architecture"]]})
    with quiet_transformers():
        network, info = network_class.from_pretrained(
            base, config=config, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    tensors = load_file(delta)
    unset = _unset(network, info["missing_keys"], tensors)
    if unset:
        raise ModelError(f"{delta.stem} leaves weights unset: {', '.join(sorted(unset))}.", "Make it again.")
    merge_(network, tensors)
    return network.eval(), dict(told.get("recipe", {}))


def _unset(network: PreTrainedModel, missing: Iterable[str], tensors: Mapping[str, Tensor]) -> set[str]:
    """Which of the `missing` weights the delta does not give, under any name that a tied weight goes by."""
    named = dict(network.named_parameters(remove_duplicate=False))
    given = {id(named[name]) for name in tensors if name in named}
    return {name for name in missing if name not in tensors and id(named.get(name)) not in given}


def read_metadata(delta: Path) -> dict[str, Any]:
    """What the delta says of itself. Raises ModelError if it says nothing."""
    from safetensors import safe_open

    with safe_open(delta, "pt") as file:
        metadata = file.metadata() or {}
    if "fairsqueeze" not in metadata:
        raise ModelError(f"{delta} is no delta of fairsqueeze.", "Its metadata lacks the key fairsqueeze.")
    return json.loads(metadata["fairsqueeze"])


def merge_(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors of a delta into a plain network, in place: weight + B A + scales × codes, others replaced.

    The result is the same bit for bit on every machine: float16 values are multiples of 2^-24, so products and sums in
    float64 are exact as long as they stay below 32, whatever the order of summation; this is checked.
    """
    import torch

    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name.endswith((_HIGH, _SCALES, _ROWS)):
                continue
            target = name.removesuffix(_LOW).removesuffix(_CODES)
            if target not in parameters:
                raise ModelError(f"The delta changes {target}, which the network does not have.", "Check its base.")
            weight = parameters[target]
            if name.endswith(_LOW):
                change = weight.double() + _exact_product(tensors[target + _HIGH].double(), tensor.double(), target)
            elif name.endswith(_CODES):
                if target + _LOW in tensors:
                    continue  # both are added in one, with one rounding
                change = weight.double()
            else:
                change = tensor.double()
            if target + _CODES in tensors:
                _add_low_bits_(change, tensors, target)
            if change.shape != weight.shape:
                raise ModelError(
                    f"The delta's {target} is {tuple(change.shape)}, the network's {tuple(weight.shape)}.",
                    "Check its base.",
                )
            weight.copy_(change.float())


def _add_low_bits_(weight: Tensor, tensors: Mapping[str, Tensor], target: str) -> None:
    import torch

    change = unpacked(tensors[target + _CODES], tensors[target + _SCALES])
    rows = tensors.get(target + _ROWS, torch.arange(len(weight))).long()
    fits = change.shape == (len(rows), weight.shape[1])
    if not fits or (len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(weight)):
        raise ModelError(f"The delta's low bits of {target} do not fit {tuple(weight.shape)}.", "Check its base.")
    if len(rows.unique()) != len(rows):
        raise ModelError(f"The delta changes a row of {target} twice.", "Make it again.")
    weight[rows] += change


def _exact_product(high: Tensor, low: Tensor, name: str) -> Tensor:
    if float((high.abs() @ low.abs()).max()) >= 32:
        raise ModelError(f"The low-rank term of {name} is too large to be exact.", "Train it with weight decay.")
    return high @ low


def _read_back(folder: Path) -> str:
    from fairsqueeze.models.load import load_folder

    return load_folder(folder, folder.name).id
