"""Dependence on what should not matter: length of the options, frequency of their words, order in which they stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairsqueeze.registry import Frame
from fairsqueeze.stats.bootstrap import clusters_of, jackknife, resample
from fairsqueeze.stats.estimate import finite
from fairsqueeze.stats.figures import text
from fairsqueeze.stats.interval import interval_of, needs_jackknife
from fairsqueeze.stats.ranks import spearman_matrices
from fairsqueeze.validation.asked import Asked
from fairsqueeze.validation.injection import Slopes, length_difference


@dataclass(frozen=True)
class Dependence:
    """Spearman's correlation of item preferences with a property of the options, cluster-bootstrap interval.

    `on`: length, frequency or order. `value` is None with `reason` where the measure has no such property (`applies`
    False), or nothing varies.
    """

    on: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str = ""
    applies: bool = True


def on_length(asked: Asked, frame: Frame, slopes: list[list[Slopes | None]], seed: int) -> Dependence:
    """Tokens of what raises the preference minus tokens of what lowers it."""
    each = [v for k, own in enumerate(slopes) for v in length_difference(asked, k, own)]
    if all(v is None for v in each):
        return Dependence("length", None, None, None, 0, "the options have no tokens of their own", False)
    return _correlation("length", frame, np.array([np.nan if v is None else v for v in each]), seed)


def on_frequency(frame: Frame, seed: int) -> Dependence:
    """What the options get in neutral contexts, the stereotyped minus the other: how common they are to the model."""
    if "preference_prior" not in frame:
        return Dependence("frequency", None, None, None, 0, "the measure has no neutral contexts", False)
    return _correlation("frequency", frame, frame["preference"] - frame["preference_prior"], seed)


def on_order(frame: Frame, seed: int) -> Dependence:
    """Place of the stereotyped answer among the answers, where the records tell it."""
    if "position_biased" not in frame:
        return Dependence("order", None, None, None, 0, "options are scored apart: they have no order", False)
    return _correlation("order", frame, frame["position_biased"], seed)


def _correlation(on: str, frame: Frame, x: np.ndarray, seed: int, replicates: int = 1000) -> Dependence:
    known = ~np.isnan(frame["preference"]) & ~np.isnan(x)
    n = int(known.sum())
    columns = np.stack([frame["preference"][known], x[known]], axis=1)
    if n < 3 or np.ptp(columns, axis=0).min() == 0:
        return Dependence(on, None, None, None, n, "it does not vary")
    clusters = clusters_of(text(frame["cluster"])[known])

    def evaluate(counts: np.ndarray) -> np.ndarray:
        return spearman_matrices(columns, clusters.spread(counts))[:, 0, 1][:, None]

    value = float(evaluate(np.ones((1, clusters.count)))[0, 0])
    drawn = resample(clusters, evaluate, replicates, np.random.default_rng([seed, 29, *on.encode()]))[:, 0]
    left_out = jackknife(clusters, evaluate)[:, 0] if needs_jackknife(clusters, "percentile") else None
    found = interval_of(value, drawn, clusters, left_out=left_out).clipped(-1.0, 1.0)
    return Dependence(on, finite(value), finite(found.low), finite(found.high), n)
