"""What every test area may use: the real data where present, and a quiet transformers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fairsqueeze", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("fairsqueeze")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: of several processes none then waits for the last of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """The folder of real data sets; the test is skipped where it is absent. Use with the marker `shared`."""
    folder = Path(os.environ.get("FAIRSQUEEZE_DATA") or REPOSITORY.parent / "shared" / "datasets")
    if not folder.is_dir():
        pytest.skip(f"the real data are not at {folder} (set FAIRSQUEEZE_DATA)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_progress_bars() -> None:
    """transformers draws a bar for every tiny model that is saved or loaded; not in tests."""
    if os.environ.get("FAIRSQUEEZE_TEST_BARS"):
        return
    from transformers.utils import logging

    logging.disable_progress_bar()
