"""One database for the tests of a module, since making one takes a second; each test has users of its own."""

from __future__ import annotations

import pytest

from metering_fixtures import Places, app_in, place
from nself.app import App

__all__ = ["app", "app_in", "place"]


@pytest.fixture
def app(app_in: Places) -> App:
    return app_in()
