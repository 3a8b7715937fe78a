"""Samples of Bias-NLI: which templates each premise gets, drawn at random within the premise, and with what error."""

from __future__ import annotations

import math

import numpy as np

from fairsqueeze.stimuli.bias_nli.tables import Axis, templates


def drawn_templates(axis: Axis, pairs: int, seed: int) -> dict[str, np.ndarray]:
    """Places in `templates()` for every premise that gets any, ascending.

    Args:
        pairs: about how many pairs in all; each template of a premise is paired with every hypothesis of the axis, so
            the number is rounded to whole templates (at least one). 0 means all there are.
        seed: of the draw, which depends on the axis and not on the other axes.

    Premises get the same number of templates, but for a remainder that goes to premises drawn at random. Every
    premise and hypothesis is thus met equally often: the strata are premise × hypothesis.
    """
    total = len(axis.premises) * len(templates())
    wanted = total if pairs == 0 else min(total, max(1, round(pairs / len(axis.hypotheses))))
    rng = np.random.default_rng([seed, *axis.name.encode()])
    each, rest = divmod(wanted, len(axis.premises))
    sizes = np.full(len(axis.premises), each)
    sizes[rng.choice(len(axis.premises), size=rest, replace=False)] += 1
    return {
        premise: np.sort(rng.choice(len(templates()), size=size, replace=False))
        for premise, size in zip(axis.premises, sizes, strict=True)
        if size
    }


def sampling_error(values: np.ndarray, premises: np.ndarray) -> float:
    """Standard error of the mean of `values` for the mean over all templates of these premises; 0 for all of them.

    Args:
        values: one per premise and template, shape (n,).
        premises: the premise of each, by name or number, shape (n,).

    A stratified sample without replacement: Σ_h (n_h/n)² (1 − n_h/N) s_h²/n_h with N templates (Cochran 1977, eq.
    5.13). Where a premise has one template only, the variance over the whole sample stands for that within premises,
    which is no smaller on average. NaN for a single value.
    """
    if len(values) < 2:
        return math.nan
    _, codes, sizes = np.unique(premises, return_inverse=True, return_counts=True)
    means = np.bincount(codes, values) / sizes
    squares = np.bincount(codes, (values - means[codes]) ** 2)
    variances = squares / np.maximum(sizes - 1, 1) if sizes.min() > 1 else np.full(len(sizes), values.var(ddof=1))
    left_out = 1.0 - sizes / len(templates())
    return float(math.sqrt(np.sum((sizes / len(values)) ** 2 * left_out * variances / sizes)))
