"""Energy from counters of our own: a made-up powercap folder, a made-up NVML, and no counter at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fairsqueeze.compress.energy import Counter, Meter, joules_of_rounds, meter_of
from fairsqueeze.compress.latency import measure_latency
from fairsqueeze.testing.tiny import tiny_model


def zone(folder: Path, name: str, called: str, microjoules: int = 0, span: int = 1_000_000) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    for file, value in (("name", called), ("energy_uj", microjoules), ("max_energy_range_uj", span)):
        (made / file).write_text(f"{value}\n")
    return made


class Joules:
    """A counter that each forward pass moves by what its model draws."""

    def __init__(self) -> None:
        self.now = 0.0

    def meter(self, block_s: float = 0.0) -> Meter:
        return Meter("made up", (Counter(lambda: self.now),), block_s)


@pytest.fixture
def pair():
    return {"dense": tiny_model("gpt2"), "small": tiny_model("gpt2", seed=1)}


def drawing(pair, dense: float, small: float) -> Joules:
    counted = Joules()
    for model, joules in zip(pair.values(), (dense, small), strict=True):

        def move(*_, joules=joules):
            counted.now += joules

        model.network.register_forward_pre_hook(move)
    return counted


def test_packages_and_their_memory_are_summed_and_counted_on_past_the_end(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 100_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 0)
    whole = zone(tmp_path, "intel-rapl:2", "psys", 7)
    again = zone(tmp_path, "intel-rapl-mmio:0", "package-0", 7)
    meter = meter_of("cpu", tmp_path)
    before = meter.read()
    for path, value in ((package, 200_000), (second, 150_000), (memory, 10_000), (whole, 9), (again, 9)):
        (path / "energy_uj").write_text(str(value))
    # .9 to 1 and on to .2 is .3 J; .05 J of the second package; .01 J of memory; psys and mmio hold the same again
    assert meter.joules(before, meter.read()) == pytest.approx(0.36)
    assert "2 processor package(s) and their memory" in meter.basis


def test_without_a_readable_counter_there_is_a_reason_and_no_figure(tmp_path, pair):
    assert meter_of("cpu", tmp_path).basis.startswith("none: there is no counter")
    (zone(tmp_path, "intel-rapl:0", "package-0") / "energy_uj").unlink()
    meter = meter_of("cpu", tmp_path)
    assert meter.counters == ()
    assert "energy_uj can't be read" in meter.basis
    assert meter_of("mps").basis == "none: no energy counter is known for mps"
    energy = measure_latency(pair, length=4, repeats=2, meter=meter)["small"].to_json()["energy"]
    assert (energy["joules_per_token"], energy["against_dense"], energy["basis"]) == (None, None, meter.basis)
    json.dumps(energy, allow_nan=False)


def test_rounds_take_all_models_in_turns_and_share_a_block_among_its_passes():
    order, counted = [], Joules()

    def passing(name: str, joules: float):
        def run() -> None:
            order.append(name)
            counted.now += joules

        return run

    passes = {"dense": passing("dense", 2.0), "small": passing("small", 0.5)}
    found = joules_of_rounds(passes, {"dense": 1, "small": 3}, counted.meter(), 2)
    assert order == ["dense", "small", "small", "small", "small", "small", "small", "dense"]
    assert found == {"dense": [2.0, 2.0], "small": [0.5, 0.5]}


def test_joules_a_token_and_against_the_dense_model(pair):
    counted = drawing(pair, dense=4.0, small=1.0)
    found = measure_latency(pair, batch=2, length=5, repeats=6, meter=counted.meter())
    small, dense = found["small"].energy, found["dense"].energy
    assert small.joules_per_token == pytest.approx(0.1)
    assert (small.against_dense_low, small.against_dense, small.against_dense_high) == (0.25, 0.25, 0.25)
    assert dense.against_dense == 1.0
    assert (small.rounds, small.passes, small.basis) == (6, 1, "made up")
    assert small.level == found["small"].level


def test_blocks_take_as_long_as_the_meter_needs(pair):
    ticks = iter(range(1000))
    counted = drawing(pair, dense=4.0, small=1.0)
    # every pass takes one second of this clock, so 2.5 seconds are three passes
    found = measure_latency(pair, length=4, repeats=1, clock=lambda: float(next(ticks)), meter=counted.meter(2.5))
    assert found["small"].energy.passes == 3
    assert found["small"].energy.joules_per_token == pytest.approx(0.25)


def test_a_counter_that_stands_still_gives_no_figure(pair):
    energy = measure_latency(pair, length=4, repeats=2, meter=Joules().meter())["small"].energy
    assert energy.joules_per_token is None
    assert "stood still" in energy.basis


def test_a_gpu_counts_in_millijoules_and_says_why_it_cannot(monkeypatch):
    class Refused(Exception):
        pass

    def refuse(handle):
        raise Refused("Not Supported")

    energies = iter([1_000, 1_000, 3_500])
    nvml = SimpleNamespace(
        NVMLError=Refused,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(energies),
    )
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: SimpleNamespace(uuid="abc"))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter = meter_of("cuda:0")
    before = meter.read()
    assert meter.joules(before, meter.read()) == pytest.approx(2.5)
    nvml.nvmlDeviceGetTotalEnergyConsumption = refuse
    assert "NVML does not tell the energy of cuda:0 (Not Supported)" in meter_of("cuda:0").basis
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in meter_of("cuda").basis
