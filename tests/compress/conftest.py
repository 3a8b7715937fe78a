"""Tiny models, made once, and the registered methods at a setting that each accepts."""

from __future__ import annotations

from functools import cache

import pytest

from fairsqueeze.models.model import Model
from fairsqueeze.registry import methods
from fairsqueeze.testing.tiny import ARCHITECTURES, tiny_model

MADE = [(architecture, kinds[0]) for architecture, kinds in ARCHITECTURES.items()]
MADE += [("roberta", "pair_classifier"), ("bert", "encoder"), ("llama", "pair_regressor")]


@cache
def made(architecture: str, kind: str) -> Model:
    """Shared by all tests: none may change it."""
    return tiny_model(architecture, kind)


@pytest.fixture(params=MADE, ids=lambda pair: "-".join(pair))
def model(request: pytest.FixtureRequest) -> Model:
    return made(*request.param)


# Those that remove: test_structured_contract.py; those that pack: test_packed.py.
@pytest.fixture(params=[m.name for m in methods if not m.removes and not m.packs])
def method(request: pytest.FixtureRequest) -> str:
    return request.param
