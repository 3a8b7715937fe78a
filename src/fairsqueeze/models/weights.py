"""The weight files of a model folder: which there are, whether they are whole, and what they hold. Safetensors only."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from fairsqueeze.errors import ModelError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_AGAIN = "Fetch or copy the file again."


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers would load from `folder`, in order.

    Raises ModelError for a folder without any, for one with pickles only, and for a missing shard.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if (folder / INDEX).is_file():
        shards = sorted({folder / name for name in _weight_map(folder / INDEX).values()})
        missing = [shard.name for shard in shards if not shard.is_file()]
        if missing:
            raise ModelError(
                f"{folder} lacks {', '.join(missing[:8])} ({len(missing)} of {len(shards)} files).", _AGAIN
            )
        return shards
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLES and p.is_file())
    if pickles:
        raise ModelError(
            f"{folder} has its weights only as {', '.join(pickles[:3])}, which can run code when it is read; refused.",
            "If you trust it, convert it once: "
            "AutoModel….from_pretrained(FOLDER).save_pretrained(NEW_FOLDER) writes safetensors.",
        )
    raise ModelError(f"{folder} has no weights.", f"It must hold {SINGLE} (or {INDEX} and its files).")


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """`{name: {"dtype", "shape", "data_offsets"}}` of a safetensors file. Raises ModelError if it is cut short or no
    such file; reads the header only."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if len(start) < 8 or length > size - 8:
            raise ModelError(f"{path} is cut short: its header is not whole ({size} bytes).", _AGAIN)
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as problem:
        raise ModelError(f"{path} is not a safetensors file.", _AGAIN) from problem
    if 8 + length + end != size:
        short = "is cut short" if size < 8 + length + end else "has bytes too many"
        raise ModelError(f"{path} {short}: its header promises {8 + length + end} bytes, it has {size}.", _AGAIN)
    return tensors


def stored_names(folder: Path) -> set[str]:
    """Names of all tensors in the weight files of `folder`, every file checked to be whole."""
    return {name for path in weight_files(folder) for name in read_header(path)}


def _weight_map(index: Path) -> dict[str, str]:
    try:
        mapping = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        if not all(isinstance(v, str) and "/" not in v for v in mapping.values()):
            raise ValueError("a file name in it is not one")
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ModelError(f"{index} is not an index of safetensors files: {problem}.", "Restore the file.") from problem
    return mapping
