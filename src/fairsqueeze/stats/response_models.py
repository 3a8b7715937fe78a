"""Synthetic response models: scores with a known corrected bias, and the ways in which damage may change them.

For tests of the axioms and for simulation. The scores of a cluster share an effect, so items are not independent:

    control_ij    = competence            + u_j + e_ij
    preference_ij = bias * competence     + v_j + f_ij

with zero-mean u, v (between clusters) and e, f (within). The corrected bias is `bias`, whatever the competence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Scores:
    """Preference and control of n items, and the number of each item's cluster; all of shape (n,)."""

    preference: np.ndarray
    control: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True)
class ResponseModel:
    """How a model answers.

    Args:
        bias: true corrected bias; 0 is indifferent.
        competence: true mean(control), in nats; 0 is a model that knows nothing.
        clusters, per_cluster: numbers of clusters and, on average, items in each (Poisson, at least one).
        between, within: standard deviations of the effects of clusters and of items.
        tails: degrees of freedom of Student's t for both effects (scaled to their standard deviation; > 2); None is
            normal.
    """

    bias: float = 0.2
    competence: float = 1.0
    clusters: int = 100
    per_cluster: int = 5
    between: float = 0.5
    within: float = 1.5
    tails: float | None = None

    def draw(self, rng: np.random.Generator) -> Scores:
        """One sample of items."""
        sizes = np.maximum(1, rng.poisson(self.per_cluster, self.clusters))
        cluster = np.repeat(np.arange(self.clusters), sizes)
        means = (self.bias * self.competence, self.competence)
        preference, control = (
            mean
            + self._effect(self.clusters, self.between, rng)[cluster]
            + self._effect(len(cluster), self.within, rng)
            for mean in means
        )
        return Scores(preference, control, cluster)

    def _effect(self, size: int, sd: float, rng: np.random.Generator) -> np.ndarray:
        if self.tails is None:
            return sd * rng.standard_normal(size)
        return sd * np.sqrt((self.tails - 2) / self.tails) * rng.standard_t(self.tails, size)


def guessed(scores: Scores, share: float, rng: np.random.Generator, spread: float = 1.5) -> Scores:
    """A `share` of items, drawn at random, answered at random: normal scores around 0 with this `spread`.

    Both means shrink by 1 - share.
    """
    at_random = rng.random(len(scores.cluster)) < share
    preference, control = (
        np.where(at_random, spread * rng.standard_normal(len(x)), x) for x in (scores.preference, scores.control)
    )
    return replace(scores, preference=preference, control=control)


def noisy(scores: Scores, sd: float, rng: np.random.Generator) -> Scores:
    """Zero-mean normal noise, independent of content, on every score. Means stay; shares move toward 50 %."""
    preference, control = (x + sd * rng.standard_normal(len(x)) for x in (scores.preference, scores.control))
    return replace(scores, preference=preference, control=control)


def heated(scores: Scores, temperature: float) -> Scores:
    """Scores at another `temperature` (> 0): divided by it, as differences of log-probabilities are. Shares stay."""
    return replace(scores, preference=scores.preference / temperature, control=scores.control / temperature)


def forgetful(scores: Scores, share: float, rng: np.random.Generator, spread: float = 1.5) -> Scores:
    """A `share` of the controls answered at random, preferences left: damage outside the assumptions.

    What corrected bias can't see through: competence lost on the controls without loss on the targets raises the ratio.
    """
    return replace(scores, control=guessed(scores, share, rng, spread).control)


def swapped(scores: Scores) -> Scores:
    """Stereotyped and other option exchanged: the preference changes its sign."""
    return replace(scores, preference=-scores.preference)
