"""Models that come quantised: which library their config names, and what to do where it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairsqueeze.errors import ModelError

_FLAGS = {"load_in_8bit": "bitsandbytes", "load_in_4bit": "bitsandbytes"}
"""Old configs of bitsandbytes name no method."""


def quantisation_of(config: dict[str, Any], folder: Path) -> str | None:
    """The method that `quantization_config` in a config.json names (`torchao`, `bitsandbytes`, `gptq`, …), None for a
    model of plain floats. Raises ModelError for one that the installed transformers does not know: it would load the
    packed numbers as if they were weights."""
    entry = config.get("quantization_config")
    if not entry:
        return None
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    named = entry.get("quant_method") or next((_FLAGS[flag] for flag in _FLAGS if entry.get(flag)), None)
    known = {str(name).removesuffix("_4bit").removesuffix("_8bit") for name in AUTO_QUANTIZATION_CONFIG_MAPPING}
    if named not in known:
        raise ModelError(
            f"{folder / 'config.json'}: transformers has no quantisation called {named!r}.",
            f"It has {', '.join(sorted(known))}. Use the model's unquantised weights.",
        )
    return str(named)


def quantised_problem(folder: Path, method: str, kind: str, problem: Exception, first: str) -> ModelError:
    """The error for quantised weights in `folder` that could not be loaded as `kind`; `first` is the problem's line."""
    remedy = (
        f"{method} or what it needs is not installed here: install what is named, or use unquantised weights."
        if isinstance(problem, ImportError)
        else "Packed weights fit one kind of network only: load it as its own kind, or use unquantised weights."
    )
    return ModelError(f"{folder} holds weights quantised by {method} and can't be loaded as {kind}: {first}", remedy)
