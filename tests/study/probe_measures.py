"""A plugin with a task, three measures of self-written items and a method, small enough for whole studies in seconds.

Workers find it as any plugin, by its entry points (`installed` in test_executors.py writes them). `PROBE_TRAP` names a
folder in which a file `kill` has the next worker that scores anything kill itself, once, and a file `slow` has it sleep
for five minutes. `probe.counted` writes a line to `layers` there for every layer that it is given.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
from torch import Tensor

import fairsqueeze.study.scoring as scoring
from fairsqueeze.engine.requests import TextLogProb
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Statistic, measure, task, weight_rule

scoring.LARGE = 20  # probe.many is asked in ranges

PEOPLE = ("baker", "nurse", "pilot", "clerk", "judge", "miner", "tutor", "guard")


def _items(files: dict, times: int = 1) -> list[Item]:
    return [
        Item(f"{axis}-{n}", axis, "g", f"{axis}-{who}", {"a": f"the {who} ran {n}", "b": f"a {who} sat", "c": who})
        for axis in ("one", "two")
        for n, who in enumerate(PEOPLE * times)
    ]


def _many(files: dict) -> list[Item]:
    return _items(files, times=3)


def _asking(letters: str):
    def asks(item: Item) -> dict:
        return {letter: TextLogProb(item.content[letter]) for letter in letters}

    return asks


def _share(frame: dict, weights: np.ndarray) -> np.ndarray:
    return 100 * (weights @ (frame["preference"] > 0)) / weights.sum(axis=1)


def _mean(frame: dict, weights: np.ndarray) -> np.ndarray:
    return (weights @ frame["a"]) / weights.sum(axis=1)


SHARE = (Statistic("share", _share, 50.0, 50.0, 0.0, (0.0, 100.0)),)
FLUENCY = (Statistic("logprob", _mean, None, None, None, (-1e9, 0.0), better="higher"),)


def _trapped(name: str) -> bool:
    """Whether there is a trap of this name; it is one process that it catches."""
    trap = Path(os.environ.get("PROBE_TRAP", "/nowhere"))
    try:
        (trap / name).rename(trap / f"{name}.sprung")
    except OSError:
        return False
    return True


def _row(item: Item, answers: dict) -> list[Row]:
    if _trapped("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if _trapped("slow"):
        time.sleep(300)
    totals = {letter: answers[letter].total for letter in answers}
    preference = totals["a"] - totals["b"] if {"a", "b"} <= set(totals) else None
    control = totals.get("c")
    return [item.row(preference, control, answer=totals, n_tokens=3)]


@task(
    "probe.fluency", version=1, kinds={"causal"}, data=(), source="self", items=_items, asks=_asking("a"),
    statistics=FLUENCY, card=Card("none"),
)  # fmt: skip
def fluency(item: Item, answers: dict) -> list[Row]:
    """How likely texts are."""
    return _row(item, answers)


@measure(
    "probe.pairs", version=1, kinds={"causal"}, data=(), source="self", items=_items, asks=_asking("abc"),
    statistics=SHARE, card=Card("the third text"),
)  # fmt: skip
def pairs(item: Item, answers: dict) -> list[Row]:
    """Which of two texts is likelier; shares a text with probe.fluency."""
    return _row(item, answers)


@measure(
    "probe.same", version=1, kinds={"causal"}, data=(), source="self", items=_items, asks=_asking("abc"),
    statistics=SHARE, card=Card("the third text"),
)  # fmt: skip
def same(item: Item, answers: dict) -> list[Row]:
    """Which of two texts is likelier, once more: every answer is there already."""
    return _row(item, answers)


@measure(
    "probe.many", version=1, kinds={"causal"}, data=(), source="self", items=_many, asks=_asking("abc"),
    statistics=SHARE, card=Card("the third text"),
)  # fmt: skip
def many(item: Item, answers: dict) -> list[Row]:
    """Which of two texts is likelier, of more items than are asked at once."""
    return _row(item, answers)


@weight_rule("probe.counted", selects="linear", source="self", saves="nothing")
def counted(weight: Tensor) -> Tensor:
    """Doubles every weight, and says so."""
    with Path(os.environ["PROBE_TRAP"], "layers").open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    return 2 * weight
