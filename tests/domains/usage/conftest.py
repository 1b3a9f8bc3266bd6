"""One database for the tests of a module, since making one takes a second; each test has users of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from metering import METRICS, app_on, database_on, law
from nself.app import App


class MovableClock(Protocol):
    now: object


class Places(Protocol):
    def __call__(self, zone: str = "UTC") -> App: ...


@pytest.fixture(scope="module")
def place(server: str, template: str) -> Iterator[str]:
    """Conninfo of the module's database."""
    with database_on(server, template) as conninfo:
        yield conninfo


@pytest.fixture
def app_in(place: str, tmp_path: Path, clock: MovableClock) -> Iterator[Places]:
    """Apps on the module's database whose days begin in a zone. At the end of each test the law holds."""
    with ExitStack() as stack:
        made: dict[str, App] = {}

        def app_in(zone: str = "UTC") -> App:
            if zone not in made:
                folder = tmp_path / f"project-{len(made)}"
                made[zone] = stack.enter_context(
                    app_on(folder, place, clock, METRICS, BILLING_TIMEZONE=zone)  # type: ignore[arg-type]
                )
            return made[zone]

        yield app_in
        law(app_in())


@pytest.fixture
def app(app_in: Places) -> App:
    return app_in()
