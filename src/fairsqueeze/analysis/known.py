"""What is known of a column by its name: its words, the ideal of a measure, the chance level of a task, the axis."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Literal

import numpy as np

from fairsqueeze.registry import measures, tasks

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

AXES = {
    "gender": ("gender", "sex", "male", "female"),
    "race": ("race", "racial", "ethnicity", "ethnic"),
    "religion": ("religion", "religious"),
    "age": ("age",),
    "profession": ("profession", "occupation"),
    "disability": ("disability", "illness"),
    "nationality": ("nationality",),
    "sexual orientation": ("orientation",),
    "socioeconomic": ("socioeconomic", "ses"),
    "appearance": ("appearance",),
}

BIAS = frozenset(
    (
        *("bias", "weat", "seat", "ceat", "crows", "stereoset", "stereo", "stereotype", "stereotypical", "ss", "icat"),
        *("antistereotype", "neutral", "nn", "fn", "toxicity", "toxic", "honest", "bbq", "unqover", "winobias"),
        *("effect", "winogender", "bold", "regard", "disparity", "parity", "dpd", "eod", "fped", "fned", "preference"),
    )
)
"""Words by which a column is taken for a bias measure if none is named."""

NOT_BIAS = frozenset(
    ("p", "pvalue", "competence", "lm", "accuracy", "acc", "perplexity", "ties", "low", "high", "lower", "upper", "std")
)
"""Words by which it is not: p-values, competence, performance, bounds."""

PERFORMANCE = (
    *("accuracy", "acc", "matched", "mcc", "f1", "performance", "pearson", "spearman", "best score"),
    *("perplexity", "ppl", "nats", "nll", "loss", "lm"),
)
"""Words by which a column is taken for performance, in this order of preference."""

LOWER_IS_BETTER = frozenset({"perplexity", "ppl", "nats", "nll", "loss", "error"})

CORRELATIONS = frozenset({"pearson", "spearman", "mcc", "matthews"})
"""Words of performances that are 0 at chance, whatever the task."""

COSTS = {
    "size": (("bytes", "mb", "size", "params", "parameters"), "lower"),
    "latency": (("latency", "ms", "milliseconds", "runtime"), "lower"),
    "speed": (("speedup", "tokens per s", "throughput", "samples per s"), "higher"),
    "energy": (("energy", "joules", "kwh", "wh"), "lower"),
}

_IDEALS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("corrected", "bias"), 0.0),
    (("weat",), 0.0),
    (("seat",), 0.0),
    (("effect", "size"), 0.0),
    (("net", "neutral"), 1.0),
    (("fraction", "neutral"), 1.0),
    (("nli", "nn"), 1.0),
    (("nli", "fn"), 1.0),
    (("bias", "sts"), 0.0),
    (("crows",), 50.0),
    (("stereo", "ss"), 50.0),
    (("icat",), 100.0),
    (("toxicity",), 0.0),
    (("disparity",), 0.0),
    (("dpd",), 0.0),
    (("eod",), 0.0),
)
"""Words that a column must hold, and the ideal of the measure they name (papers' definitions; percentages as such)."""

LARGEST_UNSURE = 2.0
"""Values between 0 and this, of which some are above 1, are taken neither for shares nor for percentages."""
ROUNDING = 1e-6

_CHANCE = {"mnli": 1 / 3, "snli": 1 / 3, "nli": 1 / 3, "qnli": 0.5, "rte": 0.5, "sst": 0.5, "stsb": 0.0, "sts": 0.0}
"""Chance level of tasks that are not in the registry: accuracy over their classes, 0 for a correlation."""


def words(name: str) -> list[str]:
    """`BiasNLI_NN` → bias, nli, nn."""
    return [w.lower() for w in _WORD.findall(name)]


def holds(name: str, wanted: Iterable[str]) -> str | None:
    """The first of `wanted` whose words all occur in `name`, or None."""
    own = set(words(name))
    return next((w for w in wanted if set(w.split()) <= own), None)


def axis_of(name: str) -> str | None:
    """The one axis that `name` speaks of, or None."""
    own = set(words(name))
    found = [axis for axis, names in AXES.items() if own & set(names)]
    return found[0] if len(found) == 1 else None


def without_axis(name: str) -> str:
    """The words of `name` that don't tell its axis, joined by blanks: what the measure is called on every axis."""
    of_axes = {w for names in AXES.values() for w in names}
    return " ".join(w for w in words(name) if w not in of_axes)


def ideal_of(name: str, values: np.ndarray, in_percent: bool = False) -> tuple[float | None, str] | None:
    """The ideal of the measure that a column's name speaks of, scaled to its values, and how it is known.

    The ideal is None where the values are neither shares nor percentages; the whole is None where none is known.
    """
    own = set(words(name))
    plain = name.partition("@")[0]
    exact = _registered().get(plain)
    if exact is not None:
        return _scaled(exact, "registry", values, in_percent)
    for wanted, ideal in _IDEALS:
        if set(wanted) <= own:
            return _scaled(ideal, f"name: {' '.join(wanted)}", values, in_percent)
    for statistic, ideal in _statistics().items():
        if set(words(statistic)) <= own:
            return _scaled(ideal, f"registry: {statistic}", values, in_percent)
    return None


def chance_of(
    name: str, hints: Iterable[str], values: np.ndarray, in_percent: bool = False
) -> tuple[float | None, str] | None:
    """What a model answering at random gets in performance column `name`, from it or the task that `hints` name.

    The level is None where the values are neither shares nor percentages; the whole is None where none is known.
    """
    own = set(words(name))
    if own & LOWER_IS_BETTER:
        return None
    if own & CORRELATIONS:
        return 0.0, "chance of a correlation"
    by_task = {t.name.rpartition(".")[2]: t.statistics[0].chance for t in tasks}
    known = {k: float(v) for k, v in by_task.items() if isinstance(v, (int, float))} | _CHANCE
    for hint in (name, *hints):
        for word in words(hint):
            if word in known:
                return _scaled(known[word], f"chance of {word}", values, in_percent)
    return None


def scale_of(values: np.ndarray, in_percent: bool = False) -> Literal["shares", "percentages"] | None:
    """Whether values, shape (n,), are shares of 1 or percentages; None where neither or both could be.

    Args:
        in_percent: the cells themselves say so, by a trailing %.
    """
    low, high = (float(f(values, initial=0.0, where=~np.isnan(values))) for f in (np.min, np.max))
    if in_percent:
        return "percentages"
    if low < 0 or high > 100 + ROUNDING or 1 + ROUNDING < high <= LARGEST_UNSURE:
        return None
    return "shares" if high <= 1 + ROUNDING else "percentages"


def _scaled(figure: float, how: str, values: np.ndarray, in_percent: bool) -> tuple[float | None, str]:
    """A figure declared as a share (1 or less) or in percent, on the scale of the values; 0 is 0 on every scale."""
    if figure == 0 or np.all(np.isnan(values)):
        return figure, how
    scale = scale_of(values, in_percent)
    if scale is None:
        shown = f"{np.nanmin(values):g} to {np.nanmax(values):g}"
        return None, f"{how}, but its values, {shown}, are neither shares nor percentages"
    share = figure if figure <= 1 else figure / 100
    return share if scale == "shares" else 100 * share, f"{how}, values as {scale}"


@cache
def _registered() -> dict[str, float]:
    """Ideal by `measure.statistic`; of corrected forms 0."""
    found = {f"{m.name}.{s.name}": s.ideal for m in measures for s in m.statistics if s.ideal is not None}
    forms = ("preference", *(f"corrected_bias{f}" for f in ("", ".prior", ".guessing", ".signal_detection")))
    return found | {f"{m.name}.{f}": 0.0 for m in measures for f in forms}


@cache
def _statistics() -> dict[str, float]:
    """Ideal by the name of a statistic, where all measures that have it agree; words of two letters don't count."""
    found: dict[str, set[float]] = {}
    for measure in measures:
        for s in measure.statistics:
            if s.ideal is not None and ":" not in s.name and s.name not in ("lm_score", "effect_size"):
                found.setdefault(s.name, set()).add(s.ideal)
    return {name: next(iter(ideals)) for name, ideals in found.items() if len(ideals) == 1}
