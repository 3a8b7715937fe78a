"""Energy: what forward passes draw, estimated from counters of the hardware; undefined where there is no counter.

Processors count in RAPL (`/sys/class/powercap`, the packages and, where it is told apart, their memory), NVIDIA GPUs in
NVML (the whole device). A counter holds everything that its part of the machine does in that time, idle power and other
programs included, so joules of a busy machine are too many; models are measured in turns, and the ratio of two of them
suffers less. What no counter holds (fans, disks, the host of a GPU, losses in the power supply) is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")

_RAPL_BLOCK_S = 0.2
"""RAPL counters move about once a millisecond: a block of passes this long is read to half a percent."""

_NVML_BLOCK_S = 1.0
"""NVML's counter moves up to ten times a second."""


@dataclass(frozen=True)
class Counter:
    """One counter: `read` gives joules since some moment and starts again at 0 beyond `span`."""

    read: Callable[[], float]
    span: float = math.inf


@dataclass(frozen=True)
class Meter:
    """Counters that are read together; none where there is nothing to read.

    Args:
        basis: what they count or, without counters, why there are none.
        block_s: seconds that the passes between two readings should take at least.
    """

    basis: str
    counters: tuple[Counter, ...] = ()
    block_s: float = 0.0

    def read(self) -> tuple[float, ...]:
        return tuple(counter.read() for counter in self.counters)

    def joules(self, before: tuple[float, ...], after: tuple[float, ...]) -> float:
        """Joules between two readings, at most one new start of each counter in between."""
        moved = zip(self.counters, before, after, strict=True)
        return sum(end - start + (counter.span if end < start else 0.0) for counter, start, end in moved)


@dataclass(frozen=True)
class Energy:
    """What one model drew in every round, beside the first (dense) one; None where no counter can be read or it stood.

    Args:
        joules_per_token, low_quartile, high_quartile: over the rounds.
        against_dense: median over rounds of (own joules / dense joules) a pass; 1 for the dense model, < 1 is less.
        against_dense_low, against_dense_high: its interval, distribution-free, of coverage `level`.
        rounds, passes: readings, and forward passes between two of them.
        basis: what was counted, or why nothing was.
    """

    joules_per_token: float | None
    low_quartile: float | None
    high_quartile: float | None
    against_dense: float | None
    against_dense_low: float | None
    against_dense_high: float | None
    level: float | None
    rounds: int
    passes: int
    basis: str


def no_energy(basis: str) -> Energy:
    """Nothing was counted, and why."""
    return Energy(None, None, None, None, None, None, None, 0, 0, basis)


def meter_of(device: str, powercap: Path = POWERCAP) -> Meter:
    """What counts the energy of a model on `device` (cpu, cuda, cuda:1, …); a meter without counters if nothing does.

    Args:
        powercap: folder of the kernel's counters.
    """
    if device.startswith("cuda"):
        return _nvml(device)
    if device.startswith("cpu"):
        return _rapl(powercap)
    return Meter(f"none: no energy counter is known for {device}")


def joules_of_rounds(
    passes: Mapping[str, Callable[[], None]], counts: Mapping[str, int], meter: Meter, rounds: int
) -> dict[str, list[float]]:
    """Joules a pass of every model in each round; each round takes all models, the order rotated.

    Args:
        passes: one forward pass of each model; returns when it is done.
        counts: passes between two readings, by model.
    """
    names = list(passes)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            before = meter.read()
            for _ in range(counts[name]):
                passes[name]()
            found[name].append(meter.joules(before, meter.read()) / counts[name])
    return found


def _rapl(powercap: Path) -> Meter:
    """Every processor package with its memory. Zones called psys or intel-rapl-mmio hold the same again."""
    zones = sorted(path for path in powercap.glob("intel-rapl:*") if re.fullmatch(r"intel-rapl:\d+", path.name))
    try:
        packages = [zone for zone in zones if _text(zone / "name").startswith("package")]
        inner = [child for zone in packages for child in sorted(powercap.glob(f"{zone.name}:*"))]
        memory = [child for child in inner if _text(child / "name") == "dram"]
        counters = tuple(_zone_counter(zone) for zone in (*packages, *memory))
    except OSError as error:
        return Meter(f"none: {error.filename} can't be read ({error.strerror})")
    if not counters:
        return Meter(f"none: there is no counter of a processor package in {powercap}")
    what = f"{len(packages)} processor package(s){' and their memory' if memory else ''}"
    return Meter(f"RAPL: all that {what} drew meanwhile, other programs included", counters, _RAPL_BLOCK_S)


def _zone_counter(zone: Path) -> Counter:
    """The counter of one zone; OSError where it may not be read (most kernels let only root)."""

    def read() -> float:
        return int(_text(zone / "energy_uj")) / 1e6

    read()
    return Counter(read, int(_text(zone / "max_energy_range_uj")) / 1e6)


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _nvml(device: str) -> Meter:
    try:
        import pynvml
    except ImportError:
        return Meter("none: a GPU's counter needs nvidia-ml-py (pip install nvidia-ml-py)")
    import torch

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        return Meter(f"none: NVML does not tell the energy of {device} ({error})")
    counter = Counter(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)
    return Meter(
        "NVML: all that the GPU drew meanwhile, other programs included, the host left out", (counter,), _NVML_BLOCK_S
    )
