"""One database for the tests of a module; each test has users of its own."""

from metering_fixtures import app, app_with, place, real_app

__all__ = ["app", "app_with", "place", "real_app"]
