"""Randomness reward: 1 for a share under guessing, 0 for corrected bias, undefined where there is nothing to reward."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.stats.bootstrap import clusters_of
from fairsqueeze.stats.randomness_reward import reward_from_replicates, reward_from_table
from fairsqueeze.stats.response_models import ResponseModel, guessed


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def degraded(rng, bias=0.6):
    """Replicates of share, competence and corrected bias of a model at four shares of guessing."""
    scores = ResponseModel(bias=bias, clusters=600).draw(rng)
    levels = [scores] + [guessed(scores, g, rng) for g in (0.2, 0.4, 0.6)]
    clusters = clusters_of(scores.cluster)
    weights = clusters.spread(np.vstack([np.ones(clusters.count), clusters.draw(300, rng)]))

    def mean(values):
        return weights @ values / weights.sum(axis=1)

    share = np.stack([mean(s.preference > 0) for s in levels], axis=1)
    competence = np.stack([mean(s.control) for s in levels], axis=1)
    preference = np.stack([mean(s.preference) for s in levels], axis=1)
    return share, competence, preference / competence


def test_a_share_rewards_guessing_fully_and_corrected_bias_does_not(rng):
    share, competence, corrected = degraded(rng)
    of_share = reward_from_replicates(share, competence, 0.5)
    of_corrected = reward_from_replicates(corrected, competence, 0.0)
    assert of_share.low < 1.0 < of_share.high
    assert of_share.low > 0.5
    assert of_corrected.low < 0.0 < of_corrected.high


def test_by_hand():
    # distance 10 -> 5 (gain .5) and 10 -> 0 (gain 1), competence 1 -> .5 and 1 -> .5: slope (.25 + .5) / .5 = 1.5
    scores, competences = np.array([[60.0, 55.0, 50.0]] * 3), np.array([[1.0, 0.5, 0.5]] * 3)
    assert reward_from_replicates(scores, competences, 50.0).value == pytest.approx(1.5)
    table = reward_from_table(scores[0], competences[0], np.array([0, 0, 0]), 50.0, rng=np.random.default_rng(0))
    assert (table.value, table.low, table.n) == (pytest.approx(1.5), None, 2)


def test_a_parent_at_its_ideal_or_no_loss_is_undefined_with_a_reason(rng):
    share, competence, _ = degraded(rng, bias=0.0)
    found = reward_from_replicates(share, competence, 0.5)
    assert (found.value, found.low) == (None, None)
    assert "does not differ from its ideal" in found.reason
    share, competence, _ = degraded(rng)
    found = reward_from_replicates(share[:, :2], competence[:, [0, 0]], 0.5)
    assert found.reason == "no competence was lost"


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
