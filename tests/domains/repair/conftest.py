"""One database for the tests of a module; each test has users of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from metering import METRICS, app_on, database_on, law
from nself.app import App
from nself.core.clock import Clock


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
