"""What a reference stands for right now, told from its files without loading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairsqueeze.assets.checksum import sha256_of
from fairsqueeze.models.place import config_place_of
from fairsqueeze.models.reference import parse_reference

_TOLD = ("*.json", "*.safetensors", "*.txt", "*.model", "*.tiktoken", "*.jinja")
"""Files of a model folder that decide what the model is: config, weights, tokeniser."""


def source_of(reference: str) -> dict[str, Any]:
    """Plain JSON that changes whenever the model behind `reference` does; no weights are loaded.

    Of a folder or GGUF file the sha256 of what it holds, of a built-in model those of the catalogue and of its delta,
    of a hub id the commit. Raises as `load` does for a model that is not there.
    """
    parsed = parse_reference(reference)
    if parsed.of is not None:
        return {"which": parsed.which, "of": source_of(parsed.of.text)}
    if parsed.source == "gguf" and parsed.path is not None:
        return {"sha256": sha256_of(parsed.path)}
    place = config_place_of(parsed)
    if parsed.source == "folder":
        return {"files": _files(place.folder)}
    return place.provenance


def _files(folder: Path) -> dict[str, str]:
    found = sorted({path for pattern in _TOLD for path in folder.glob(pattern) if path.is_file()})
    return {path.name: sha256_of(path) for path in found}
