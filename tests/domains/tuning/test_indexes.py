"""`db missing-indexes`, `db add-index`, `db drop-index` against a real server, through the commands as printed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from commanding import CLI
from nself.app import App
from nself.cli import main
from nself.domains.customer import service as customer
from nself.domains.tuning.inputs import AddIndex, DropIndex, ExplainStatement, FindMissingIndexes
from nself.domains.tuning.model import (
    AddedIndex,
    IndexAdvice,
    IndexNeeded,
    IndexUnderWay,
    NameTaken,
    NoSuchColumn,
    NoSuchIndex,
    NoSuchTable,
    NotATable,
    TableBusy,
)
from nself.domains.tuning.service import indexes
from nself.domains.tuning.service.advise import missing_indexes
from nself.domains.tuning.service.explain import explain

GUIDE = 'nself db add-index billing_usage --columns "user_id,created_at" --name idx_usage_user_date'


@pytest.fixture
def link(app: App, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """The database; commands of this process work in the app's project."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("NSELF_PROJECT", str(app.project.root))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("set search_path = billing, public")
        connection.execute("select pg_stat_statements_reset()")
        yield connection


def nself(line: str) -> int:
    return main.run(shlex.split(line)[1:])


def advice(app: App, finding: str, least: int = 1000) -> list[IndexAdvice]:
    return [one for one in missing_indexes(app, FindMissingIndexes(min_rows=least)) if one.finding == finding]


def add(app: App, table: str, columns: str, name: str | None = None) -> AddedIndex:
    return indexes.add_index(app, AddIndex(table=table, columns=columns, name=name))


def valid(link: psycopg.Connection, name: str) -> bool | None:
    found = link.execute(
        "select indisvalid from pg_index join pg_class on pg_class.oid = indexrelid where relname = %s", (name,)
    ).fetchone()
    return found[0] if found else None


def test_a_missing_index_is_found_by_the_load_and_made_by_the_printed_command(
    app: App, link: psycopg.Connection
) -> None:
    link.execute("drop index billing_customers_user, billing_customers_of_user")
    link.execute(
        "insert into billing_customers (customer_id, user_id, livemode, snapshot, snapshot_number, created_at, synced_at)"
        " select 'cus_' || n, 'user' || n, false, '{}', n, now(), now() from generate_series(1, 5000) n"
    )
    link.execute("analyze billing_customers")

    def load() -> None:
        with app.db.reading() as tx:
            for number in range(20):
                assert customer.customers_of(tx, [f"user{number + 1}"], False) == {
                    f"user{number + 1}": f"cus_{number + 1}"
                }

    load()
    (found,) = advice(app, "missing")
    assert found.table == "billing_customers" and "user_id" in found.command
    assert found.evidence.startswith("customer.of_users ran 20 times, ") and "reads all 5000 rows" in found.evidence
    assert nself(found.command) == 0
    assert advice(app, "missing") == []
    assert nself(found.command) == 0  # as often as one likes
    plan = explain(
        app, ExplainStatement(sql="select * from billing_customers where user_id = 'user1' and not livemode")
    )
    assert plan.findings == ["uses idx_customers_livemode_user_id"]


def test_large_tables_that_are_read_in_full_are_told(app: App, link: psycopg.Connection) -> None:
    link.execute("create table events (a int, doc jsonb)")
    link.execute("insert into events select n, '{}' from generate_series(1, 2000) n")
    link.execute("analyze events")
    for _ in range(12):
        link.execute("select count(*) from events where doc ->> 'x' = 'y'")
    link.execute("select pg_stat_force_next_flush()")
    (found,) = advice(app, "full scans")
    assert found.table == "events" and "read in full 12 times (24000 rows)" in found.evidence
    assert advice(app, "missing") == []  # no plain index serves an expression
    assert advice(app, "full scans", least=5000) == []


def test_foreign_keys_broken_double_and_unused_indexes(app: App, link: psycopg.Connection) -> None:
    assert missing_indexes(app, FindMissingIndexes()) == []
    link.execute("create table events (id int primary key, a int, b int)")
    link.execute("create table details (event_id int references events, note text)")
    link.execute("insert into events select n, 1, n from generate_series(1, 2000) n")
    link.execute("analyze events")
    (key,) = advice(app, "foreign key")
    assert (key.table, key.command) == (
        "details",
        "nself db add-index details --columns event_id --name idx_details_event_id",
    )
    assert nself(key.command) == 0 and advice(app, "foreign key") == []
    link.execute("create index broken on events (a)")
    link.execute("update pg_index set indisvalid = false where indexrelid = 'broken'::regclass")  # as a kill leaves it
    with pytest.raises(psycopg.errors.UniqueViolation):
        link.execute("create unique index concurrently broken_too on events (a)")
    link.execute("create index one on events (b)")
    link.execute("create index two on events (b, a)")
    (broken, too), (double,), (unused,) = (advice(app, finding) for finding in ("broken", "double", "unused"))
    assert broken.command == "nself db add-index events --columns a --name broken"
    assert (double.index, double.evidence.partition(" serves")[0]) == ("one", "two (b, a)")
    assert (unused.index, unused.command) == ("two", "nself db drop-index two")
    assert too.command == "nself db drop-index broken_too"
    for one in (broken, too, double, unused):
        assert nself(one.command) == 0
    assert valid(link, "broken") is True and valid(link, "one") is valid(link, "two") is None
    assert advice(app, "broken") == advice(app, "double") == []


