"""One service and database for all tests of this folder; each test has users and a buffer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nself.app import App
from nself.client import Client
from serving import Service, new_key
from serving_fixtures import app, project, service

__all__ = ["app", "key", "make", "project", "service", "url"]

Make = Callable[..., Client]


@pytest.fixture(scope="session")
def key(project: App) -> str:
    return new_key(project, "usage:write,quota")


@pytest.fixture
def url(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


@pytest.fixture
def make(url: str, key: str, tmp_path: Path) -> Iterator[Make]:
    """Clients of the service, with one buffer, closed at the end."""
    with ExitStack() as stack:

        def make(url: str = url, key: str = key, **options: object) -> Client:
            given = {"buffer": str(tmp_path / "buffer"), "linger": 0.02, **options}
            return stack.enter_context(Client(url, key, **given))  # type: ignore[arg-type]

        yield make
