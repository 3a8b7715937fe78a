"""Every tiny model, built once; tests that change weights take a copy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from fairsqueeze.models.model import Model
from fairsqueeze.testing.tiny import ARCHITECTURES, save_tiny, tiny_model

EVERY = [(architecture, kind) for architecture, kinds in ARCHITECTURES.items() for kind in kinds]
FIRST = [(architecture, kinds[0]) for architecture, kinds in ARCHITECTURES.items()]


@cache
def built(architecture: str, kind: str | None = None) -> Model:
    return tiny_model(architecture, kind)


@pytest.fixture
def tiny() -> Callable[..., Model]:
    """A copy of a tiny model that the test may change."""

    def make(architecture: str, kind: str | None = None) -> Model:
        model = built(architecture, kind)
        return replace(model, network=copy.deepcopy(model.network))

    return make


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """A folder with a tiny model as plain transformers writes it."""

    def make(architecture: str, kind: str | None = None) -> Path:
        return save_tiny(built(architecture, kind), tmp_path / f"{architecture}-{kind}")

    return make
