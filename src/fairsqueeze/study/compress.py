"""compress_to: a model, compressed and saved, with its provenance beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairsqueeze.errors import BadSetting
from fairsqueeze.registry import checked_settings, methods
from fairsqueeze.spec import Spec
from fairsqueeze.study.progress import Progress, Silent


def compress_to(
    model: str,
    method: str,
    parameters: Mapping[str, Any],
    out: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compress `model` by `method` into the new folder `out`; returns what was measured, JSON-ready.

    Name, settings and folder are checked before the model is loaded. The folder appears only when it is complete.
    """
    progress = progress or Silent()
    declared = methods.get(method)
    settings = checked_settings(declared, parameters)
    if not declared.storable:
        raise BadSetting(
            f"{method} makes weights that no file format holds, so that there is nothing to write to {out}.",
            "Use it in a study, or from Python: fairsqueeze.compress(model, ...).",
        )
    from fairsqueeze.compress.apply import compress
    from fairsqueeze.compress.footprint import footprint
    from fairsqueeze.models.checkpoint import check_target, save
    from fairsqueeze.models.load import load

    check_target(out)
    if Path(model).expanduser().exists() and Path(model).expanduser().resolve() == out.resolve():
        raise BadSetting(f"--out {out} is the model itself, which would be replaced.", "Choose another folder.")
    progress.say(f"Loading {model}")
    dense = load(model, device=device)
    progress.say(f"Compressing by {Spec(method, settings)}")
    result = compress(dense, method, seed=seed, **settings)
    progress.say(f"Saving to {out}")
    save(result, out)
    return {
        "schema": "fairsqueeze.compress/1",
        "out": str(out),
        "id": result.id,
        "method": Spec(method, settings).to_json(),
        "seed": seed,
        "measured": result.provenance["steps"][-1]["measured"],
        "simulated": declared.simulated,
        "saves": declared.saves,
        "footprint": footprint(result),
    }
