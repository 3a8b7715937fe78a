"""How references to models are read."""

from __future__ import annotations

import pytest

from fairsqueeze.errors import ModelError, UnknownName
from fairsqueeze.models.reference import parse_reference


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("bert-base-uncased", "bert-base-uncased", None),
        ("org/name", "org/name", None),
        ("org/name@v1.0", "org/name", "v1.0"),
        ("Org.x/na_me-2@0123abc", "Org.x/na_me-2", "0123abc"),
        ("org/name@refs/pr/3", "org/name", "refs/pr/3"),
    ],
)
def test_hub_ids(text, name, revision):
    parsed = parse_reference(text)
    assert (parsed.source, parsed.name, parsed.revision) == ("hub", name, revision)


def test_an_existing_folder_is_a_folder_even_if_it_could_be_a_hub_id(tmp_path, monkeypatch):
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    parsed = parse_reference("org/name")
    assert parsed.source == "folder"
    assert parsed.path == tmp_path / "org" / "name"


def test_a_gguf_file(tmp_path):
    path = tmp_path / "model.GGUF"
    path.write_bytes(b"GGUF")
    assert parse_reference(path).source == "gguf"


@pytest.mark.parametrize(
    "text", ["./nowhere", "/no/such/place", "~/no-such-model", "models/x.gguf", "a/b/c", "../x", "x/"]
)
def test_a_path_that_is_not_there(text):
    with pytest.raises(ModelError, match="No such model") as problem:
        parse_reference(text)
    assert problem.value.exit_code == 2
    assert problem.value.remedy


@pytest.mark.parametrize("text", ["", "no model", "org/name@", "@main", "-x", "a..b/c"])
def test_nonsense(text):
    with pytest.raises(ModelError, match="not a model reference"):
        parse_reference(text)


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="folder that it lies in"):
        parse_reference(path)


def test_reference_models():
    parsed = parse_reference("reference:random:builtin:smollm2-135m")
    assert (parsed.source, parsed.which) == ("reference", "random")
    assert (parsed.of.source, parsed.of.name) == ("builtin", "smollm2-135m")


def test_reference_models_that_do_not_exist():
    with pytest.raises(UnknownName, match="destroyed"):
        parse_reference("reference:destroy:builtin:minilm")
    with pytest.raises(ModelError, match="which model"):
        parse_reference("reference:random")
    with pytest.raises(ModelError, match="reference model of a reference model"):
        parse_reference("reference:random:reference:constant:builtin:minilm")
