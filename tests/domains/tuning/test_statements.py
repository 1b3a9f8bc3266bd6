"""`db slow-queries` and `db explain` against a real server."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.domains.customer import service as customer
from nself.domains.database.model import QueryFailed
from nself.domains.tuning.inputs import ExplainStatement, ListSlowStatements
from nself.domains.tuning.model import Explanation, OnlyReadsAnalyzed, SlowStatements
from nself.domains.tuning.service.explain import explain as use_explain
from nself.domains.tuning.service.statements import slow_queries as use_slow_queries

USAGE = "SELECT * FROM billing_usage WHERE user_id = 'user123' AND created_at > NOW() - INTERVAL '1 month'"


def slow(app: App, **given: Any) -> SlowStatements:
    return use_slow_queries(app, ListSlowStatements(**given))


def explain(app: App, sql: str, **given: Any) -> Explanation:
    return use_explain(app, ExplainStatement(sql=sql, **given))


def test_statements_are_told_by_their_names(app: App) -> None:
    slow(app, reset=True)
    with app.db.transaction() as tx:
        for _ in range(3):
            customer.customers_of(tx, ["nobody"], False)
    found = slow(app, limit=100)
    named = {one.statement: one for one in found.statements}
    assert named["customer.of_users"].calls == 3 and named["customer.of_users"].rows == 0
    assert not [name for name in named if name.startswith("tuning.")]
    assert found.missing is None and found.counted_since
    assert [one.total_ms for one in found.statements] == sorted(
        (one.total_ms for one in found.statements), reverse=True
    )
    assert 0 < sum(one.share for one in found.statements) <= 101


def test_what_takes_long_is_listed_and_can_be_forgotten(app: App, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("select pg_sleep(%s), 'secret of a customer'", (0.3,))
    (sleep,) = slow(app, min_time="250ms").statements
    assert sleep.statement.startswith("select pg_sleep(") and "secret" not in sleep.statement
    assert sleep.calls == 1 and sleep.max_ms >= 300
    assert len(slow(app, limit=1).statements) == 1
    assert slow(app, min_time="250ms", reset=True).statements and not slow(app, min_time="250ms").statements
    with pytest.raises(InvalidParameter):
        slow(app, min_time="soon")


def test_who_waits_for_whom(app: App, database: str) -> None:
    with psycopg.connect(database, application_name="holder") as holder:
        holder.execute("lock table billing.billing_quotas in access exclusive mode")

        def wait() -> None:
            with app.db.reading() as tx:
                tx.run(b"select /* quota.waits */ count(*) from billing_quotas")

        waiter = threading.Thread(target=wait)
        waiter.start()
        while not (found := {one.application: one for one in slow(app, min_time="1h").running}):
            pass
        holder.rollback()
        waiter.join()
    assert found["nself"].statement == "quota.waits" and found["nself"].waits_for == "Lock:relation"
    assert found["nself"].blocked_by == [found["holder"].pid]
    assert found["holder"].state == "idle in transaction" and not found["holder"].blocked_by


def test_a_foreign_server_that_counts_nothing_says_what_is_missing(app: App, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop extension pg_stat_statements")
        connection.execute("begin")
        connection.execute("select 1")
        found = slow(app, min_time="0s")
    assert "CREATE EXTENSION pg_stat_statements" in (found.missing or "") and found.remarks() == [found.missing]
    assert found.statements == [] and found.running


def test_an_embedded_server_of_an_older_version_gets_the_view(app: App, database: str) -> None:
    _ = app.db
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop extension pg_stat_statements")
    app.environ = {}  # the settings of a project without DATABASE_URL
    del vars(app)["settings"]
    assert slow(app).missing is None and slow(app).statements


def test_the_guides_statement_is_explained(app: App) -> None:
    found = explain(app, USAGE)
    assert found.milliseconds is None and found.plan and "not run" in found.plain()
    assert not [line for line in found.findings if "full scan" in line]


def fill(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table billing.events (id int primary key, a int, b int, c text)")
        connection.execute("insert into billing.events select n, n %% 500, n, 'x' from generate_series(1, 5000) n", ())
        connection.execute("analyze billing.events")


def test_a_full_scan_is_told_with_what_helps(app: App, database: str) -> None:
    fill(database)
    found = explain(app, "select * from events where a = 7 and b > 3 and c <> ''")
    assert "full scan over 5000 rows of events" in found.findings[0] and "no index on a, b" in found.findings[0]
    assert found.help == ["nself db add-index events --columns a,b --name idx_events_a_b"]
    assert explain(app, "select * from events where b > 0").help == []  # nearly all rows
    assert "no plain index" in explain(app, "select * from events where a + 1 = 7").findings[0]
    assert explain(app, "select * from events where id = 7").findings == ["uses events_pkey"]
    measured = explain(app, "select * from events where a = 7", analyze=True)
    assert measured.milliseconds and "10 found" in measured.plan[0]


def test_nothing_is_changed_by_explaining(app: App, database: str) -> None:
    fill(database)
    assert explain(app, "delete from events where a = 7").findings
    for sql in ("delete from events where a = 7", "with d as (delete from events returning a) select * from d"):
        with pytest.raises(OnlyReadsAnalyzed) as caught:
            explain(app, sql, analyze=True)
        assert caught.value.exit_code == 4
    with pytest.raises(InvalidParameter, match="at a time"):
        explain(app, "select 1; delete from events")
    with pytest.raises(InvalidParameter):
        explain(app, "drop table events")
    with pytest.raises(InvalidParameter):
        explain(app, "analyze delete from events")
    with pytest.raises(QueryFailed, match="does not exist"):
        explain(app, "select * from nowhere")
    with psycopg.connect(database) as connection:
        assert connection.execute("select count(*) from billing.events").fetchone() == (5000,)
