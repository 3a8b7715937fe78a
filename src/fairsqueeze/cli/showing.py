"""How commands speak: stdout is the result, for people or as one JSON document; stderr is progress and log."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


def tell(message: str) -> None:
    print(message, file=sys.stderr)


@contextlib.contextmanager
def stdout_for_result() -> Iterator[None]:
    """While working, anything that a library prints goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def working(quiet: bool) -> Iterator[Any]:
    from fairsqueeze.study.progress import progress_on_stderr

    with stdout_for_result(), progress_on_stderr(quiet) as progress:
        yield progress


def show_result(value: Any, as_json: bool, text: Callable[[Any], Any]) -> None:
    if as_json:
        json.dump(value, sys.stdout, indent=1, allow_nan=False, ensure_ascii=False)
        print()
        return
    shown = text(value)
    if shown is not None:
        _console().print(shown, highlight=False, markup=False, soft_wrap=isinstance(shown, str))


def terminal() -> Any:
    """How results look on a terminal; loaded only where something is shown."""
    from fairsqueeze.report import terminal as texts

    return texts


def _console() -> Any:
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=int(os.environ.get("COLUMNS", 120)), no_color=True)
