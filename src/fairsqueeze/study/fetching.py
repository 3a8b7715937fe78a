"""fetch_all: data sets and models of the catalogue into the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

from fairsqueeze.assets.catalogue import entries, entry
from fairsqueeze.assets.fetch import fetch
from fairsqueeze.errors import AssetError, BadSetting, FairsqueezeError
from fairsqueeze.study.progress import Progress, Silent


def fetch_all(
    names: Sequence[str], *, everything: bool = False, origin: str | None = None, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Fetch the named assets (or all); one row each with what was found where.

    All names are checked before anything is fetched. With `everything`, an asset without a reachable source is
    reported in its row and the rest go on; otherwise the first failure raises.
    """
    progress = progress or Silent()
    wanted = [entry(name.removeprefix("builtin:")) for name in names] or (entries() if everything else [])
    if not wanted:
        raise BadSetting(
            "fetch needs at least one NAME, or --all.", "See: fairsqueeze list data, fairsqueeze list models."
        )
    rows = []
    for one in wanted:
        progress.say(f"Fetching {one.name}")
        try:
            found = fetch(one.name, origin=_origin(origin), progress=progress)
            if one.kind == "model":
                _convert(one.name)
            rows.append({"name": one.name, "source": found.source, "files": len(found.files), "sha256": found.sha256})
        except AssetError as error:
            if not everything:
                raise
            rows.append({"name": one.name, "source": f"not fetched: {error.message}", "files": 0, "sha256": None})
    if all(row["sha256"] is None for row in rows):
        raise AssetError("Nothing could be fetched.", str(rows[0]["source"]))
    return rows


def _origin(origin: str | None) -> Literal["hub", "index"] | Path | None:
    if origin in (None, "hub", "index"):
        return cast('Literal["hub", "index"] | None', origin)
    folder = Path(cast(str, origin))
    if not folder.is_dir():
        raise BadSetting(f"--from {origin} is neither hub, index nor a folder.", "Give one of these.")
    return folder


def _convert(name: str) -> None:
    """Convert a model that comes in another form (GGUF) now, so that the first use does not wait for it."""
    from fairsqueeze.models.load import prepare_builtin

    try:
        prepare_builtin(name)
    except FairsqueezeError as error:
        raise AssetError(f"{name} was fetched but can't be used: {error.message}", error.remedy) from error
