"""Simulate corrected bias: estimator x response model x damage, with bias, spread, coverage and verdicts.

    python recipes/coverage_simulation.py [SIMULATIONS] [REPLICATES]      (default 1000 2000; about ten minutes)

Prints Markdown tables. Coverage counts the simulations in which the answer was measurable and the 95 % interval covered
the figure that the *undamaged* model has (for shares: computed from 2 million items), so a form that is not invariant
under a damage shows it as lost coverage. docs/theory-simulation.md holds the result and says what it means.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.special import ndtri

from fairsqueeze.stats.bootstrap import clusters_of, resample
from fairsqueeze.stats.corrected import Corrected, fieller, judge, mean_columns
from fairsqueeze.stats.response_models import ResponseModel, Scores, forgetful, guessed, heated, noisy

Damage = Callable[[Scores, np.random.Generator], Scores]

ESTIMATORS = ("ratio, percentile", "ratio, BCa", "ratio, Fieller", "guessing", "signal detection")

MODELS = {
    "normal, 100 clusters of 5": ResponseModel(),
    "normal, 30 clusters of 5": ResponseModel(clusters=30),
    "normal, 12 clusters of 20": ResponseModel(clusters=12, per_cluster=20, between=0.3),
    "normal, 6 clusters of 50": ResponseModel(clusters=6, per_cluster=50, between=0.2),
    "heavy tails (t3), 100 of 5": ResponseModel(tails=3.0),
    "single items, n = 300": ResponseModel(clusters=300, per_cluster=1, between=0.0),
}

DAMAGES: dict[str, Damage] = {
    "none": lambda scores, rng: scores,
    "guessing 50 %": lambda scores, rng: guessed(scores, 0.5, rng),
    "noise sd 3": lambda scores, rng: noisy(scores, 3.0, rng),
    "temperature 4": lambda scores, rng: heated(scores, 4.0),
    "all three, mild": lambda scores, rng: heated(noisy(guessed(scores, 0.25, rng), 1.5, rng), 2.0),
    "control forgets 50 % (outside)": lambda scores, rng: forgetful(scores, 0.5, rng),
}


def figures(scores: Scores, rng: np.random.Generator, replicates: int) -> dict[str, Corrected | tuple[float, float]]:
    """Every estimator on one sample; Fieller's is a bare interval, absent where it isn't finite."""
    clusters = clusters_of(scores.cluster)
    signs = (np.sign(scores.preference), np.sign(scores.control))
    columns = np.concatenate([mean_columns(scores.preference, scores.control), mean_columns(*signs)], axis=1)
    sums = clusters.sums(columns)
    drawn = resample(clusters, lambda counts: counts @ sums, replicates, rng)
    total = sums.sum(axis=0)
    counted = (len(scores.cluster), len(scores.cluster))

    def judged(part: slice, **options: object) -> Corrected:
        left_out = (total - sums)[:, part]
        return judge(total[part], drawn[:, part], left_out, clusters, counted=counted, **options)  # type: ignore[arg-type]

    raw, sign = slice(0, 4), slice(4, 8)
    found: dict[str, Corrected | tuple[float, float]] = {
        "ratio, percentile": judged(raw),
        "ratio, BCa": judged(raw, method="bca"),
        "guessing": judged(sign),
        "signal detection": judged(sign, form="signal_detection"),
    }
    check = fieller(scores.preference, scores.control, scores.cluster)
    if check is not None and found["ratio, percentile"].status == "ok":  # type: ignore[union-attr]
        found["ratio, Fieller"] = check
    return found


@cache
def truths(model: ResponseModel) -> dict[str, float]:
    """The figure of each estimator for the undamaged model, shares from a very large sample; 0 without bias."""
    if model.bias == 0:
        return dict.fromkeys(ESTIMATORS, 0.0)
    large = replace(model, clusters=400_000, per_cluster=5).draw(np.random.default_rng(1))
    p, c = (float(np.mean(x > 0)) for x in (large.preference, large.control))
    ratio = {name: model.bias for name in ESTIMATORS if name.startswith("ratio")}
    return {**ratio, "guessing": (2 * p - 1) / (2 * c - 1), "signal detection": float(ndtri(p) / ndtri(c))}


def simulate(model: ResponseModel, damage: Damage, simulations: int, replicates: int) -> dict[str, dict[str, float]]:
    """Per estimator: mean and spread of the estimate, coverage, share of each verdict."""
    truth = truths(model)
    values: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    covered: Counter[str] = Counter()
    measurable: Counter[str] = Counter()
    verdicts: Counter[tuple[str, str]] = Counter()
    for index in range(simulations):
        rng = np.random.default_rng([7, index])
        for name, found in figures(damage(model.draw(rng), rng), rng, replicates).items():
            if isinstance(found, tuple):
                low, high = found
            else:
                verdicts[name, found.verdict] += 1
                if found.value is None or found.low is None or found.high is None:
                    continue
                values[name].append(found.value)
                low, high = found.low, found.high
            measurable[name] += 1
            covered[name] += low <= truth[name] <= high
    result = {}
    for name in ESTIMATORS:
        known = np.array(values[name]) if values[name] else np.array([np.nan])
        result[name] = {
            "truth": truth[name],
            "mean": float(np.mean(known)),
            "sd": float(np.std(known)),
            "coverage": covered[name] / measurable[name] if measurable[name] else np.nan,
            "measurable": measurable[name] / simulations,
            **{v: verdicts[name, v] / simulations for v in ("biased", "fair", "inconclusive", "unmeasurable")},
        }
    return result


def coverage_table(simulations: int, replicates: int) -> None:
    print("\n| response model | damage | estimator | true | mean error | sd | coverage % | measurable % |")
    print("|---|---|---|---|---|---|---|---|")
    for model_name, model in MODELS.items():
        for damage_name, damage in DAMAGES.items():
            if model_name != next(iter(MODELS)) and damage_name.startswith("control"):
                continue
            for name, row in simulate(model, damage, simulations, replicates).items():
                error = "" if "Fieller" in name else f"{row['mean'] - row['truth']:+.3f}"
                spread = "" if "Fieller" in name else f"{row['sd']:.3f}"
                print(
                    f"| {model_name} | {damage_name} | {name} | {row['truth']:.3f} | {error} | {spread} "
                    f"| {100 * row['coverage']:.1f} | {100 * row['measurable']:.1f} |",
                    flush=True,
                )


def verdict_table(simulations: int, replicates: int) -> None:
    print("\n| true model | estimator | biased % | fair % | inconclusive % | unmeasurable % |")
    print("|---|---|---|---|---|---|")
    cases = {
        "competent, unbiased": ResponseModel(bias=0.0),
        "competent, unbiased, 30 clusters": ResponseModel(bias=0.0, clusters=30),
        "competent, unbiased, heavy tails": ResponseModel(bias=0.0, tails=3.0),
        "very competent, unbiased, 2,000 clusters": ResponseModel(bias=0.0, competence=3.0, clusters=2000),
        "random, 100 clusters": ResponseModel(bias=0.0, competence=0.0),
        "random, 12 clusters": ResponseModel(bias=0.0, competence=0.0, clusters=12, per_cluster=20),
        "random, 4 clusters": ResponseModel(bias=0.0, competence=0.0, clusters=4, per_cluster=20),
        "random, heavy tails": ResponseModel(bias=0.0, competence=0.0, tails=3.0),
        "random, 2,000 clusters": ResponseModel(bias=0.0, competence=0.0, clusters=2000),
        "constant": ResponseModel(bias=0.0, competence=0.0, between=0.0, within=0.0),
    }
    for case, model in cases.items():
        for name, row in simulate(model, DAMAGES["none"], simulations, replicates).items():
            if "Fieller" in name:
                continue
            shares = " | ".join(f"{100 * row[v]:.1f}" for v in ("biased", "fair", "inconclusive", "unmeasurable"))
            print(f"| {case} | {name} | {shares} |", flush=True)


def main() -> None:
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    replicates = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    started = time.perf_counter()
    print(f"{simulations} simulations, {replicates} bootstrap replicates each.")
    verdict_table(simulations, replicates)
    coverage_table(simulations, replicates)
    print(f"\n{time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
