"""One service and database for all tests of this folder; each test has users and a buffer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from metering import METRICS, app_on, database_on, law
from nself.app import App
from nself.client import Client
from serving import Service, new_key, serving

LIMITS = {"API_MAX_BODY": "1M", "USAGE_MAX_BATCH": "500", "BILLING_DB_POOL_TIMEOUT": "2s"}
Make = Callable[..., Client]


@pytest.fixture(scope="session")
def project(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The project that the service serves, seen from the test's own process."""
    folder = tmp_path_factory.mktemp("client") / "project"
    with database_on(server, template) as conninfo, app_on(folder, conninfo, metrics=METRICS, **LIMITS) as made:
        yield made


@pytest.fixture(scope="session")
def service(project: App) -> Iterator[Service]:
    with serving(project.project.root, project.db.conninfo, **LIMITS) as running:
        yield running
        assert "Traceback" not in running.log.read_text(), running.log


@pytest.fixture
def app(project: App) -> Iterator[App]:
    """At the end of each test the law holds."""
    yield project
    law(project)


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
