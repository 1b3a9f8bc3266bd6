"""Fixtures of the HTTP service: one service and database for all tests of a folder; each test has users of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metering import METRICS, PAGES, app_on, database_on, law
from nself.app import App
from serving import Service, serving

LIMITS = {"API_MAX_BODY": "1M", "USAGE_MAX_BATCH": "500", "BILLING_DB_POOL_TIMEOUT": "2s"}


@pytest.fixture(scope="session")
def project(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The project that the service serves, seen from the test's own process."""
    folder = tmp_path_factory.mktemp("served") / "project"
    with database_on(server, template) as conninfo, app_on(folder, conninfo, metrics=METRICS + PAGES, **LIMITS) as made:
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
