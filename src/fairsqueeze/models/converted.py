"""Models made once from other files, kept in the cache as plain transformers folders."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairsqueeze.assets import cache


def converted(key: str, facts: str, build: Callable[[Path], dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """The folder `key` of the cache, built now if it is not there, and what `build` returned when it was built.

    One process builds at a time; the folder appears whole or not at all. The facts (plain JSON) are kept in it as the
    file `facts`, whose presence says that the folder is finished.
    """
    target = cache.root() / "converted" / key
    if not (target / facts).is_file():  # a finished one is read without a lock: the cache may be read-only
        with cache.lock(f"converted-{key}"):
            if not (target / facts).is_file():
                with cache.writing(target):
                    _build(target, facts, build)
    return target, json.loads((target / facts).read_text(encoding="utf-8"))


def _build(target: Path, facts: str, build: Callable[[Path], dict[str, Any]]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        found = build(temporary)
        (temporary / facts).write_text(json.dumps(found, indent=2), encoding="utf-8")
        temporary.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)  # only ever a folder without facts: unfinished
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
