"""Latency: how long models take, and what they draw, in turns so that a busy machine slows all of them alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor

from fairsqueeze.compress.energy import Energy, Meter, joules_of_rounds, meter_of, no_energy
from fairsqueeze.models.model import Model

_WARM_UP = 2


@dataclass(frozen=True)
class Latency:
    """What one model took in every round, beside the first (dense) one.

    Args:
        median_s, low_quartile_s, high_quartile_s: seconds a forward pass.
        tokens_per_s: batch × length / median_s.
        speedup: median over rounds of (dense seconds / own seconds); 1 for the dense model itself, > 1 is faster.
        speedup_low, speedup_high: its interval, distribution-free, from the ordered ratios of the rounds.
        level: the interval's coverage: at least 0.95 from 6 rounds on; what the full range has with fewer.
        batch, length, rounds, threads, device: how it was measured.
        energy: joules in rounds of their own, after those that are timed, where the hardware counts them.
    """

    median_s: float
    low_quartile_s: float
    high_quartile_s: float
    tokens_per_s: float
    speedup: float
    speedup_low: float
    speedup_high: float
    level: float
    batch: int
    length: int
    rounds: int
    threads: int
    device: str
    energy: Energy

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return asdict(self)


@torch.inference_mode()
def measure_latency(
    models: Mapping[str, Model],
    *,
    batch: int = 1,
    length: int = 64,
    repeats: int = 9,
    clock: Callable[[], float] = time.perf_counter,
    meter: Meter | None = None,
) -> dict[str, Latency]:
    """Median forward time and energy of every model, in interleaved rounds: each takes all models, the order rotated.

    All models get the same token ids. Two untimed passes come first. Models are in eval mode and stay where they are.

    Args:
        models: by name; the first is the dense one that the others are compared with.
        batch: sequences a pass, at least 1.
        length: tokens a sequence, at least 1; cut to what every model accepts.
        repeats: rounds, at least 1.
        clock: seconds; replaced in tests.
        meter: of joules; that of the first model's device by default.

    Raises:
        ValueError: no models, or a number below 1.
    """
    if not models or min(batch, length, repeats) < 1:
        raise ValueError("measure_latency needs a model, and batch, length and repeats of at least 1.")
    networks = {name: model.network for name, model in models.items()}
    ids = example_ids(list(networks.values()), batch, length)
    for network in networks.values():
        for _ in range(_WARM_UP):
            _pass(network, ids)
    names = list(networks)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            start = clock()
            _pass(networks[name], ids)
            seconds[name].append(clock() - start)
    dense = seconds[names[0]]
    drawn = _energies(
        {name: partial(_pass, networks[name], ids) for name in names},
        seconds,
        ids,
        repeats,
        meter or meter_of(str(models[names[0]].device)),
    )
    return {name: _latency(own, dense, ids, str(models[name].device), drawn[name]) for name, own in seconds.items()}


def example_ids(networks: list[Any], batch: int, length: int) -> Tensor:
    """Seeded token ids, shape (batch, length), that all these networks accept; shorter where one takes no more."""
    configs = [network.config.get_text_config() for network in networks]
    positions = [getattr(c, "max_position_embeddings", None) or length + 2 for c in configs]
    length = max(1, min(length, min(positions) - 2))  # RoBERTa counts its positions from 2
    vocabulary = min(network.get_input_embeddings().weight.shape[0] for network in networks)
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randint(0, vocabulary, (batch, length), generator=generator)


def _pass(network: Any, ids: Tensor) -> None:
    here = ids.to(network.device)
    network(input_ids=here, attention_mask=torch.ones_like(here))
    if here.is_cuda:
        torch.cuda.synchronize(here.device)


def _energies(
    passes: Mapping[str, Callable[[], None]],
    seconds: Mapping[str, list[float]],
    ids: Tensor,
    rounds: int,
    meter: Meter,
) -> dict[str, Energy]:
    """Energy of every model; blocks of so many passes that they take as long as the meter needs."""
    if not meter.counters:
        return dict.fromkeys(passes, no_energy(meter.basis))
    counts = {name: math.ceil(meter.block_s / max(median(s), 1e-6)) or 1 for name, s in seconds.items()}
    joules = joules_of_rounds(passes, counts, meter, rounds)
    dense = next(iter(joules.values()))
    return {name: _energy(own, dense, ids.numel(), counts[name], meter.basis) for name, own in joules.items()}


def _energy(own: list[float], dense: list[float], tokens: int, passes: int, basis: str) -> Energy:
    if min(*own, *dense) <= 0:
        return no_energy(f"none: a counter stood still ({basis})")
    rounds = len(own)
    ratios = sorted(o / d for d, o in zip(dense, own, strict=True))
    rank, level = _median_interval(rounds)
    low, _, high = quantiles(own, n=4, method="inclusive") if rounds > 1 else own * 3
    return Energy(
        joules_per_token=median(own) / tokens,
        low_quartile=low / tokens,
        high_quartile=high / tokens,
        against_dense=median(ratios),
        against_dense_low=ratios[rank],
        against_dense_high=ratios[rounds - 1 - rank],
        level=level,
        rounds=rounds,
        passes=passes,
        basis=basis,
    )


def _latency(own: list[float], dense: list[float], ids: Tensor, device: str, energy: Energy) -> Latency:
    rounds = len(own)
    ratios = sorted(d / max(o, 1e-12) for d, o in zip(dense, own, strict=True))
    rank, level = _median_interval(rounds)
    quartiles = quantiles(own, n=4, method="inclusive") if rounds > 1 else own * 3
    return Latency(
        median_s=median(own),
        low_quartile_s=quartiles[0],
        high_quartile_s=quartiles[2],
        tokens_per_s=ids.numel() / max(median(own), 1e-12),
        speedup=median(ratios),
        speedup_low=ratios[rank],
        speedup_high=ratios[rounds - 1 - rank],
        level=level,
        batch=ids.shape[0],
        length=ids.shape[1],
        rounds=rounds,
        threads=torch.get_num_threads(),
        device=device,
        energy=energy,
    )


def _median_interval(n: int, wanted: float = 0.95) -> tuple[int, float]:
    """(rank, level): the rank-th smallest and largest of n values enclose their median with this probability.

    Level = 1 − 2·P(Binomial(n, ½) ≤ rank), the sign test's interval, the narrowest that keeps `wanted`; rank 0 and what
    it has where n is too small.
    """
    level_of = [1 - 2 * sum(math.comb(n, k) for k in range(rank + 1)) / 2**n for rank in range((n + 1) // 2)]
    rank = max((r for r, level in enumerate(level_of) if level >= wanted), default=0)
    return rank, max(level_of[rank], 0.0)
