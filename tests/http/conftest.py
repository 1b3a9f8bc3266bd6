"""One service and database for all tests of this folder; each test has users of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nself.app import App
from serving import Client, Service, new_key
from serving_fixtures import app, project, service

__all__ = ["app", "client", "key", "project", "service"]


@pytest.fixture(scope="session")
def key(project: App) -> str:
    return new_key(project, "usage:write,usage:read,quota")


@pytest.fixture
def client(app: App, service: Service, key: str) -> Iterator[Client]:
    """With a key for everything that metering offers."""
    with service.client(key) as made:
        yield made
