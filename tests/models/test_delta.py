"""Built-in models made of a fetched encoder and a shipped delta: exact, and checked before and after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from fairsqueeze.assets.catalogue import entries
from fairsqueeze.assets.checksum import sha256_of
from fairsqueeze.errors import ModelError
from fairsqueeze.models.delta import applied, merge_, with_delta
from fairsqueeze.models.fingerprint import fingerprint
from fairsqueeze.models.load import load_folder
from fairsqueeze.testing.tiny import save_tiny, tiny_model

QUERY = "bert.encoder.layer.0.attention.self.query.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    save_tiny(tiny_model("bert", "encoder"), folder)
    (folder / "vocab.txt").touch()
    (folder / "special_tokens_map.json").write_text("{}")
    return folder


@pytest.fixture
def delta(tmp_path: Path, base: Path) -> Path:
    """A delta that changes one query matrix by rank 2 and gives the pooler and a classifier of three labels."""
    width = load_folder(base, "base").network.config.hidden_size
    draw = torch.Generator().manual_seed(0)
    tensors = {
        f"{QUERY}.low_rank_a": torch.randn(2, width, generator=draw).half(),
        f"{QUERY}.low_rank_b": torch.randn(width, 2, generator=draw).half(),
        "bert.pooler.dense.weight": torch.randn(width, width, generator=draw).half(),
        "bert.pooler.dense.bias": torch.zeros(width).half(),
        "classifier.weight": torch.randn(3, width, generator=draw).half(),
        "classifier.bias": torch.zeros(3).half(),
    }
    labels = ("entailment", "neutral", "contradiction")
    config = {
        "id2label": {str(k): label for k, label in enumerate(labels)},
        "label2id": {label: k for k, label in enumerate(labels)},
    }
    told = {"architecture": "BertForSequenceClassification", "config": config, "recipe": {"steps": 1}}
    save_file(tensors, tmp_path / "made.safetensors", metadata={"fairsqueeze": json.dumps(told)})
    return tmp_path / "made.safetensors"


def rewritten(delta: Path, tensors: dict[str, torch.Tensor]) -> Path:
    from fairsqueeze.models.delta import read_metadata

    told = read_metadata(delta)
    save_file(tensors, delta, metadata={"fairsqueeze": json.dumps(told)})
    return delta


def test_what_comes_out_is_the_base_plus_the_product(base: Path, delta: Path) -> None:
    network, recipe = applied(base, delta)
    tensors = load_file(delta)
    before = load_folder(base, "base").network.encoder.layer[0].attention.self.query.weight
    change = tensors[f"{QUERY}.low_rank_b"].double() @ tensors[f"{QUERY}.low_rank_a"].double()
    assert torch.equal(network.get_parameter(QUERY), (before.double() + change).float())
    assert torch.equal(network.classifier.weight, tensors["classifier.weight"].float())
    untouched = "bert.encoder.layer.1.attention.self.query.weight"
    assert torch.equal(
        network.get_parameter(untouched), load_folder(base, "base").network.encoder.layer[1].attention.self.query.weight
    )
    assert recipe == {"steps": 1}
    assert not network.training


def test_it_is_a_plain_checkpoint_of_the_promised_id(
    base: Path, delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "cache"))
    identity = fingerprint(applied(base, delta)[0])
    folder, facts = with_delta(base, delta, sha256_of(delta), identity, "b" * 64)
    model = load_folder(folder, "made")
    assert (model.kind, model.id) == ("pair_classifier", identity)
    assert facts["delta_sha256"] == sha256_of(delta)
    again, _ = with_delta(base, delta, sha256_of(delta), identity, "b" * 64)
    assert again == folder


@pytest.mark.parametrize("wrong", ["sha256", "id", "absent"])
def test_other_bytes_and_other_results_are_refused_and_leave_nothing(
    base: Path, delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "cache"))
    sha256, identity = sha256_of(delta), fingerprint(applied(base, delta)[0])
    if wrong == "sha256":
        sha256 = "0" * 64
    if wrong == "id":
        identity = "0" * 16
    if wrong == "absent":
        delta = delta.with_name("none.safetensors")
    with pytest.raises(ModelError) as caught:
        with_delta(base, delta, sha256, identity, "b" * 64)
    assert caught.value.remedy
    converted = tmp_path / "cache" / "converted"
    assert not converted.exists() or not list(converted.iterdir())


def test_a_delta_that_leaves_a_weight_unset_or_fits_nowhere_is_refused(base: Path, delta: Path) -> None:
    tensors = load_file(delta)
    with pytest.raises(ModelError, match=r"unset: classifier\.bias"):
        applied(base, rewritten(delta, {k: v for k, v in tensors.items() if k != "classifier.bias"}))
    with pytest.raises(ModelError, match="does not have"):
        applied(base, rewritten(delta, {**tensors, "bert.nowhere.weight": torch.zeros(1).half()}))
    with pytest.raises(ModelError, match="the network's"):
        applied(base, rewritten(delta, {**tensors, "classifier.weight": torch.zeros(2, 3).half()}))


@given(st.permutations(range(6)), st.integers(0, 2**32 - 1))
def test_the_product_does_not_depend_on_the_order_of_summation(order: list[int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    low, high = (torch.randn(6, 5, generator=draw).half(), torch.randn(4, 6, generator=draw).half())
    made = []
    for index in (list(range(6)), order):
        network = nn.Linear(5, 4, bias=False)
        nn.init.constant_(network.weight, 0.125)
        merge_(network, {"weight.low_rank_a": low[index], "weight.low_rank_b": high[:, index]})
        made.append(network.weight.detach().clone())
    assert torch.equal(*made)


def test_a_product_too_large_to_be_exact_is_refused() -> None:
    network = nn.Linear(2, 2, bias=False)
    large = torch.full((2, 2), 5.0).half()
    with pytest.raises(ModelError, match="too large"):
        merge_(network, {"weight.low_rank_a": large, "weight.low_rank_b": large})


def test_every_shipped_delta_is_in_the_package_and_small_enough() -> None:
    from importlib.resources import files

    folder = files("fairsqueeze.models") / "deltas"
    shipped = [entry.delta for entry in entries("model") if entry.delta is not None]
    assert {d.file for d in shipped} == {p.name for p in folder.iterdir() if p.name.endswith(".safetensors")}
    for one in shipped:
        assert sha256_of(Path(str(folder / one.file))) == one.sha256
        assert "sha256" in (folder / one.card).read_text(encoding="utf-8")
    assert sum(Path(str(folder / d.file)).stat().st_size for d in shipped) <= 15_000_000
