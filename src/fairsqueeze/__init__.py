"""fairsqueeze: squeeze a language model, and know whether it is still fair.

Public names are resolved on first use, so importing this package imports no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "load": "fairsqueeze.models.load",
    "compress": "fairsqueeze.compress.apply",
    "finetune": "fairsqueeze.training.finetune",
    "audit": "fairsqueeze.study.audit",
    "compare": "fairsqueeze.study.compare",
    "Study": "fairsqueeze.study.study",
    "report": "fairsqueeze.report.page",
    "analyse": "fairsqueeze.analysis.analyse",
    "validate": "fairsqueeze.validation.card",
    "open": "fairsqueeze.study.sql",
    "FairsqueezeError": "fairsqueeze.errors",
}
__all__ = [*sorted(set(_PUBLIC) - {"open"}), "__version__"]  # `import *` must not replace Python's own open


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'fairsqueeze' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "open"]
