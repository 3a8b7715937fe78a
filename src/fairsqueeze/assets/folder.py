"""A folder of the user's own copies, laid out as the catalogue's paths say; a file may be gzipped."""

from __future__ import annotations

import os
from pathlib import Path

from fairsqueeze.errors import AssetError

VARIABLE = "FAIRSQUEEZE_DATA"


def configured() -> Path | None:
    """The folder that `FAIRSQUEEZE_DATA` names, or None where it is not set.

    Raises:
        AssetError: it names something that is not a folder.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        return None
    root = Path(value).expanduser()
    if not root.is_dir():
        raise AssetError(f"{VARIABLE}={value!r} is not a folder.", f"Unset {VARIABLE}, or let it name the data folder.")
    return root


def find(root: Path, path: str) -> Path | None:
    """The file at `path` under `root`, else the one at `path` + ".gz", else None."""
    for candidate in (root / path, root / f"{path}.gz"):
        if candidate.is_file():
            return candidate
    return None


def compressed(found: Path, path: str) -> bool:
    """Whether `found` is the gzipped form of the catalogue's `path`."""
    return found.name == f"{Path(path).name}.gz"
