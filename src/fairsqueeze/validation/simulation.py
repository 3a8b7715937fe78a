"""Corrected bias on simulated models: estimator × response model × damage, with bias, spread, coverage and verdicts.

The response models (`stats.response_models`) have a known corrected bias, so that one can see whether an estimator is
right, how far it spreads, whether its interval holds what it promises, and what it says of models that know nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.special import ndtri

from fairsqueeze.stats.bootstrap import Clusters, clusters_of
from fairsqueeze.stats.corrected import Corrected, fieller_of_sums, judge, mean_columns
from fairsqueeze.stats.forms import weight_of
from fairsqueeze.stats.interval import FEW_CLUSTERS
from fairsqueeze.stats.response_models import (
    ResponseModel,
    Scores,
    drifted,
    forgetful,
    guessed,
    heated,
    noisy,
    patchy,
)

Damage = Callable[[Scores, np.random.Generator], Scores]

ESTIMATORS = (
    "ratio, percentile",
    "ratio, BCa",
    "ratio, Fieller",
    "length-weighted ratio",
    "guessing",
    "signal detection",
)

MODELS = {
    "normal, 100 clusters of 5": ResponseModel(),
    "normal, 30 clusters of 5": ResponseModel(clusters=30),
    "normal, 12 clusters of 20": ResponseModel(clusters=12, per_cluster=20, between=0.3),
    "normal, 6 clusters of 50": ResponseModel(clusters=6, per_cluster=50, between=0.2),
    "heavy tails (t3), 100 of 5": ResponseModel(tails=3.0),
    "single items, n = 300": ResponseModel(clusters=300, per_cluster=1, between=0.0),
    "options of unlike length, 100 of 5": ResponseModel(uneven=1.0, within=1.0),
}
"""Models with a true corrected bias of .2 and a competence of 1."""

INSIDE: dict[str, Damage] = {
    "none": lambda scores, rng: scores,
    "guessing 50 %": lambda scores, rng: guessed(scores, 0.5, rng),
    "guessing, by cluster": lambda scores, rng: patchy(scores, 0.4, rng),
    "noise sd 3": lambda scores, rng: noisy(scores, 3.0, rng),
    "temperature 4": lambda scores, rng: heated(scores, 4.0),
    "all three, mild": lambda scores, rng: heated(noisy(guessed(scores, 0.25, rng), 1.5, rng), 2.0),
}
"""Damage under which corrected bias should stay."""

OUTSIDE: dict[str, Damage] = {
    "control forgets 50 %": lambda scores, rng: forgetful(scores, 0.5, rng),
    "words of one side drift by .3": lambda scores, rng: drifted(scores, 0.3),
}
"""Damage that no form sees through: what the theory does not promise."""

JUDGED = {
    "competent, unbiased": ResponseModel(bias=0.0),
    "competent, unbiased, 30 clusters": ResponseModel(bias=0.0, clusters=30),
    "competent, unbiased, heavy tails": ResponseModel(bias=0.0, tails=3.0),
    "competent, unbiased, unlike lengths": ResponseModel(bias=0.0, uneven=1.0, within=1.0),
    "very competent, unbiased, 2,000 clusters": ResponseModel(bias=0.0, competence=3.0, clusters=2000),
    "random, 100 clusters": ResponseModel(bias=0.0, competence=0.0),
    "random, 12 clusters": ResponseModel(bias=0.0, competence=0.0, clusters=12, per_cluster=20),
    "random, 4 clusters": ResponseModel(bias=0.0, competence=0.0, clusters=4, per_cluster=20),
    "random, heavy tails": ResponseModel(bias=0.0, competence=0.0, tails=3.0),
    "random, unlike lengths": ResponseModel(bias=0.0, competence=0.0, uneven=1.0, within=1.0),
    "random, 2,000 clusters": ResponseModel(bias=0.0, competence=0.0, clusters=2000),
    "constant": ResponseModel(bias=0.0, competence=0.0, between=0.0, within=0.0),
}
"""Models whose right verdict is known: never "biased" but by chance, and never "fair" without competence."""

BLOCK = 50
"""Simulations that share one set of bootstrap draws, which is most of the work."""


@dataclass(frozen=True)
class Outcome:
    """What one estimator said over all simulations of one setting.

    `error` and `sd`: mean error and spread of the estimates; `width`: median width of the intervals; `coverage`: share
    of intervals that hold the truth; all three among the measurable simulations, which are the share `measurable`.
    `verdicts`: share of each verdict (none for Fieller's, which is a bare interval).
    """

    truth: float
    error: float
    sd: float
    width: float
    coverage: float
    measurable: float
    verdicts: dict[str, float]


def simulate(
    model: ResponseModel,
    damage: Damage,
    *,
    simulations: int,
    replicates: int,
    seed: int = 7,
    estimators: Sequence[str] = ESTIMATORS,
) -> dict[str, Outcome]:
    """Outcome of every estimator over `simulations` samples of items, each drawn and damaged with a seed of its own."""
    truth = truths(model)
    found: dict[str, list[tuple[float, float, float, str]]] = {name: [] for name in estimators}
    for start in range(0, simulations, BLOCK):
        samples = []
        for index in range(start, min(start + BLOCK, simulations)):
            rng = np.random.default_rng([seed, index])
            samples.append(damage(model.draw(rng), rng))
        for said in _judged(samples, replicates, np.random.default_rng([seed, 11, start]), estimators):
            for name, one in said.items():
                found[name].append(one)
    return {name: _outcome(said, truth[name], simulations) for name, said in found.items()}


def _judged(
    samples: Sequence[Scores], replicates: int, rng: np.random.Generator, estimators: Sequence[str]
) -> Iterator[dict[str, tuple[float, float, float, str]]]:
    """For each sample: (value, low, high, verdict) of each estimator that says something or declines with a verdict."""
    clusters = [clusters_of(s.cluster) for s in samples]
    sums = [c.sums(_columns(s)) for c, s in zip(clusters, samples, strict=True)]
    counts = clusters[0].draw(replicates, rng)
    drawn = np.split(counts @ np.concatenate(sums, axis=1), len(samples), axis=1)
    for sample, own, part, replicate in zip(samples, clusters, sums, drawn, strict=True):
        yield _said(part, replicate, own, len(sample.cluster), estimators)


def _columns(scores: Scores) -> np.ndarray:
    """Sums behind the plain, the length-weighted and the sign forms side by side, shape (n, 12)."""
    signs = (np.sign(scores.preference), np.sign(scores.control))
    pair = (scores.preference, scores.control)
    weights = None if scores.gap is None else weight_of(scores.gap.astype(np.float64))
    weighted = mean_columns(*pair, weights=weights)
    return np.concatenate([mean_columns(*pair), weighted, mean_columns(*signs)], axis=1)


def _said(
    sums: np.ndarray, drawn: np.ndarray, clusters: Clusters, n: int, estimators: Sequence[str]
) -> dict[str, tuple[float, float, float, str]]:
    total = sums.sum(axis=0)
    few = clusters.count < FEW_CLUSTERS

    def judged(first: int, **options: object) -> Corrected:
        part = slice(first, first + 4)
        left_out = (total - sums)[:, part]
        return judge(total[part], drawn[:, part], left_out, clusters, counted=(n, n), **options)  # type: ignore[arg-type]

    plain = judged(0)
    each: dict[str, Callable[[], Corrected]] = {
        "ratio, percentile": lambda: plain,
        "ratio, BCa": lambda: plain if few else judged(0, method="bca"),
        "length-weighted ratio": lambda: judged(4),
        "guessing": lambda: judged(8, signs=True),
        "signal detection": lambda: judged(8, form="signal_detection", signs=True),
    }
    found = {name: _numbers(each[name]()) for name in estimators if name in each}
    if "ratio, Fieller" in estimators and plain.status == "ok":
        check = fieller_of_sums(sums[:, :4], clusters)
        if check is not None:
            found["ratio, Fieller"] = (plain.value or 0.0, *check, "")
    return found


def _numbers(said: Corrected) -> tuple[float, float, float, str]:
    numbers = (np.nan if v is None else v for v in (said.value, said.low, said.high))
    value, low, high = numbers
    return value, low, high, said.verdict


def _outcome(said: list[tuple[float, float, float, str]], truth: float, simulations: int) -> Outcome:
    numbers = np.array([one[:3] for one in said], dtype=np.float64).reshape(-1, 3)
    value, low, high = numbers[~np.isnan(numbers).any(axis=1)].T
    n = len(value)
    verdicts = [one[3] for one in said if one[3]]
    return Outcome(
        truth=truth,
        error=float(value.mean()) - truth if n else np.nan,
        sd=float(value.std()) if n else np.nan,
        width=float(np.median(high - low)) if n else np.nan,
        coverage=float(np.mean((low <= truth) & (truth <= high))) if n else np.nan,
        measurable=n / simulations,
        verdicts={
            name: verdicts.count(name) / simulations for name in ("biased", "fair", "inconclusive", "unmeasurable")
        },
    )


@cache
def truths(model: ResponseModel) -> dict[str, float]:
    """The figure of each estimator for the undamaged model, shares from 2 million items; 0 without bias."""
    if model.bias == 0:
        return dict.fromkeys(ESTIMATORS, 0.0)
    large = replace(model, clusters=400_000, per_cluster=5).draw(np.random.default_rng(1))
    p, c = (float(np.mean(x > 0)) for x in (large.preference, large.control))
    ratio = {name: model.bias for name in ESTIMATORS if "ratio" in name}
    return {**ratio, "guessing": (2 * p - 1) / (2 * c - 1), "signal detection": float(ndtri(p) / ndtri(c))}
