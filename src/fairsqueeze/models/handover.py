"""Handing a made model to another process: what `checkpoint.save` writes, in memory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairsqueeze.models.checkpoint import save
from fairsqueeze.models.model import Model
from fairsqueeze.registry import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Packed:
    """A checkpoint and its files. The arrays of bytes travel through shared memory where the carrier has it.

    Args:
        id: checkpoint id.
        files: uint8 contents by path inside the folder.
        kind, dtype, device, reference, provenance, absent, ignored: as the model had them.
    """

    id: str
    kind: Kind
    dtype: str
    device: str
    reference: str
    provenance: dict[str, Any]
    absent: tuple[str, ...]
    ignored: tuple[str, ...]
    files: dict[str, NDArray[np.uint8]] = field(repr=False)


def pack(model: Model) -> Packed:
    """`model` as files in memory. Raises ModelError if it can't be stored (`check_storable`), or differs when read."""
    with tempfile.TemporaryDirectory(prefix="fairsqueeze-") as folder:
        target = Path(folder, "checkpoint")
        identity = save(model, target)
        paths = [path for path in sorted(target.rglob("*")) if path.is_file()]
        files = {str(path.relative_to(target)): np.fromfile(path, dtype=np.uint8) for path in paths}
    dtype = str(model.network.dtype).removeprefix("torch.")
    told = (model.reference, model.provenance, model.absent, model.ignored)
    return Packed(identity, model.kind, dtype, str(model.device), *told, files)


def unpack(packed: Packed) -> Model:
    """The model that was packed. Raises ModelError if its weights are not those of its id."""
    from fairsqueeze.models.load import load_folder

    with tempfile.TemporaryDirectory(prefix="fairsqueeze-") as folder:
        for name, content in packed.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            content.tofile(path)
        model = load_folder(Path(folder), packed.reference, kind=packed.kind, dtype=packed.dtype)
    model.network.to(device=packed.device)  # type: ignore[call-arg]
    model.provenance, model.absent, model.ignored = packed.provenance, packed.absent, packed.ignored
    return model
