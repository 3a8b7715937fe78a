"""A package that can be called like the function it is named for: `fairsqueeze.compress(model, …)`.

Importing the package `fairsqueeze.compress` binds that name in `fairsqueeze`; a call must still reach the function.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def callable_as(package: str, module: str, function: str) -> None:
    """Make the imported `package` callable as `function` of `module`, which is imported at the first call."""

    class CallablePackage(ModuleType):
        def __call__(self, *arguments: Any, **named: Any) -> Any:
            return getattr(importlib.import_module(module), function)(*arguments, **named)

    sys.modules[package].__class__ = CallablePackage
