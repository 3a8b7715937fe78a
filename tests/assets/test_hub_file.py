"""A file on the hub that a user names: fetched once, then from the cache; tasks can be asked of it."""

from __future__ import annotations

import io
import json

import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stand_in import COMMIT, offer_repository

from fairsqueeze.assets.hub_file import hub_file
from fairsqueeze.errors import AssetError
from fairsqueeze.spec import Spec
from fairsqueeze.study.evaluation import prepare

PATH = "mnli/validation_matched-00000-of-00001.parquet"
REFERENCE = f"hub:org/glue@{COMMIT}/{PATH}"


@pytest.fixture
def offered(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    rows = [
        {"premise": "Ann ate.", "hypothesis": "Ann slept.", "label": 1, "idx": 0},
        {"premise": "Ann ate.", "hypothesis": "Nobody ate.", "label": 2, "idx": 1},
    ]
    names = {"info": {"features": {"label": {"names": ["entailment", "neutral", "contradiction"]}}}}
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows).replace_schema_metadata({b"huggingface": json.dumps(names).encode()})
    pq.write_table(table, buffer)
    offer_repository(server, "org/glue", {PATH: buffer.getvalue()}, dataset=True)
    return buffer.getvalue()


def test_it_is_fetched_once_and_then_needs_no_network(offered, monkeypatch, closed_port) -> None:
    first = hub_file(REFERENCE)
    assert first.read_bytes() == offered
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    assert hub_file(REFERENCE) == first


def test_a_task_is_asked_of_it(offered) -> None:
    (found,) = prepare([Spec("nli", {"file": REFERENCE})], "pair_classifier", limit=None, seed=0)
    assert [item.content["gold"] for item in found.items] == ["neutral", "contradiction"]
    assert found.settings["file"] == REFERENCE, "what is recorded is the reference and not a path of this machine"


@pytest.mark.parametrize(
    "reference", ["hub:org/glue/x.parquet", "hub:org/glue@main/x.parquet", f"hub:org/glue@{COMMIT}/../../x"]
)
def test_what_is_not_pinned_is_refused(reference: str) -> None:
    with pytest.raises(AssetError, match="40 hex"):
        hub_file(reference)


def test_what_is_not_there_is_said(offered) -> None:
    with pytest.raises(AssetError):
        hub_file(f"hub:org/glue@{COMMIT}/none.parquet")
