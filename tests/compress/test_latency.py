"""Timing in turns, with a clock of our own."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom

from fairsqueeze.compress.energy import Meter
from fairsqueeze.compress.latency import _median_interval, example_ids, measure_latency
from fairsqueeze.testing.tiny import tiny_model


class Clock:
    """Gives each forward pass the next duration of a list, and notes which network ran."""

    def __init__(self, durations: list[float]) -> None:
        self.durations, self.now, self.calls = list(durations), 0.0, 0

    def __call__(self) -> float:
        self.calls += 1
        if self.calls % 2 == 0:
            self.now += self.durations.pop(0)
        return self.now


@pytest.fixture
def pair():
    return {"dense": tiny_model("gpt2"), "small": tiny_model("gpt2", seed=1)}


def test_rounds_are_interleaved_dense_first_and_rotated(pair):
    order = []
    for name, model in pair.items():
        model.network.register_forward_pre_hook(lambda *_, name=name: order.append(name))
    measure_latency(pair, batch=1, length=4, repeats=3, meter=Meter("none"))
    assert order == ["dense"] * 2 + ["small"] * 2 + ["dense", "small", "small", "dense", "dense", "small"]


def test_speedup_is_paired_within_rounds_so_a_slow_round_changes_nothing(pair):
    # Round by round (rotated): dense, small | small, dense | dense, small; the second round is ten times slower.
    result = measure_latency(
        pair, batch=2, length=5, repeats=3, clock=Clock([2.0, 1.0, 10.0, 20.0, 4.0, 2.0]), meter=Meter("none")
    )
    small = result["small"]
    assert (small.speedup, small.speedup_low, small.speedup_high) == pytest.approx((2.0, 2.0, 2.0))
    assert small.median_s == pytest.approx(2.0)
    assert small.tokens_per_s == pytest.approx(2 * 5 / 2.0)
    assert (small.low_quartile_s, small.high_quartile_s) == pytest.approx((1.5, 6.0))
    dense = result["dense"]
    assert (dense.speedup, dense.speedup_low, dense.speedup_high) == (1.0, 1.0, 1.0)


def test_the_interval_shows_the_spread_of_the_ratios(pair):
    durations = []
    ratios = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    for turn, ratio in enumerate(ratios):
        durations += [ratio, 1.0] if turn % 2 == 0 else [1.0, ratio]
    small = measure_latency(pair, length=4, repeats=6, clock=Clock(durations), meter=Meter("none"))["small"]
    assert (small.speedup_low, small.speedup, small.speedup_high) == pytest.approx((1.0, 1.25, 1.5))
    assert small.level == pytest.approx(1 - 2 / 2**6)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 20, 101])
def test_the_interval_of_a_median_is_the_sign_tests(n):
    rank, level = _median_interval(n)
    assert level == pytest.approx(max(0.0, 1 - 2 * binom.cdf(rank, n, 0.5)), abs=1e-12)
    if n >= 6:
        assert level >= 0.95
        assert 1 - 2 * binom.cdf(rank + 1, n, 0.5) < 0.95, "the next narrower one would not cover"
    else:
        assert rank == 0


def test_one_round_of_one_model_has_no_interval():
    result = measure_latency({"model": tiny_model("bert")}, length=4, repeats=1, clock=Clock([0.5]))["model"]
    assert result.level == 0.0
    assert result.to_json()["median_s"] == result.low_quartile_s == 0.5


def test_example_ids_fit_the_shortest_context_and_the_smallest_vocabulary():
    networks = [tiny_model("roberta").network, tiny_model("bert").network]
    ids = example_ids(networks, 3, 10_000)
    assert ids.shape == (3, 126)
    assert int(ids.max()) < min(n.get_input_embeddings().weight.shape[0] for n in networks)
    for network in networks:
        assert torch.isfinite(network(input_ids=ids).logits).all()


def test_no_model_and_no_rounds_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        measure_latency({})
    with pytest.raises(ValueError, match="at least 1"):
        measure_latency({"m": tiny_model("bert")}, repeats=0)
