from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest

from fairsqueeze.errors import BadSetting, FairsqueezeError, UnknownName, unknown_name
from fairsqueeze.items import Item
from fairsqueeze.registry import Card, Measure, Range, Registry, call_with, checked_settings, settings_of


def score(
    item: Item,
    answers: dict,
    *,
    sparsity: Annotated[float, Range(0, 1, high_open=True)] = 0.5,
    windows: int | None = None,
    sd: Literal["sample", "population"] = "sample",
    exact: bool = False,
) -> list:
    """What comes out."""
    return []


def declared(name: str = "family.variant") -> Measure:
    return Measure(
        name=name,
        role="measure",
        version=1,
        kinds=frozenset({"causal"}),
        data=(),
        source="self",
        items=lambda files: [],
        asks=lambda item: {},
        score=score,
        statistics=(),
        card=Card(control="none"),
    )


def test_settings_are_the_keyword_only_parameters_with_range_and_choices() -> None:
    found = settings_of(score)
    assert list(found) == ["sparsity", "windows", "sd", "exact"]
    assert found["sparsity"].describe() == "sparsity: float in [0, 1), default 0.5"
    assert found["sd"].choices == ("sample", "population")
    assert found["windows"].optional


def test_given_settings_are_converted_from_text_and_the_others_filled_in() -> None:
    assert checked_settings(declared(), {"sparsity": "0.25", "windows": "8", "exact": "true"}) == {
        "sparsity": 0.25,
        "windows": 8,
        "sd": "sample",
        "exact": True,
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sparsity": 1.0}, r"\[0, 1\)"),
        ({"sparsity": 1.5}, r"\[0, 1\)"),
        ({"sparsity": -0.1}, r"\[0, 1\)"),
        ({"sparsity": "nan"}, r"\[0, 1\)"),
        ({"sparsity": "half"}, "type float"),
        ({"sparsity": True}, "type float"),
        ({"windows": 2.5}, "whole number"),
        ({"sd": "both"}, "'sample', 'population'"),
        ({"exact": "maybe"}, "true or false"),
        ({"sparsty": 0.5}, "sparsity"),
    ],
)
def test_a_setting_out_of_order_is_refused_with_what_is_allowed(given: dict, says: str) -> None:
    with pytest.raises(BadSetting, match=says):
        checked_settings(declared(), given)


def test_call_with_hands_over_only_what_the_signature_names() -> None:
    def items(files: dict, *, sd: str) -> str:
        return sd

    assert call_with(items, {}, settings={"sd": "sample", "windows": 3}) == "sample"


def test_two_things_of_one_name_are_refused() -> None:
    registry: Registry[Measure] = Registry("measure", "fairsqueeze.stats", _loaded=True)
    registry.add(declared())
    with pytest.raises(FairsqueezeError, match="Two measures are called"):
        registry.add(declared())


def test_a_module_that_can_not_be_imported_is_told_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the names would be worse than none: the others would be called unknown."""
    (tmp_path / "broken_methods").mkdir()
    for name, text in (("__init__", ""), ("a", ""), ("b", "import no_such_module\n")):
        (tmp_path / f"broken_methods/{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[Measure] = Registry("thing", "broken_methods")
    for _ in range(2):
        with pytest.raises(ImportError, match="no_such_module"):
            registry.names()


def test_an_unknown_name_lists_near_ones_and_variants_of_a_family() -> None:
    known = ["crows_pairs.changed", "crows_pairs.unchanged", "seat.mean"]
    near = unknown_name("measure", "crows_pairs.unchangd", known)
    assert isinstance(near, UnknownName)
    assert "'crows_pairs.unchanged'" in near.remedy
    family = unknown_name("measure", "crows_pairs", known)
    assert "crows_pairs.changed" in family.remedy
    assert "crows_pairs.unchanged" in family.remedy
    assert "seat.mean" in unknown_name("measure", "zzz", known).remedy


def test_range_says_its_own_borders() -> None:
    assert str(Range(0, 1, low_open=True)) == "(0, 1]"
    assert 0 not in Range(0, 1, low_open=True)
    assert np.float64(0.5) in Range(0, 1)
