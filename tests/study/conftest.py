"""A small measure and task of self-written items, and a tiny model to ask them of: whole commands in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fairsqueeze.engine.requests import TextLogProb
from fairsqueeze.items import Item, Row
from fairsqueeze.registry import Card, Statistic, measure, measures, task, tasks
from fairsqueeze.testing.tiny import save_tiny, tiny_model

PEOPLE = ("baker", "nurse", "pilot", "clerk", "judge", "miner", "tutor", "guard")


def _items(files: dict) -> list[Item]:
    return [
        Item(
            f"{axis}-{k}",
            axis,
            "g",
            f"{axis}-{who}",
            {"a": f"the {who} ran {k}", "b": f"a {who} sat {k}", "c": f"{k} {who}"},
        )
        for axis in ("one", "two")
        for k, who in enumerate(PEOPLE)
    ]


def _asks(item: Item) -> dict:
    return {name: TextLogProb(text) for name, text in item.content.items()}


def _share(frame: dict, weights: np.ndarray) -> np.ndarray:
    return 100 * (weights @ (frame["preference"] > 0)) / weights.sum(axis=1)


def _mean(frame: dict, weights: np.ndarray) -> np.ndarray:
    return (weights @ frame["logprob"]) / weights.sum(axis=1)


@pytest.fixture
def small_registry() -> Iterator[None]:
    """Registers `pairs.sum` and `fluency` for one test."""
    measures.names(), tasks.names()

    @measure(
        "pairs.sum", version=1, kinds={"causal"}, data=(), source="self", items=_items, asks=_asks,
        statistics=(Statistic("share", _share, 50.0, 50.0, 0.0, (0.0, 100.0)),), card=Card("the third text"),
    )  # fmt: skip
    def pairs(item: Item, answers: dict) -> list[Row]:
        """Which of two texts is likelier."""
        a, b, c = (answers[k].total for k in "abc")
        return [item.row(a - b, (a + b) / 2 - c, answer={"a": a, "b": b, "c": c}, n_tokens=answers["a"].n_tokens)]

    @task(
        "fluency", version=1, kinds={"causal"}, data=(), source="self", items=_items, asks=_asks,
        statistics=(Statistic("logprob", _mean, None, None, None, (-1e9, 0.0), better="higher"),), card=Card("none"),
    )  # fmt: skip
    def fluency(item: Item, answers: dict) -> list[Row]:
        """How likely texts are."""
        return [item.row(answer={"logprob": answers["a"].total}, n_tokens=answers["a"].n_tokens)]

    yield
    measures._by_name.pop("pairs.sum")
    tasks._by_name.pop("fluency")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny Llama."""
    folder = tmp_path_factory.mktemp("tiny") / "llama"
    save_tiny(tiny_model("llama", "causal"), folder)
    return folder
