"""doctor: is this installation in order, and what is at hand?"""

from __future__ import annotations

import shutil
from typing import Any

from fairsqueeze.study.provenance import libraries, machine


def examine() -> dict[str, Any]:
    """Libraries, machine, cache and assets, JSON-ready; `in order` is False where a command could not work."""
    import psutil

    from fairsqueeze.assets.cache import root as cache_root
    from fairsqueeze.assets.cache import writing
    from fairsqueeze.assets.catalogue import describe, entries

    root = cache_root()
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    problems = []
    if free < 2 * 2**30:
        problems.append(f"Only {free / 2**30:.1f} GiB free at {root}; models and data need about 1 GiB.")
    memory = psutil.virtual_memory()
    if memory.available < 2 * 2**30:
        problems.append(
            f"Only {memory.available / 2**30:.1f} GiB of memory free; an audit of a 135M model needs 2.4 GiB."
        )
    here = {kind: [d["name"] for d in map(describe, entries(kind)) if d["here"]] for kind in ("model", "data")}
    return {
        "in order": not problems,
        "problems": problems,
        "libraries": libraries(),
        "machine": machine(),
        "memory_gib": {"total": round(memory.total / 2**30, 1), "free": round(memory.available / 2**30, 1)},
        "cache": {"folder": str(root), "free_gib": round(free / 2**30, 1)},
        "models at hand": here["model"],
        "data at hand": here["data"],
    }
