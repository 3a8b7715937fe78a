from __future__ import annotations

import math

import numpy as np
import pytest

from fairsqueeze.errors import NonFinite, StoreError
from fairsqueeze.items import Row
from fairsqueeze.records import frame_of, metadata_of, select, table_of


def rows() -> list[Row]:
    return [
        Row("i1", "gender", "women", "c1", 0.5, 2.0, "ok", {"s": -1.0, "a": -1.5, "by_context": [0.1, 0.2]}, 7),
        Row("i2", "race", "g", "c1", None, 1.0, "one span only", {"s": -3.0, "a": None, "by_context": []}, 5),
        Row("i3", None, "control", "c2", None, 0.25, "ok", {"s": -2.0, "a": -2.0, "by_context": [0.0, 0.0]}, 3),
    ]


def table():
    return table_of(rows(), step="s1", checkpoint="abc", measure="m", metadata={"step": "s1", "seed": 3})


def test_null_stays_null_and_becomes_nan_only_in_the_numeric_view() -> None:
    made = table()
    assert made.column("preference").to_pylist() == [0.5, None, None]
    frame = frame_of(made)
    assert math.isnan(frame["preference"][1])
    assert math.isnan(frame["a"][1])
    assert list(frame["axis"]) == ["gender", "race", None]
    assert list(frame["by_context"][0]) == [0.1, 0.2]
    assert list(frame["n_tokens"]) == [7, 5, 3]


def test_metadata_travels_with_the_table() -> None:
    assert metadata_of(table()) == {"schema": 1, "step": "s1", "seed": 3}


def test_rows_can_be_selected_by_mask() -> None:
    frame = frame_of(table())
    assert list(select(frame, frame["axis"] == "race")["item"]) == ["i2"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["preference", "control", "answer", "list"])
def test_a_number_that_is_not_finite_is_an_error_not_a_record(bad: float, where: str) -> None:
    values = {"preference": 0.0, "control": 0.0, "answer": 0.0, "list": [0.0]}
    values[where] = [bad] if where == "list" else bad
    row = Row(
        "i", "x", "g", "c", values["preference"], values["control"], "ok", {"v": values["answer"], "l": values["list"]}
    )
    with pytest.raises(NonFinite, match="item i"):
        table_of([row], step="s", checkpoint="c", measure="m", metadata={})


def test_rows_that_disagree_about_their_answer_are_refused() -> None:
    bad = [Row("i", "x", "g", "c", 1.0, 1.0, "ok", {"a": 1.0}), Row("j", "x", "g", "c", 1.0, 1.0, "ok", {"b": 1.0})]
    with pytest.raises(StoreError, match="different fields"):
        table_of(bad, step="s", checkpoint="c", measure="m", metadata={})


def test_an_ok_row_with_nothing_in_it_is_refused() -> None:
    with pytest.raises(StoreError, match="nothing in it"):
        table_of([Row("i", "x", "g", "c")], step="s", checkpoint="c", measure="m", metadata={})


def test_numpy_floats_are_accepted() -> None:
    row = Row("i", "x", "g", "c", np.float64(0.5), 1.0, "ok", {"v": np.float64(2.0)})
    assert frame_of(table_of([row], step="s", checkpoint="c", measure="m", metadata={}))["v"][0] == 2.0
