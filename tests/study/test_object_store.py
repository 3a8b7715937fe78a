"""A store in a bucket: a local S3 server stands in for the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import fairsqueeze
from fairsqueeze.errors import StoreError
from fairsqueeze.items import Row
from fairsqueeze.records import table_of
from fairsqueeze.report.load import load_results
from fairsqueeze.study.plan import plan
from fairsqueeze.study.run import run
from fairsqueeze.study.status import status
from fairsqueeze.study.store import Store
from fairsqueeze.study.study import Study

pytest.importorskip("s3fs", reason="s3fs is not installed (pip install 'fairsqueeze[s3]')")
pytest.importorskip("moto.server", reason="moto is not installed (pip install 'moto[server]')")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server with the bucket `studies`, found by fsspec's own configuration."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "s3", {"endpoint_url": address, "key": "any", "secret": "any"})
        fsspec.filesystem("s3").mkdir("studies")
        yield address
    server.stop()


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    return f"s3://studies/{request.node.name}"


def table(step: str, value: float = 1.0):
    rows = [Row("i", "x", "g", "c", value, 1.0, "ok", {"v": value}, 2)]
    return table_of(rows, step=step, checkpoint="c", measure="m", metadata={"step": step})


def test_what_is_put_is_got_and_listed(url: str) -> None:
    store = Store(url, warn=pytest.fail)
    store.check()
    assert store.steps() == []
    store.prepare()
    for step in ("s1", "s2"):
        store.write(step, table(step))
    store.write_document("variants/v", {"label": "dense"})
    other = Store(url, warn=pytest.fail)
    assert other.steps() == ["s1", "s2"]
    assert other.read("s1").equals(table("s1"), check_metadata=True)
    assert other.read("s3") is None
    assert other.outlines("variants")["v"]["label"] == "dense"
    store.write("s3", table("s3"))  # seen by one that has listed before
    assert other.has("s3")


def test_a_damaged_object_is_named_set_aside_and_absent(url: str) -> None:
    said: list[str] = []
    store = Store(url, warn=said.append)
    store.write("s1", table("s1"))
    content = bytearray(store.folder.read("records/s1.parquet"))
    content[300] ^= 1
    store.folder.place("records/s1.parquet", bytes(content))
    assert store.read("s1") is None
    assert f"{url}/records/s1.parquet" in said[0]
    assert store.steps() == []
    assert len(store.folder.sizes("damaged")) == 1


def test_promises_are_gathered(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairsqueeze.study.manifest.GATHER_EVERY", 3)
    store = Store(url)
    for k in range(12):
        store.write(f"s{k:02}", table(f"s{k:02}"))
    assert store.folder.sizes("manifest/parts")
    assert len(Store(url).outlines("records")) == 12


@pytest.mark.usefixtures("small_registry")
def test_a_study_runs_into_a_bucket_and_goes_on_there(url: str, tiny_folder: Path) -> None:
    study = Study(name="small", models=[str(tiny_folder)], tasks=["fluency"], references=["random"], limit=6)
    assert len(run(plan(study), url).computed) == 2
    again = run(plan(study), url)
    assert (again.computed, len(again.found)) == ([], 2)
    assert status(Store(url, warn=pytest.fail))["finished"] == 2
    shown = load_results(url)
    assert [v.label for v in shown.variants] == ["dense", "reference: random"]
    assert shown.created.startswith("20")
    with fairsqueeze.open(url) as results:
        found = results.sql("SELECT label, count(*) AS n FROM records JOIN estimates USING (step) GROUP BY ALL")
        assert sorted(found.to_pylist(), key=lambda row: row["label"]) == [
            {"label": "dense", "n": 6},
            {"label": "reference: random", "n": 6},
        ]
        assert results.sql("FROM records LIMIT 1").num_rows == 1


def test_a_bucket_that_is_not_there_is_refused_before_anything_else(server: str) -> None:
    with pytest.raises(StoreError, match="can't be written"):
        Store("s3://nobodys/a").prepare()


def test_a_lost_connection_is_no_damage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import EndpointConnectionError

    store = Store(url, warn=pytest.fail)
    store.write("s1", table("s1"))

    def lost(path: str) -> bytes:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    monkeypatch.setattr(store.folder.filesystem, "cat_file", lost)
    with pytest.raises(StoreError, match="Could not connect"):
        store.read("s1")
    monkeypatch.undo()
    assert store.has("s1")
