"""What shows that the database is slow, and why; what only looks like it."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime, timedelta

import psycopg

from nself.app import App
from nself.db.migrate import shipped_indexes
from nself.diagnosis import Look
from nself.domains.tuning import rules, store
from nself.domains.tuning.model import Neglected, Session
from nself.domains.tuning.service import causes

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WORK = "select count(*) from (select generate_series(1, 1000000000)) work"


def test_every_index_of_the_product_is_known_and_there(app: App) -> None:
    assert len(shipped_indexes()) > 30
    look = Look(app)
    found = [
        cause(look) for cause in (causes.lost_index, causes.broken_index, causes.stale_statistics, causes.dead_rows)
    ]
    assert found == [None] * 4


def test_a_lost_index_is_named_and_another_on_its_columns_does(app: App) -> None:
    with app.db.transaction() as tx:
        tx.connection.execute("drop index billing_invoices_customer")
    found = causes.lost_index(Look(app))
    assert found and found.fields == {
        "table": "billing_invoices", "columns": "customer_id,created_at", "index": "billing_invoices_customer",
    }  # fmt: skip
    with app.db.transaction() as tx:
        tx.connection.execute("create index another on billing_invoices (customer_id, created_at)")
    assert causes.lost_index(Look(app)) is None


def test_an_index_that_was_broken_off_is_told(app: App) -> None:
    with app.db.transaction() as tx:
        tx.connection.execute("create index half on billing_jobs (type, due_at)")
        tx.connection.execute("update pg_index set indisvalid = false where indexrelid = 'half'::regclass")
    found = causes.broken_index(Look(app))
    assert found and found.fields == {"table": "billing_jobs", "columns": "type,due_at", "index": "half"}
    assert causes.lost_index(Look(app)) is None


def table(
    *, rows: int = 0, dead: int = 0, changes: int = 0, alone: bool = False, looked: datetime | None = NOW
) -> Neglected:
    return Neglected("t", "t", rows, dead, changes, alone, looked, None)


def test_a_table_is_neglected_where_nobody_will_come() -> None:
    assert not rules.left_alone(table(), NOW + timedelta(minutes=5))
    assert not rules.left_alone(table(looked=None), NOW)
    assert rules.left_alone(table(), NOW + timedelta(hours=1))
    assert rules.left_alone(table(alone=True), NOW)
    assert rules.many(table(rows=100)) == rules.LARGE
    assert rules.many(table(rows=100_000)) == 50_000


def test_who_computes_works_and_who_waits_does_not() -> None:
    def session(**given: str) -> Session:
        known = {"application": "psql", "state": "active", "waits_for": "", "query": "select"} | given
        return Session(pid=1, seconds=9.0, blocked_by=[], **known)  # type: ignore[arg-type]

    assert rules.works(session(), causes.OWN)
    assert not rules.works(session(waits_for="Lock:relation"), causes.OWN)
    assert not rules.works(session(waits_for="Timeout:PgSleep"), causes.OWN)
    assert not rules.works(session(state="idle in transaction"), causes.OWN)
    assert not rules.works(session(application="nself db"), causes.OWN)


def test_a_statement_that_works_is_seen(app: App, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as worker, app.db.reading() as tx:
        thread = threading.Thread(target=_until_cancelled, args=(worker,))
        thread.start()
        try:
            while not (found := store.running(tx, timedelta(0))):
                pass
        finally:
            worker.cancel()
            thread.join()
    assert rules.works(found[0], causes.OWN)


def _until_cancelled(worker: psycopg.Connection[object]) -> None:
    with contextlib.suppress(psycopg.errors.QueryCanceled):
        worker.execute(WORK)  # type: ignore[arg-type]


def test_a_statement_that_is_always_slow_is_told_from_one_that_was_slow_once(app: App) -> None:
    with app.db.transaction() as tx:
        causes.store.make_statistics_view(tx)
        causes.store.forget_statements(tx)
        for _ in range(5):
            tx.connection.execute("select /* usage.add_new */ pg_sleep(0.21)")
        for seconds in (0.3, 0, 0, 0, 0):
            tx.connection.execute("select /* job.claim */ pg_sleep(%s)", (seconds,))
    found = causes.slow_always(Look(app))
    assert found and found.text.startswith("usage.add_new")
    with app.db.transaction() as tx:
        causes.store.forget_statements(tx)
    assert causes.slow_always(Look(app)) is None
