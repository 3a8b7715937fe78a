"""Keep transformers from drawing progress bars and printing load reports: the command line speaks for itself."""

from __future__ import annotations

import logging as standard_logging
from collections.abc import Iterator
from contextlib import contextmanager

CHATTERS = ("torchao", "torch.utils._pytree")
"""Loggers of libraries that transformers imports on the way, and that warn of things no user can act on."""


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Inside, transformers reports errors only and draws no bars; what was set before is restored."""
    for name in CHATTERS:
        standard_logging.getLogger(name).setLevel(standard_logging.ERROR)
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
