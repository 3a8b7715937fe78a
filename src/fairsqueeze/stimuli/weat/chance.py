"""What a network that knows nothing gets: effect sizes of random vectors, which average to no |d| of 0.

A sentence of a random network is close to a bag of its words. So each distinct word gets a vector of standard normal
numbers, a sentence the mean of its words' vectors, and the tests are run on these; sentences that share words ("This
is ...") are then alike by accident, which raises |d| far above what independent vectors would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np

from fairsqueeze.registry import Frame
from fairsqueeze.stimuli.weat.association import effect_size
from fairsqueeze.stimuli.weat.tables import SETS, Test, passage_chance, sentence_tests, word_tests

WIDTH = 768
NETWORKS = 40
SEED = 0


def random_effects(tests: Sequence[Test], networks: int = NETWORKS, seed: int = SEED) -> np.ndarray:
    """Effect sizes d (sample standard deviation) of random networks, shape (networks, tests), width `WIDTH`.

    One network gives the same word the same vector in every test, so a row is one network's set of results.
    """
    words = sorted({w for test in tests for s in SETS for t in test.texts[s] for w in words_of(t.text)})
    index = {word: k for k, word in enumerate(words)}
    prepared = [_counts(test, index) for test in tests]
    rng = np.random.default_rng(seed)
    found = np.empty((networks, len(tests)))
    for network in range(networks):
        vectors = rng.standard_normal((len(words), WIDTH))
        for column, (used, counts) in enumerate(prepared):
            found[network, column] = _effect(vectors[used], counts)
    return found


def chance_of(kind: Literal["words", "sentences"], frame: Frame) -> float:
    """Mean |d| that random networks get on the tests of `frame`, with its standard deviation's `ddof`.

    Simulated once per process with a seed of its own: the same value in every report. Passages come from a table.
    """
    expected = _expected(kind)
    values = []
    for test in dict.fromkeys(frame["test"]):
        rows = frame["test"] == test
        n, ddof = int(rows.sum()), int(frame["ddof"][rows][0])
        values.append(expected[test] * np.sqrt((n if ddof == 0 else n - 1) / (n - 1)))
    return float(np.mean(values))


def words_of(text: str) -> list[str]:
    """What stands between white space: `here.` and `here` are two words, as `This` and `this` are."""
    return text.split()


@cache
def _expected(kind: Literal["words", "sentences"]) -> dict[str, float]:
    tests = word_tests() if kind == "words" else [t for t in sentence_tests({}) if not t.absent]
    means = np.abs(random_effects(tests)).mean(axis=0)
    return {**passage_chance(), **{test.name: float(mean) for test, mean in zip(tests, means, strict=True)}}


def _counts(test: Test, index: dict[str, int]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The words that a test uses, and how often each is in each text, shape (texts, words used), by set."""
    used = sorted({index[w] for s in SETS for t in test.texts[s] for w in words_of(t.text)})
    place = {word: k for k, word in enumerate(used)}
    counts = {}
    for s in SETS:
        counts[s] = np.zeros((len(test.texts[s]), len(used)))
        for row, text in enumerate(test.texts[s]):
            for word in words_of(text.text):
                counts[s][row, place[index[word]]] += 1
    return np.array(used), counts


def _effect(vectors: np.ndarray, counts: dict[str, np.ndarray]) -> float:
    """d from word vectors, by their inner products: far fewer operations than with the sentences' vectors."""
    products = vectors @ vectors.T
    scaled = {s: c / np.sqrt(((c @ products) * c).sum(axis=1))[:, None] for s, c in counts.items()}
    direction = products @ (scaled["A"].mean(axis=0) - scaled["B"].mean(axis=0))
    s = np.concatenate([scaled["X"] @ direction, scaled["Y"] @ direction])
    is_x = np.arange(len(s)) < len(scaled["X"])
    return float(effect_size(s, is_x, np.ones((1, len(s))))[0])
