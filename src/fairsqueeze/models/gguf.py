"""GGUF files: dequantised once into a plain transformers folder in the cache."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from fairsqueeze.assets.checksum import sha256_of
from fairsqueeze.errors import ModelError
from fairsqueeze.models.converted import converted
from fairsqueeze.models.quiet import quiet_transformers

FACTS = "gguf.json"
CONVERSION = 1
"""Counts up when the same file would be converted to something else."""


def convert(path: Path) -> tuple[Path, dict[str, Any]]:
    """The folder in the cache that holds the dequantised float32 model of a GGUF file, and what is known of the file.

    Converts the first time (SmolLM2-135M: half a minute), one process at a time; the folder appears whole or not at
    all. The facts: `sha256`, `file`, `quantisation` (tensors by storage type), `conversion`.

    Raises ModelError if the file is no GGUF file, is damaged, or has an architecture that transformers can't convert.
    """
    _check_magic(path)
    digest = sha256_of(path)

    def build(folder: Path) -> dict[str, Any]:
        _write_plain(path, folder)
        return {
            "sha256": digest,
            "file": path.name,
            "quantisation": _storage_types(path),
            "conversion": CONVERSION,
        }

    return converted(f"{digest[:16]}-{CONVERSION}", FACTS, build)


def _write_plain(path: Path, folder: Path) -> None:
    """Dequantise with transformers, and move the weights into a network that does not remember being quantised:
    transformers refuses to save one that does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet_transformers():
            network = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True, trust_remote_code=False
            )
            tokenizer = AutoTokenizer.from_pretrained(
                path.parent, gguf_file=path.name, local_files_only=True, trust_remote_code=False
            )
    # transformers' and gguf's readers raise anything from IndexError to bare Exception for files they can't follow.
    except Exception as problem:
        raise ModelError(
            f"{path} can't be converted: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}",
            "Fetch it again, or use the model's safetensors.",
        ) from problem
    config = network.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with quiet_transformers():
        plain = type(network)._from_config(config, dtype=torch.float32)
        plain.load_state_dict(network.state_dict(), strict=True)
        plain.tie_weights()
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _storage_types(path: Path) -> dict[str, int]:
    """How many tensors the file stores in which type, as in {"F32": 61, "Q4_1": 211}."""
    from gguf import GGUFReader

    return dict(sorted(Counter(tensor.tensor_type.name for tensor in GGUFReader(path).tensors).items()))


def _check_magic(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise ModelError(f"{path} is not a GGUF file.", "It does not begin as one; fetch it again.")
