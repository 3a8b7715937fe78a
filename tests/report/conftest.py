"""Results for the tests of the report."""

from __future__ import annotations

import pytest
from made_up_results import made_up

from fairsqueeze.report.results import Results


@pytest.fixture(scope="session")
def results() -> Results:
    return made_up()
