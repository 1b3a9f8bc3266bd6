"""One database for the tests of a module, with the default metrics; each test has users of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metering import app_on, database_on, law
from nself.app import App


@pytest.fixture(scope="module")
def place(server: str, template: str) -> Iterator[str]:
    """Conninfo of the module's database."""
    with database_on(server, template) as conninfo:
        yield conninfo


@pytest.fixture
def app(place: str, tmp_path: Path, clock: Any) -> Iterator[App]:
    with app_on(tmp_path / "project", place, clock, BILLING_ACCESS_LOG="") as made:
        yield made
        law(made)
