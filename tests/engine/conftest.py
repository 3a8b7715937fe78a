"""The engine's tests run on one thread, since tiny models gain nothing from more, and find `engine_references`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

# pytest's importlib mode puts no test folder on the path.
if str(Path(__file__).parent) not in sys.path:
    sys.path.append(str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
