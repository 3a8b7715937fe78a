"""Fixtures of the model tests; what they are made of is in `model_families`, which pytest's importlib mode needs help
to find."""

from __future__ import annotations

import sys
from pathlib import Path

if str(Path(__file__).parent) not in sys.path:
    sys.path.append(str(Path(__file__).parent))

from model_families import stored, tiny

__all__ = ["stored", "tiny"]
