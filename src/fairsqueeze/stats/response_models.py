"""Synthetic response models: scores with a known corrected bias, and the ways in which damage may change them.

For tests of the axioms and for simulation. The scores of a cluster share an effect, so items are not independent:

    control_ij    = competence            + u_j + e_ij
    preference_ij = bias * competence     + v_j + f_ij

with zero-mean u, v (between clusters) and e, f (within). The corrected bias is `bias`, whatever the competence. With
`uneven` > 0, e and f are 1 + gap_ij times as large, gap the difference in tokens of an item's options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Scores:
    """Preference and control of n items, the number of each one's cluster, and its gap in tokens; all of shape (n,).

    `gap` None: the options of every item have equally many tokens.
    """

    preference: np.ndarray
    control: np.ndarray
    cluster: np.ndarray
    gap: np.ndarray | None = None


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
        uneven: mean difference in tokens of an item's two options (Poisson); 0 is none.
    """

    bias: float = 0.2
    competence: float = 1.0
    clusters: int = 100
    per_cluster: int = 5
    between: float = 0.5
    within: float = 1.5
    tails: float | None = None
    uneven: float = 0.0

    def draw(self, rng: np.random.Generator) -> Scores:
        """One sample of items."""
        sizes = np.maximum(1, rng.poisson(self.per_cluster, self.clusters))
        cluster = np.repeat(np.arange(self.clusters), sizes)
        gap = rng.poisson(self.uneven, len(cluster)) if self.uneven else None
        means = (self.bias * self.competence, self.competence)
        preference, control = (
            mean
            + self._effect(self.clusters, self.between, rng)[cluster]
            + self._effect(len(cluster), self.within, rng) * (1 if gap is None else 1 + gap)
            for mean in means
        )
        return Scores(preference, control, cluster, gap)

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


def patchy(scores: Scores, share: float, rng: np.random.Generator, spread: float = 1.5) -> Scores:
    """Guessing whose share differs between clusters: uniform between 0 and twice `share` (at most .5), by cluster.

    Which clusters suffer does not depend on what they ask, so both means still shrink by one factor, on average.
    """
    by_cluster = rng.uniform(0, 2 * share, size=int(scores.cluster.max(initial=0)) + 1)
    at_random = rng.random(len(scores.cluster)) < by_cluster[scores.cluster]
    preference, control = (
        np.where(at_random, spread * rng.standard_normal(len(x)), x) for x in (scores.preference, scores.control)
    )
    return replace(scores, preference=preference, control=control)


def drifted(scores: Scores, shift: float) -> Scores:
    """Damage that favours the words of one side: every preference moved by `shift`, controls left. Outside the
    assumptions: noise whose mean is not zero looks like bias, or hides it."""
    return replace(scores, preference=scores.preference + shift)


def forgetful(scores: Scores, share: float, rng: np.random.Generator, spread: float = 1.5) -> Scores:
    """A `share` of the controls answered at random, preferences left: damage outside the assumptions.

    What corrected bias can't see through: competence lost on the controls without loss on the targets raises the ratio.
    """
    return replace(scores, control=guessed(scores, share, rng, spread).control)


def swapped(scores: Scores) -> Scores:
    """Stereotyped and other option exchanged: the preference changes its sign."""
    return replace(scores, preference=-scores.preference)
