"""Fixtures of metering, quotas and repair: one database for the tests of a module; each test has users of its own. Their conftests import them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from metering import METRICS, app_on, database_on, law
from nself.app import App
from nself.core.clock import Clock


class Places(Protocol):
    def __call__(self, zone: str = "UTC") -> App: ...


class AppWith(Protocol):
    def __call__(self, **settings: str) -> App: ...


@pytest.fixture(scope="module")
def place(server: str, template: str) -> Iterator[str]:
    with database_on(server, template) as conninfo:
        yield conninfo


@pytest.fixture
def app_with(place: str, tmp_path: Path, clock: Clock) -> Iterator[AppWith]:
    """Apps on the module's database with settings of their own. At the end of each test the law holds."""
    with ExitStack() as stack:

        def app_with(**settings: str) -> App:
            return stack.enter_context(app_on(tmp_path / "project", place, clock, METRICS + DEFAULTS, **settings))

        yield app_with
        law(app_with())


@pytest.fixture
def app_in(place: str, tmp_path: Path, clock: Clock) -> Iterator[Places]:
    """Apps on the module's database whose days begin in a zone. At the end of each test the law holds."""
    with ExitStack() as stack:
        made: dict[str, App] = {}

        def app_in(zone: str = "UTC") -> App:
            if zone not in made:
                folder = tmp_path / f"project-{len(made)}"
                made[zone] = stack.enter_context(app_on(folder, place, clock, METRICS, BILLING_TIMEZONE=zone))
            return made[zone]

        yield app_in
        law(app_in())


DEFAULTS = """\
  api_calls: {unit: request, aggregation: sum}
  bandwidth: {unit: byte, aggregation: sum}
"""


@pytest.fixture
def app(app_with: AppWith) -> App:
    return app_with()


@pytest.fixture
def real_app(place: str, tmp_path: Path) -> Iterator[App]:
    """An App whose clock runs, as that of other processes does."""
    with app_on(tmp_path / "project", place, None, METRICS + DEFAULTS) as made:
        yield made
        law(made)
