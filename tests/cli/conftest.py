from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairsqueeze.cli import main
from fairsqueeze.testing.tiny import save_tiny, tiny_model

Ran = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def call(*words: object) -> Ran:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny causal model."""
    target = tmp_path_factory.mktemp("models") / "llama"
    save_tiny(tiny_model("llama", "causal"), target)
    return target
