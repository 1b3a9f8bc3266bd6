"""`db status`, `db ping`, `db test-connection`."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import QueryCanceled

from nself.app import App
from nself.cli import render
from nself.core.project import Project
from nself.db.connect import DatabaseUnavailable
from nself.db.migrate import available
from nself.domains.database import service
from nself.domains.database.inputs import Ping, ShowStatus, TryConnection
from nself.measure import measures
from nself.registry import Registry
from ports import free_port

NAMES = ["resolve", "connect", "authenticate", "query", "schema"]


def app_at(root: Path, url: str, registry: Registry) -> App:
    return App(Project(root), registry, environ={"DATABASE_URL": url})


def test_status(app: App) -> None:
    found = service.status(app, ShowStatus())
    assert found.server.startswith("PostgreSQL 1") and found.runs == "DATABASE_URL"
    assert found.migrations_applied == len(available())
    assert found.migrations_missing == found.migrations_changed == []
    assert 1 <= found.connections <= found.max_connections
    assert found.size_bytes > 1_000_000 and found.uptime_seconds >= 0
    lines = list(render.text(found, "table"))
    assert "migrations_missing: none" in lines


def test_status_of_a_database_that_lacks_migrations(app: App, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from billing.schema_migrations where version = 2")
        connection.execute("update billing.schema_migrations set checksum = 'x' where version = 1")
    found = service.status(app, ShowStatus())
    assert found.migrations_missing == ["0002_api_key.sql"]
    assert found.migrations_changed == ["0001_base.sql"]
    assert "applies the missing migrations" in found.remarks()[0]
    tried = service.try_connection(app, TryConnection())
    assert not tried.ok and [step.state for step in tried.steps] == ["ok"] * 4 + ["failed"]
    assert "0001_base.sql was applied with other content" in tried.steps[-1].detail
    assert tried.help == "nself db status"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop table billing.schema_migrations")
    assert service.status(app, ShowStatus()).migrations_applied == 0


def test_a_test_migrates_as_any_command_does(server: str, tmp_path: Path, registry: Registry) -> None:
    name = f"empty_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    app = app_at(tmp_path, make_conninfo(server, dbname=name), registry)
    details = [service.try_connection(app, TryConnection()).steps[-1].detail for _ in range(2)]
    count = len(available())
    assert details == [f"{count} migrations, {count} of them now", f"{count} migrations"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


def test_status_tells_what_wears_the_server_out(app: App, database: str) -> None:
    with psycopg.connect(database) as old:
        old.execute("lock table billing.billing_quotas")
        found = service.status(app, ShowStatus())
        assert found.longest_transaction_seconds >= 0 and found.remarks() == []
        with psycopg.connect(database, autocommit=True) as waiter:
            waiter.pgconn.send_query(b"select count(*) from billing.billing_quotas")
            while not (found := service.status(app, ShowStatus())).blocked_statements:
                pass
            assert found.remarks() == ["statements wait for locks: nself db slow-queries --min-time 0s"]
            old.rollback()
            while waiter.pgconn.get_result():
                pass
    assert found.oldest_xmin_age >= 0 and 0 <= found.wraparound_percent < 1
    assert (found.pool_size, found.pool_timeout, found.query_timeout) == (10, "30s", "30s")
    assert found.disk_free_bytes is None  # the server of DATABASE_URL has its own disk
    worn = msgspec.structs.replace(
        found, blocked_statements=0, connections=80, max_connections=100, longest_transaction_seconds=7200.0,
        wraparound_percent=60.0, dead_rows=200_000, live_rows=1000, disk_free_bytes=5, disk_total_bytes=100,
    )  # fmt: skip
    assert len(worn.remarks()) == 5


def test_ping(app: App, tmp_path: Path, registry: Registry) -> None:
    found = service.ping(app, Ping())
    assert found.answer == "pong" and 0 < found.milliseconds < 10_000
    with pytest.raises(DatabaseUnavailable):
        service.ping(app_at(tmp_path, f"host={tmp_path} dbname=x", registry), Ping())


def test_what_is_cancelled_is_counted(tmp_path: Path, registry: Registry, database: str) -> None:
    app = App(Project(tmp_path), registry, environ={"DATABASE_URL": database, "DB_QUERY_TIMEOUT": "100ms"})
    measures.take()
    with pytest.raises(QueryCanceled), app.db.reading() as tx:
        tx.value(b"select pg_sleep(5)")
    assert [(one.name, one.labels, one.count) for one in measures.take()] == [("database", ("cancelled",), 1)]
    app.close()


def test_settings_of_the_pool_have_their_effect(tmp_path: Path, registry: Registry, database: str) -> None:
    """One connection, and whoever finds it taken waits as long as the setting says."""
    environ = {"DATABASE_URL": database, "BILLING_DB_POOL_SIZE": "1", "BILLING_DB_POOL_TIMEOUT": "100ms"}
    app = App(Project(tmp_path), registry, environ=environ)
    with app.db.reading() as tx:
        assert tx.value(b"select current_setting('statement_timeout')") == "30s"
        measures.take()
        with pytest.raises(DatabaseUnavailable, match=r"after 0\.10 sec"), app.db.reading():
            pass
        (told,) = measures.take()  # outside a service it is tried once more, after a look at the server
        assert (told.name, told.labels, told.count) == ("database", ("no_connection",), 2)
    with app.db.reading() as tx:
        assert tx.value(b"select 1") == 1
    status = service.status(app, ShowStatus())
    assert (status.pool_size, status.pool_timeout) == (1, "100ms")
    app.close()


def test_every_step_of_a_good_connection(app: App) -> None:
    found = service.try_connection(app, TryConnection())
    assert found.ok and found.cause is None and found.help is None
    assert [step.step for step in found.steps] == NAMES
    assert {step.state for step in found.steps} == {"ok"}
    assert found.steps[4].detail == f"{len(available())} migrations"


@pytest.mark.parametrize(
    ("url", "step", "cause"),
    [
        ("postgresql://u:s3cret@no-such-host.invalid/x", "resolve", "leads nowhere"),
        ("postgresql://u:s3cret@127.0.0.1:{closed}/x", "connect", "nothing listens"),
        ("postgresql://u:s3cret@127.0.0.1:70000/x", "connect", "nothing listens"),
        ("postgresql://u:s3cret@127.0.0.1:x/x", "resolve", "leads nowhere"),
        ("this is no address s3cret", "resolve", "leads nowhere"),
        ("host=/nowhere/at/all password=s3cret", "connect", "nothing listens"),
    ],
)
def test_the_failing_step_is_told(tmp_path: Path, registry: Registry, url: str, step: str, cause: str) -> None:
    app = app_at(tmp_path, url.replace("{closed}", str(free_port())), registry)
    found = service.try_connection(app, TryConnection())
    states = {one.step: one.state for one in found.steps}
    at = NAMES.index(step)
    assert list(states) == NAMES
    assert list(states.values()) == ["ok"] * at + ["failed"] + ["skipped"] * (4 - at)
    assert not found.ok and cause in (found.cause or "") and found.help == "nself env get DATABASE_URL"
    if "password" in url or "u:" in url:
        assert "s3cret" not in str(found)


def test_a_refused_session_says_why(app: App, server: str) -> None:
    url = make_conninfo(server, dbname="no_such_database")
    found = service.try_connection(app_at(app.project.root, url, app.registry), TryConnection())  # type: ignore[arg-type]
    assert [step.state for step in found.steps] == ["ok", "ok", "failed", "skipped", "skipped"]
    assert found.cause == "the database or the user does not exist there"
    assert found.help == "nself env set DATABASE_URL --stdin"
    assert "no_such_database" in found.steps[2].detail
