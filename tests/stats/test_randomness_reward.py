"""Randomness reward: 1 for a share under guessing, 0 for corrected bias, undefined where there is nothing to reward."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.stats.bootstrap import clusters_of, jackknife, resample
from fairsqueeze.stats.randomness_reward import Levels, reward_from_levels, reward_from_table
from fairsqueeze.stats.response_models import ResponseModel, guessed, heated, noisy

SHARE, CORRECTED = 0, 1


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def at_levels(scores, replicates=400):
    """Share of stereotypical choices and corrected bias of a parent and its damaged versions, with sign competence."""
    clusters = clusters_of(scores[0].cluster)
    columns = [(s.preference > 0, s.preference, s.control, np.sign(s.control), np.ones(len(s.cluster))) for s in scores]
    sums = [clusters.sums(np.stack(c, axis=1).astype(float)) for c in columns]

    def evaluate(counts):
        drawn = [counts @ s for s in sums]
        with np.errstate(invalid="ignore"):
            share, corrected, shown = ([d[:, a] / d[:, b] for d in drawn] for a, b in ((0, 4), (1, 2), (3, 4)))
        return np.stack([*share, *corrected, *shown], axis=1)

    n = len(scores)
    parts = [evaluate(np.ones((1, clusters.count)))[0]]
    parts += [resample(clusters, evaluate, replicates, np.random.default_rng(1)), jackknife(clusters, evaluate)]
    return [
        (Levels(*((p[..., k * n : (k + 1) * n], p[..., 2 * n :]) for p in parts)), clusters)
        for k in (SHARE, CORRECTED)
    ]  # fmt: skip


def degraded(rng, damage, bias=0.6, clusters=600):
    scores = ResponseModel(bias=bias, clusters=clusters).draw(rng)
    return at_levels([scores, *damage(scores)])


def by_guessing(rng):
    return lambda scores: [guessed(scores, g, rng) for g in (0.2, 0.4, 0.6)]


def by_noise(rng):
    return lambda scores: [noisy(scores, sd, rng) for sd in (1.5, 3.0, 6.0)]


def test_a_share_rewards_guessing_fully_and_corrected_bias_does_not(rng):
    (share, clusters), (corrected, _) = degraded(rng, by_guessing(rng))
    of_share = reward_from_levels(share, 0.5, clusters)
    of_corrected = reward_from_levels(corrected, 0.0, clusters)
    assert 0.5 < of_share.low < 1.0 < of_share.high
    assert of_corrected.low < 0.0 < of_corrected.high


def test_noise_loses_competence_and_its_reward_is_that_of_guessing(rng):
    # mean(control), in nats, is not moved by noise, so measured by it a loss would be sampling error alone
    (share, clusters), (corrected, _) = degraded(rng, by_noise(rng))
    of_share = reward_from_levels(share, 0.5, clusters)
    assert 0.6 < of_share.low < 1.0 < of_share.high < 1.4
    of_corrected = reward_from_levels(corrected, 0.0, clusters)
    assert of_corrected.low < 0.0 < of_corrected.high


def test_what_loses_no_competence_has_no_reward(rng):
    unchanged = {
        "scaled": lambda scores: [heated(scores, t) for t in (2.0, 8.0)],
        "other items' noise": lambda scores: [noisy(scores, 0.05, rng) for _ in range(3)],
    }
    for damage in unchanged.values():
        (share, clusters), _ = degraded(rng, damage)
        found = reward_from_levels(share, 0.5, clusters)
        assert (found.value, found.low, found.reason) == (None, None, "no competence was lost")


def test_a_parent_at_its_ideal_has_no_reward(rng):
    (share, clusters), _ = degraded(rng, by_guessing(rng), bias=0.0)
    found = reward_from_levels(share, 0.5, clusters)
    assert (found.value, found.low) == (None, None)
    assert "does not differ from its ideal" in found.reason


def test_one_cluster_says_nothing_and_clusters_are_counted_not_levels(rng):
    (share, clusters), _ = degraded(rng, by_guessing(rng), clusters=1)
    found = reward_from_levels(share, 0.5, clusters)
    assert (found.value, found.low, found.n, found.n_clusters) == (None, None, 3, 1)
    assert "one cluster" in found.reason
    (share, clusters), _ = degraded(rng, by_guessing(rng), clusters=200)
    assert (reward_from_levels(share, 0.5, clusters).n, reward_from_levels(share, 0.5, clusters).n_clusters) == (3, 200)


def test_the_interval_of_few_clusters_covers_a_true_reward_of_one():
    """Four clusters of 300 items; guessing earns a share of sign competence exactly what it costs."""
    model = ResponseModel(bias=0.8, competence=2.0, clusters=4, per_cluster=300, between=0.1)
    covered = said = 0
    for seed in range(400):
        rng = np.random.default_rng([seed, 2])
        scores = model.draw(rng)
        (share, clusters), _ = at_levels([scores, guessed(scores, 0.3, rng), guessed(scores, 0.6, rng)], replicates=1)
        found = reward_from_levels(share, 0.5, clusters)
        said += found.value is not None
        covered += found.value is not None and found.low <= 1.0 <= found.high
    assert said > 300
    assert covered / said >= 0.93


def test_a_table_by_hand():
    # distance 10 -> 5 (gain .5) and 10 -> 0 (gain 1), competence 1 -> .5 and 1 -> .5: slope (.25 + .5) / .5 = 1.5
    score, competence = np.array([60.0, 55.0, 50.0]), np.array([1.0, 0.5, 0.5])
    table = reward_from_table(score, competence, np.array([0, 0, 0]), 50.0, rng=np.random.default_rng(0))
    assert (table.value, table.low, table.n) == (pytest.approx(1.5), None, 2)


def test_a_parent_near_its_ideal_weighs_little():
    # 60 -> 55 at half the competence is a reward of 1; 50.05 -> 48 is forty times its own distance, which is noise
    score = np.array([60.0, 55.0, 50.05, 48.0])
    competence, parent = np.array([1.0, 0.5, 1.0, 0.5]), np.array([0, 0, 2, 2])
    found = reward_from_table(score, competence, parent, 50.0, rng=np.random.default_rng(0))
    # ((60 - 55) · .5 + (50.05 - 48) · .5) / ((10 + .05) · .25)
    assert found.value == pytest.approx(3.525 / 2.5125)
    assert found.n == 2


def test_checkpoints_that_gained_competence_have_no_reward():
    score, competence = np.array([60.0, 55.0, 50.0]), np.array([1.0, 1.5, 1.5])
    found = reward_from_table(score, competence, np.array([0, 0, 0]), 50.0, rng=np.random.default_rng(0))
    assert (found.value, found.reason) == (None, "no competence was lost")


def test_a_table_resamples_parents_and_leaves_out_rows_without_one(rng):
    rows = []
    for parent in range(12):
        start = 3 * parent
        for loss in (0.0, 0.3, 0.6):
            rows.append((0.5 + 0.1 * (1 - loss) + rng.normal(0, 0.004), 1 - loss, start))
    rows.append((0.9, 0.5, -1))
    score, competence, parent = (np.array(c) for c in zip(*rows, strict=True))
    found = reward_from_table(score, competence, parent.astype(int), 0.5, rng=rng)
    assert (found.n, found.n_clusters) == (24, 12)
    assert found.low < 1.0 < found.high
    assert found.high - found.low < 0.2
