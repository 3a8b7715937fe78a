"""The command line as a user's script calls it: exit code, and the one JSON document on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from fairsqueeze.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict]]:
    def call(*words: object) -> tuple[int, dict]:
        with pytest.raises(SystemExit) as end:
            main([*map(str, words), "--json", "-q"])
        out, err = capsys.readouterr()
        assert out, err
        return int(end.value.code or 0), json.loads(out)

    return call
