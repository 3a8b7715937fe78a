"""Simulate corrected bias: estimator × response model × damage, with bias, spread, coverage and verdicts.

    python recipes/coverage_simulation.py [SIMULATIONS] [REPLICATES]      (default 1000 2000; about ten minutes)
    python recipes/coverage_simulation.py again [SIMULATIONS] [REPLICATES]      (default 6000 2000; two minutes)

The first writes the tables of docs/theory-simulation.md, below the line that says so; what stands above it is written
by hand and says what the tables mean. Coverage counts the simulations in which the answer was measurable and the 95 %
interval covered the figure that the *undamaged* model has (for shares: computed from 2 million items), so a form that
is not invariant under a damage shows it as lost coverage. The second prints what other draws (seed 8) say of the
settings in which a form fell short.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from fairsqueeze.stats.bootstrap import clusters_of, resample
from fairsqueeze.stats.corrected import corrected_bias, mean_columns, ratios
from fairsqueeze.stats.pooling import error_of, partial_pooling
from fairsqueeze.stats.response_models import ResponseModel, guessed, noisy
from fairsqueeze.validation.simulation import ESTIMATORS, INSIDE, JUDGED, MODELS, OUTSIDE, Outcome, simulate

PAGE = Path(__file__).resolve().parents[1] / "docs" / "theory-simulation.md"
MARK = "<!-- from here on written by recipes/coverage_simulation.py -->"
POOLED = 200
"""Simulated measures for the table of pooling, 8 axes each."""


def main() -> None:
    if sys.argv[1:2] == ["again"]:
        sizes = [int(n) for n in sys.argv[2:]]
        again(*sizes, *(6000, 2000)[len(sizes) :])
        return
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    replicates = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    started = time.perf_counter()
    sizes = {"simulations": simulations, "replicates": replicates}
    inside = {(m, d): simulate(model, damage, **sizes) for m, model, d, damage in _settings()}
    first = next(iter(MODELS))
    outside = {(first, d): simulate(MODELS[first], damage, **sizes) for d, damage in OUTSIDE.items()}
    judged = {name: simulate(model, INSIDE["none"], **sizes) for name, model in JUDGED.items()}
    tables = [
        "## In short",
        *_in_short(inside, judged),
        "## Verdicts",
        *_verdicts(judged),
        "## Pooling across axes",
        *_pooling(replicates),
        "## A damaged model beside its parent, on the same items",
        *_pairing(simulations // 5, replicates),
        "## Every setting",
        *_every(inside | outside),
    ]
    seconds = time.perf_counter() - started
    tables.append(f"{simulations} simulations a setting, {replicates} bootstrap replicates each, {seconds:.0f} s.")
    by_hand = PAGE.read_text(encoding="utf-8").split(MARK)[0].rstrip()
    PAGE.write_text("\n\n".join([by_hand, MARK, *tables]) + "\n", encoding="utf-8")
    print(PAGE)


def again(simulations: int, replicates: int) -> None:
    """Coverage where the truth is .2, and false alarms where it is 0, with draws of another seed."""
    settings = {
        "options of unlike length, 100 of 5": MODELS["options of unlike length, 100 of 5"],
        **{name: JUDGED[name] for name in ("competent, unbiased, unlike lengths", "competent, unbiased, heavy tails")},
    }
    forms = ("ratio, percentile", "ratio, BCa", "length-weighted ratio")
    for name, model in settings.items():
        sizes = {"simulations": simulations, "replicates": replicates}
        for form, o in simulate(model, INSIDE["none"], seed=8, estimators=forms, **sizes).items():
            print(f"{name}: {form}: coverage {100 * o.coverage:.1f} %, biased {_percent(o.verdicts['biased'])} %")


def _settings() -> Iterator[tuple[str, ResponseModel, str, object]]:
    for model_name, model in MODELS.items():
        for damage_name, damage in INSIDE.items():
            print(model_name, damage_name, file=sys.stderr, flush=True)
            yield model_name, model, damage_name, damage


def _table(head: str, rows: list[str]) -> str:
    cells = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * cells, *rows])


def _in_short(inside: dict, judged: dict) -> list[str]:
    rows = []
    for name in ESTIMATORS:
        found: list[Outcome] = [outcomes[name] for outcomes in inside.values()]
        coverage = np.array([o.coverage for o in found]) * 100
        alarms = [o[name].verdicts["biased"] for m, o in judged.items() if "unbiased" in m and "Fieller" not in name]
        fair = [o[name].verdicts["fair"] for m, o in judged.items() if "unbiased" not in m and "Fieller" not in name]
        error = max(abs(o.error) for o in found)
        rows.append(
            f"| {name} | {len(found)} | {coverage.min():.1f} | {np.median(coverage):.1f} | {np.sum(coverage < 93)} "
            f"| {error:.3f} | {_percent(max(alarms, default=None))} | {_percent(max(fair, default=None))} |"
        )
    head = (
        "| estimator | settings | lowest coverage % | median coverage % | settings below 93 % | largest mean error "
        "| unbiased called biased, at most % | random or constant called fair, at most % |"
    )
    return [_table(head, rows)]


def _verdicts(judged: dict) -> list[str]:
    rows = []
    for case, outcomes in judged.items():
        for name, o in outcomes.items():
            if "Fieller" not in name:
                rows.append(f"| {case} | {name} | " + " | ".join(_percent(v) for v in o.verdicts.values()) + " |")
    head = "| true model | estimator | biased % | fair % | inconclusive % | unmeasurable % |"
    return [_table(head, rows)]


def _every(found: dict) -> list[str]:
    rows = []
    for (model, damage), outcomes in found.items():
        mark = " (outside)" if damage in OUTSIDE else ""
        for name, o in outcomes.items():
            rows.append(
                f"| {model} | {damage}{mark} | {name} | {o.truth:.3f} | {o.error:+.3f} | {o.sd:.3f} | {o.width:.3f} "
                f"| {100 * o.coverage:.1f} | {100 * o.measurable:.1f} |"
            )
    head = "| response model | damage | estimator | true | mean error | sd | median width | coverage % | measurable % |"
    return [_table(head, rows)]


def _pooling(replicates: int) -> list[str]:
    """Raw and pooled corrected bias of 8 axes whose true biases spread by `spread` around .2."""
    rows = []
    for spread in (0.0, 0.05, 0.1, 0.3):
        for damage_name in ("none", "guessing 50 %"):
            raw, pooled = [], []
            for index in range(POOLED):
                rng = np.random.default_rng([13, index])
                truth = rng.normal(0.2, spread, 8)
                each = [_axis(b, INSIDE[damage_name], rng, replicates) for b in truth]
                known = [(k, c) for k, c in enumerate(each) if c.value is not None]
                values = [c.value for _, c in known]
                errors = [error_of(c.low, c.high) for _, c in known]
                shrunk = partial_pooling([str(k) for k, _ in known], values, errors) or []
                for (k, c), p in zip(known, shrunk, strict=True):
                    raw.append((c.value - truth[k], c.high - c.low, c.low <= truth[k] <= c.high))
                    pooled.append((p.value - truth[k], p.high - p.low, p.low <= truth[k] <= p.high))
            rows += [_row(spread, damage_name, "its own", raw), _row(spread, damage_name, "pooled", pooled)]
    head = "| spread of the true biases | damage | estimate | root mean square error | median width | coverage % |"
    return [_table(head, rows)]


def _axis(bias: float, damage: object, rng: np.random.Generator, replicates: int) -> object:
    scores = damage(ResponseModel(bias=bias, clusters=40).draw(rng), rng)  # type: ignore[operator]
    return corrected_bias(scores.preference, scores.control, scores.cluster, rng=rng, replicates=replicates // 2)


def _row(spread: float, damage: str, name: str, found: list[tuple[float, float, bool]]) -> str:
    error, width, covered = (np.array(column, dtype=np.float64) for column in zip(*found, strict=True))
    return (
        f"| {spread:g} | {damage} | {name} | {np.sqrt(np.mean(error**2)):.3f} | {np.median(width):.3f} "
        f"| {100 * covered.mean():.1f} |"
    )


def _pairing(simulations: int, replicates: int) -> list[str]:
    """Change of corrected bias from a model to its damaged self: intervals with and without pairing of the items."""
    rows = []
    damages = {
        "guessing 25 %": lambda s, rng: guessed(s, 0.25, rng),
        "noise sd 1": lambda s, rng: noisy(s, 1.0, rng),
        "noise sd 3": lambda s, rng: noisy(s, 3.0, rng),
    }
    for name, damage in damages.items():
        widths, covered = [], 0
        for index in range(simulations):
            rng = np.random.default_rng([17, index])
            parent = replace(MODELS["normal, 100 clusters of 5"], bias=0.2).draw(rng)
            child = damage(parent, rng)
            clusters = clusters_of(parent.cluster)
            sums = [clusters.sums(mean_columns(s.preference, s.control)) for s in (parent, child)]
            drawn = resample(clusters, lambda counts, sums=sums: counts @ np.concatenate(sums, axis=1), replicates, rng)
            one, two = ratios(drawn[:, :4]), ratios(drawn[:, 4:])
            low, high = np.quantile(two - one, [0.025, 0.975])
            apart = np.hypot(*(np.subtract(*np.quantile(x, [0.975, 0.025])) for x in (one, two)))
            widths.append((high - low, apart))
            covered += low <= 0 <= high
        paired, apart = np.median(np.array(widths), axis=0)
        rows.append(f"| {name} | {apart:.3f} | {paired:.3f} | {100 * covered / simulations:.1f} |")
    head = "| damage | width without pairing | width with pairing | paired intervals that hold 0, % |"
    return [_table(head, rows)]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
