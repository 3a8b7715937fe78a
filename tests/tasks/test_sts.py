"""The sts task: correlations against scipy, with bootstrap weights, ties and constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from fairsqueeze.engine.requests import Outputs
from fairsqueeze.errors import AssetError, DataError
from fairsqueeze.items import Item
from fairsqueeze.records import frame_of, table_of
from fairsqueeze.registry import tasks
from fairsqueeze.stats.estimate import estimates_of
from fairsqueeze.tasks.sts import pearson, spearman, sts


def frame(predicted, gold):
    return {"predicted": np.array(predicted, dtype=float), "gold": np.array(gold, dtype=float)}


def whole(predicted, gold):
    ones = np.ones((1, len(predicted)))
    return pearson(frame(predicted, gold), ones)[0], spearman(frame(predicted, gold), ones)[0]


def test_by_hand() -> None:
    r, rho = whole([1, 2, 3, 4], [1, 3, 2, 4])
    assert r == pytest.approx(0.8)  # 4 / sqrt(5 · 5)
    assert rho == pytest.approx(0.8)
    _, rho = whole([1, 1, 3, 4], [1, 2, 3, 4])  # ranks 1.5, 1.5, 3, 4: covariance 4.5, squares 4.5 and 5
    assert rho == pytest.approx(4.5 / np.sqrt(4.5 * 5))


@pytest.mark.parametrize("predicted", [[0.2] * 5, [3.1 + 1e-9 * k for k in range(5)]])
def test_a_constant_output_has_no_correlation(predicted) -> None:
    r, rho = whole(predicted, [0, 1, 2, 3, 4])
    assert np.isnan(r)
    assert np.isnan(rho)


def test_a_replicate_that_drew_one_pair_only_is_undefined() -> None:
    weights = np.array([[1.0, 1, 1], [0, 3, 0]])
    for statistic in (pearson, spearman):
        assert np.isnan(statistic(frame([1, 2, 4], [1, 2, 3]), weights)).tolist() == [False, True]


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 5), st.integers(0, 3)), min_size=3, max_size=12),
    st.floats(-5, 5),
)
def test_weights_are_repetitions_as_scipy_sees_them(rows, offset) -> None:
    predicted, gold, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    repeated = np.repeat(np.arange(len(rows)), weights.astype(int))
    found = frame(predicted + offset, gold)
    if len(set(predicted[repeated])) < 2 or len(set(gold[repeated])) < 2:
        assert len(repeated) == 0 or np.isnan(pearson(found, weights[None])[0])
        assert len(repeated) == 0 or np.isnan(spearman(found, weights[None])[0])
        return
    assert pearson(found, weights[None])[0] == pytest.approx(pearsonr(predicted[repeated], gold[repeated])[0], abs=1e-9)
    assert spearman(found, weights[None])[0] == pytest.approx(
        spearmanr(predicted[repeated], gold[repeated])[0], abs=1e-9
    )


def test_the_estimate_has_an_interval_and_a_constant_model_none() -> None:
    rng = np.random.default_rng(1)
    gold = rng.uniform(0, 5, 60)
    said = gold + rng.normal(0, 1, 60)
    for predicted, defined in ((said, True), (np.full(60, 2.5), False)):
        rows = [
            row
            for k in range(60)
            for row in sts(
                Item(f"{k}", "main-news", "", f"{k}", {"first": "A", "second": "B", "gold": float(gold[k])}),
                {"pair": Outputs(np.array([predicted[k]]), ("LABEL_0",), 5)},
            )
        ]
        found = frame_of(table_of(rows, step="s", checkpoint="c", measure="sts", metadata={}))
        for estimate in estimates_of(found, tasks.get("sts"), seed=0, replicates=200):
            assert (estimate.value is not None) == defined, estimate
            if defined:
                assert estimate.low < estimate.value < estimate.high
            else:
                assert estimate.status == "undefined"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("sentence1,sentence2,score\nA b.,A c.,2.5\nD.,E.,0\n")
    items = tasks.get("sts").items({}, part="test", file=str(path))
    assert [i.content["gold"] for i in items] == [2.5, 0.0]
    path.write_text("sentence1,sentence2,score\nA b.,A c.,high\n")
    with pytest.raises(DataError, match="'high' is no number"):
        tasks.get("sts").items({}, part="test", file=str(path))
    with pytest.raises(AssetError, match=r"sts-dev\.tsv"):
        tasks.get("sts").items({}, part="dev", file="")


@pytest.mark.shared
def test_the_real_parts_have_their_published_sizes(shared_datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairsqueeze.assets.locate import locate

    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(shared_datasets))
    files = locate("stsb").files
    for part, n in (("train", 5749), ("dev", 1500), ("test", 1379)):
        items = tasks.get("sts").items(files, part=part, file="")
        assert len(items) == n
        assert all(0 <= i.content["gold"] <= 5 and i.content["first"] and i.content["second"] for i in items)