def test_the_guides_index_is_made_on_each_partition_and_stands(app: App, link: psycopg.Connection) -> None:
    assert nself(GUIDE) == 0 and nself(GUIDE) == 0
    assert valid(link, "idx_usage_user_date") is True
    parts = link.execute("select count(*) from pg_inherits where inhparent = 'billing_usage'::regclass").fetchone()
    pieces = link.execute(
        "select count(*) from pg_inherits where inhparent = 'idx_usage_user_date'::regclass"
    ).fetchone()
    assert parts == pieces and pieces
    link.execute("create table later partition of billing_usage for values from ('2040-01-01') to ('2040-02-01')")
    stands = add(app, "billing_usage", "user_id, created_at", "idx_usage_user_date")
    assert stands.outcome == "stands" and valid(link, "idx_usage_user_date") is True
    equal = add(app, "billing.billing_usage", "user_id,created_at", "another")
    assert (equal.outcome, equal.index, valid(link, "another")) == ("equal", "idx_usage_user_date", None)
    with pytest.raises(NameTaken, match="something else"):
        add(app, "billing_usage", "metric_type", "idx_usage_user_date")
    assert indexes.drop_index(app, DropIndex(name="idx_usage_user_date")).table == "billing_usage"
    assert valid(link, "idx_usage_user_date") is None


def test_what_cannot_have_an_index_says_why(app: App, link: psycopg.Connection) -> None:
    with pytest.raises(NotATable, match=r"billing_transactions is a view over .*billing_charges"):
        add(app, "billing_transactions", "customer_id")
    with pytest.raises(NoSuchTable, match="billing_usage"):
        add(app, "nowhere; drop table billing_usage", "a")
    with pytest.raises(NoSuchTable):
        add(app, "pg_catalog.pg_class", "relname")
    with pytest.raises(NoSuchColumn, match="user_id"):
        add(app, "billing_usage", "user_id); drop table billing_usage; --")
    with pytest.raises(NameTaken):
        add(app, "billing_quotas", "period", "billing_usage")
    odd = add(app, "billing_quotas", "period", 'it"s; odd')
    assert odd.outcome == "built" and valid(link, 'it"s; odd') is True
    with pytest.raises(IndexNeeded, match="keeps rows unique"):
        indexes.drop_index(app, DropIndex(name="billing_usage_pkey"))
    with pytest.raises(IndexNeeded, match="belongs to the product"):
        indexes.drop_index(app, DropIndex(name="billing_intents_operation"))
    with pytest.raises(NoSuchIndex):
        indexes.drop_index(app, DropIndex(name="nowhere"))


def test_who_is_in_the_way_is_told(
    app: App, link: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "brief", lambda app: timedelta(milliseconds=200))
    monkeypatch.setattr(indexes, "PATIENCE", timedelta(milliseconds=200))
    with psycopg.connect(database, application_name="importer") as holder:
        holder.execute("insert into billing.billing_quotas values ('u', 'm', 1, 'month', 'hard', now())")
        with pytest.raises(TableBusy, match=r"pid \d+ \(importer, idle in transaction") as caught:
            add(app, "billing_quotas", "period", "held")
        assert caught.value.exit_code == 1
        assert valid(link, "held") is False
        holder.rollback()
    assert add(app, "billing_quotas", "period", "held").outcome == "rebuilt"
    assert valid(link, "held") is True


def test_a_killed_command_is_finished_by_the_next(app: App, link: psycopg.Connection, database: str) -> None:
    """Killed while the third of the months waits for a transaction."""
    months = ("2026_01", "2026_02", "2026_03")
    for at, month in enumerate(months):
        start, end = f"2026-0{at + 1}-01", f"2026-0{at + 2}-01"
        link.execute(
            f"create table if not exists billing_usage_{month} partition of billing_usage for values from ('{start}') to ('{end}')".encode()
        )
    environ = {**os.environ, "DATABASE_URL": database, "NSELF_PROJECT": str(app.project.root)}
    with psycopg.connect(database) as holder:
        holder.execute("lock table billing.billing_usage_2026_03 in row exclusive mode")
        line = [sys.executable, "-P", "-c", CLI, *shlex.split(GUIDE)[1:]]
        process = subprocess.Popen(line, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while valid(link, "billing_usage_2026_03_idx_usage_user_date") is None:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(IndexUnderWay):
            add(app, "billing_usage", "user_id,created_at", "idx_usage_user_date")
        holder.rollback()
    assert valid(link, "idx_usage_user_date") is False
    done = None
    while done is None:
        try:
            done = add(app, "billing_usage", "user_id,created_at", "idx_usage_user_date")
        except IndexUnderWay:  # the server still ends what it was told to do
            continue
    assert done.outcome == "finished" and valid(link, "idx_usage_user_date") is True
    broken = link.execute("select indexrelid::regclass from pg_index where not indisvalid").fetchall()
    assert broken == []
