"""A machine of its own for each test: an empty cache, no data folder, no pip settings, no hub but the stand-in."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in import Server

from fairsqueeze.assets import catalogue, checksum, download, pip_settings


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            monkeypatch.delenv(name)
    for name in ("FAIRSQUEEZE_DATA", "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("FAIRSQUEEZE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pip_settings, "has_pip", lambda: False)  # its variables alone: starting pip takes a second
    monkeypatch.setattr(checksum, "_known", {})
    monkeypatch.setattr(download, "_WAITS_S", (0.0, 0.0, 0.0))
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server().running() as running:
        yield running


@pytest.fixture
def closed_port() -> str:
    """An address at which nothing answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def use_catalogue(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Replaces the catalogue by a document of the test's own."""

    def use(document: dict[str, Any]) -> None:
        parsed = catalogue.parse(document)
        monkeypatch.setattr(catalogue, "_catalogue", lambda: parsed)

    return use
