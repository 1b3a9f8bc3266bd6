"""`db vacuum` and `db analyze` against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from nself.app import App
from nself.core.entrypoint import Rows
from nself.domains.tuning.inputs import AnalyzeTables, VacuumTables
from nself.domains.tuning.model import NoSuchTable, NotATable, TableBusy, TableUpkeep
from nself.domains.tuning.service import upkeep


def vacuum(app: App, table: str | None = None) -> Rows[TableUpkeep]:
    return upkeep.vacuum(app, VacuumTables(table=table))


@pytest.fixture
def link(database: str) -> Iterator[psycopg.Connection]:
    """2000 rows in billing.events, of which 1500 are dead; nothing is vacuumed behind our backs."""
    with psycopg.connect(database, autocommit=True, application_name="importer") as connection:
        connection.execute("set search_path = billing, public")
        connection.execute("create table events (a int, b int) with (autovacuum_enabled = false)")
        connection.execute("insert into events select n, n from generate_series(1, 2000) n")
        connection.execute("delete from events where a <= 1500")
        connection.execute("select pg_stat_force_next_flush()")
        yield connection


def test_dead_rows_are_gone_and_told(app: App, link: psycopg.Connection) -> None:
    (done,) = vacuum(app, "events")
    assert (done.dead_before, done.dead_after, done.rows) == (1500, 0, 500)
    assert done.bytes_before > 0 and done.note == ""
    (again,) = vacuum(app, "billing.events")
    assert (again.dead_before, again.dead_after) == (0, 0)


def test_rows_that_an_old_transaction_sees_stay_and_it_is_named(
    app: App, link: psycopg.Connection, database: str
) -> None:
    with psycopg.connect(database, application_name="report") as old:
        old.execute("set transaction isolation level repeatable read")
        old.execute("select 1 from billing.billing_quotas")
        link.execute("delete from events where a <= 1600")
        link.execute("select pg_stat_force_next_flush()")
        (done,) = vacuum(app, "events")
    assert done.dead_after == 100 and "(report, idle in transaction" in done.note


def test_analyze_lets_the_planner_know(app: App, link: psycopg.Connection) -> None:
    assert link.execute("select reltuples from pg_class where relname = 'events'").fetchone() == (-1,)
    (done,) = upkeep.analyze(app, AnalyzeTables(table="events"))
    assert done.done == "analyze" and done.rows == 500
    assert link.execute("select reltuples from pg_class where relname = 'events'").fetchone() == (500,)


def test_a_lock_says_who(app: App, link: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "brief", lambda app: timedelta(milliseconds=200))
    link.execute("begin")
    link.execute("lock table events in share update exclusive mode")
    with pytest.raises(TableBusy, match=r"pid \d+ \(importer, idle in transaction"):
        vacuum(app, "events")
    everything = vacuum(app)
    assert "events was locked" in everything.remarks()[0] and "events" not in {row.table for row in everything}
    link.execute("rollback")


def test_without_a_table_all_of_the_products(app: App, link: psycopg.Connection) -> None:
    found = {row.table: row for row in vacuum(app)}
    assert {"billing_usage", "billing_intents", "users", "events"} <= set(found) and found["events"].dead_before == 1500
    with pytest.raises(NotATable, match="billing_mirror is a view"):
        vacuum(app, "billing_mirror")
    with pytest.raises(NoSuchTable):
        vacuum(app, "nowhere")
