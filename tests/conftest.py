"""Shared fixtures: a real PostgreSQL for each test process, a fresh migrated database for each test that asks."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings

from memory import memory
from nself.app import App
from nself.config import find_project
from nself.core.settings import BY_NAME
from nself.db.migrate import migrate
from nself.db.server import temporary_server
from nself.registry import Registry

hypothesis_settings.register_profile("nself", deadline=None)  # a machine may be busy: nothing is timed in a test
hypothesis_settings.load_profile("nself")

NOW = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)
_numbers = itertools.count()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's `&`; processes that tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_environment() -> None:  # pyright: ignore[reportUnusedFunction]
    """Settings of the developer's shell must not reach a test."""
    for name in (*BY_NAME, "NSELF_PROJECT"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Conninfo of a server of this test process; NSELF_TEST_POSTGRES names another installation's bin folder."""
    binaries = os.environ.get("NSELF_TEST_POSTGRES")
    log, found = tmp_path_factory.mktemp("postgres"), Path(binaries) if binaries else None
    with temporary_server(log, found, memory()) as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def template(server: str) -> str:
    """Name of a migrated database to be cloned."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("create database nself_template")
    migrate(psycopg.conninfo.make_conninfo(server, dbname="nself_template"))
    return "nself_template"


@pytest.fixture
def database(server: str, template: str) -> Iterator[str]:
    """Conninfo of a fresh migrated database."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template} strategy file_copy".encode())
        yield psycopg.conninfo.make_conninfo(server, dbname=name)
        connection.execute(f"drop database {name} with (force)".encode())


class MovableClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def app(tmp_path: Path, database: str, registry: Registry, clock: MovableClock) -> Iterator[App]:
    """An App on its own project folder and database; its clock stands at NOW."""
    folder = tmp_path / "project"
    folder.mkdir()
    made = App(find_project(str(folder), {}, folder), registry, environ={"DATABASE_URL": database}, clock=clock)
    yield made
    made.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", metavar="N/M", help="Only every M-th of the chosen tests, beginning with the N-th.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """After `-m` and `-k` have chosen."""
    if part := config.getoption("--part"):
        number, parts = map(int, part.split("/"))
        kept = items[number - 1 :: parts]
        config.hook.pytest_deselected(items=[one for one in items if one not in kept])
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Fresh seeds are told also where all went well. Here, since xdist's controller loads no other conftest."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "CONVERGENCE_SEED" and report.when == "call":
                terminalreporter.write_line(f"{name}={value} {report.nodeid}")
