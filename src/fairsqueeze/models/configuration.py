"""What a model's `config.json` says, read without weights: which network it is, and which kind of model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fairsqueeze.errors import ModelError
from fairsqueeze.registry import Kind

_CHOOSE = "Say which with `kind` (causal, masked, encoder, pair_classifier or pair_regressor)."


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of `folder`. Raises ModelError if it is missing, malformed, or names a network that the installed
    transformers does not have; code that comes with a model is never run."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no config.json.", _instead(folder))
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise ModelError(f"{path} is not JSON: {problem}.", "Restore the original file.") from problem
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelError(f"{path} names no model_type.", "It is not the config of a transformers model.")
    named = config.get("architectures") or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ModelError(f"{path}: architectures is {named!r}.", "It must be a list of names of transformers classes.")
    _check_known(config, path)
    return config


def _instead(folder: Path) -> str:
    """What to do with a folder that is no model, by what it holds."""
    if (folder / "adapter_config.json").is_file():
        return "It holds an adapter: merge it into its base model and save that."
    if (folder / "study.json").is_file():
        return "It holds a study: name a model, or the folder of an audit (fairsqueeze audit MODEL --out DIR)."
    return "A model folder has config.json, *.safetensors and a tokeniser, as save_pretrained writes it."


def _check_known(config: dict[str, Any], path: Path) -> None:
    from transformers import CONFIG_MAPPING, __version__

    name = config["model_type"]
    if name in CONFIG_MAPPING:
        return
    if config.get("auto_map"):
        raise ModelError(
            f"{path}: a model of type {name!r} needs code from its own repository.",
            "Such code is never run; use a model whose architecture transformers has.",
        )
    raise ModelError(
        f"{path}: transformers {__version__} has no model of type {name!r}.",
        "Check the spelling in the config, or install a newer transformers.",
    )


def kind_of_config(config: dict[str, Any], where: object) -> Kind:
    """The kind that `architectures` decides. Raises ModelError if it is absent or fits none or several kinds."""
    architectures = config.get("architectures") or []
    kinds = sorted({kind for name in architectures for kind in _kinds_of_class(str(name), config)})
    if len(kinds) == 1:
        return kinds[0]
    named = ", ".join(map(str, architectures)) or "nothing"
    if not architectures or kinds:
        raise ModelError(
            f"{where}: config.json names {named} as its architecture, which leaves its kind open.", _CHOOSE
        )
    raise ModelError(
        f"{where}: a {named} is none of the kinds of model that can be asked.",
        "Kinds are causal, masked, encoder (…Model), and sequence classifier or regressor.",
    )


def _kinds_of_class(name: str, config: dict[str, Any]) -> set[Kind]:
    """The kinds of a transformers class, by the library's own tables."""
    from transformers.models.auto import modeling_auto as auto

    found: set[Kind] = set()
    if name in _names(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        found.add("causal")
    if name in _names(auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES):
        found.add("masked")
    if name in _names(auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES):
        found.add("pair_regressor" if _is_regressor(config) else "pair_classifier")
    if name in _names(auto.MODEL_MAPPING_NAMES):
        found.add("encoder")
    if not found and name.endswith("ForPreTraining"):
        # BERT and ALBERT: the masked head beside a second one, which is ignored. Others lack the masked head's weights.
        found |= {"masked"} if config["model_type"] in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES else set()
    return found


def _names(mapping: Any) -> set[str]:
    flat: set[str] = set()
    for value in mapping.values():
        flat.update([value] if isinstance(value, str) else value)
    return flat


def _is_regressor(config: dict[str, Any]) -> bool:
    labels = len(config["id2label"]) if config.get("id2label") else config.get("num_labels", 2)
    return labels == 1 or config.get("problem_type") == "regression"
