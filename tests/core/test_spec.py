from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairsqueeze.spec import Spec, canonical_json, content_id

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@given(st.dictionaries(st.text(), scalars, min_size=1))
def test_the_id_does_not_depend_on_the_order_of_keys(parameters: dict) -> None:
    turned = dict(reversed(parameters.items()))
    assert Spec("a", parameters).id == Spec("a", turned).id


@given(st.dictionaries(st.text(), scalars), st.text(min_size=1))
def test_one_more_parameter_changes_the_id(parameters: dict, key: str) -> None:
    more = {**parameters, key: "never a value drawn above \x00"}
    assert Spec("a", parameters).id != Spec("a", more).id


def test_one_and_one_point_zero_are_the_same_setting() -> None:
    assert Spec("a", {"x": 1}).id == Spec("a", {"x": 1.0}).id
    assert Spec("a", {"x": 1}).id != Spec("a", {"x": 1.5}).id


def test_nan_can_not_be_part_of_an_identity() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


def test_a_spec_survives_json() -> None:
    spec = Spec("rtn", {"bits": 4, "group": None})
    assert Spec.from_json(spec.to_json()) == spec
    assert str(spec) == "rtn(bits=4, group=None)"
    assert content_id(spec.to_json()) == spec.id
