"""`nself db query` against a real server."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from nself.app import App
from nself.cli import render
from nself.core.entrypoint import Rows
from nself.core.errors import BillingError
from nself.core.settings import Settings, Value
from nself.domains.database import service
from nself.domains.database.inputs import Query
from nself.domains.database.model import (
    ConfirmationNeeded,
    DoneStatement,
    QueryFailed,
    QueryTimedOut,
    TruncateRefused,
    WriteNeeded,
)

DUPLICATE = """
  UPDATE billing_webhook_events
  SET status = 'duplicate'
  WHERE event_id = 'evt_123' AND id != (
    SELECT MIN(id) FROM billing_webhook_events WHERE event_id = 'evt_123'
  )
"""
INDEXES = """
  CREATE INDEX idx_billing_usage_user_date
  ON billing_usage(user_id, created_at);

  CREATE INDEX idx_billing_subscriptions_customer
  ON billing_subscriptions(customer_id, status);
"""


def ask(app: App, sql: str, **flags: Any) -> Rows:
    found = service.query(app, Query(sql=sql, **flags))
    assert isinstance(found, Rows)
    return found


def do(app: App, sql: str, **flags: Any) -> list[DoneStatement]:
    found = service.query(app, Query(sql=sql, **flags))
    assert isinstance(found, list) and not isinstance(found, Rows)
    return found


def setting(app: App, **values: str) -> None:
    url = app.settings.text("DATABASE_URL")
    given = {name: Value(text, "environment") for name, text in {"DATABASE_URL": url, **values}.items()}
    vars(app)["settings"] = Settings([given])


@pytest.fixture
def table(app: App, database: str) -> str:
    """Three rows in billing.t."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table billing.t (a int primary key, b text)")
        connection.execute("insert into billing.t values (1, 'one'), (2, 'two'), (3, 'three')")
    return "t"


def count(database: str) -> int:
    with psycopg.connect(database) as connection:
        found = connection.execute("select count(*) from billing.t").fetchone()
        assert found
        return int(found[0])


def test_rows_come_as_table_json_and_csv(app: App, table: str) -> None:
    rows = ask(app, "SELECT a, b FROM t\nORDER BY a; ")
    assert list(render.text(rows, "table")) == ["a  b", "1  one", "2  two", "3  three"]
    assert json.loads("\n".join(render.text(rows, "json")))[0] == {"a": 1, "b": "one"}
    assert list(render.text(rows, "csv")) == ["a,b", "1,one", "2,two", "3,three"]
    assert rows.remarks() == []


def test_values_of_every_kind_can_be_printed(app: App) -> None:
    sql = """select 1 as a, 2 as a, sum(n) as total, 1.50 as rate, null as nothing, true as yes,
        '{"x": 1}'::jsonb as doc,
        array[1.5, 2] as list, '\\xff00'::bytea as raw, '10.0.0.1'::inet as net, '[1,3)'::int4range as span,
        now() as at, interval '1 day' as wait, 'NaN'::numeric as nan, '100%' as percent
        from (values (1::bigint), (2)) v(n)"""
    (row,) = ask(app, sql)
    assert (row["a"], row["a_2"], row["total"], row["rate"]) == (1, 2, 3, Decimal("1.50"))
    assert isinstance(row["total"], int) and row["raw"] == "\\xff00" and row["percent"] == "100%"
    for format in render.FORMATS:
        assert list(render.text(Rows([row], []), format))


def test_the_server_itself_refuses_to_write(app: App, table: str, database: str) -> None:
    """What the rules take for reading and is not."""
    for sql in (
        "with d as (delete from t where true returning a) select * from d",
        "with d as (insert into t values (9) returning a) table d",
        "select nextval('billing.snapshot_numbers')",
        "explain analyze delete from t where a = 1",
        "select a into copied from t",
    ):
        with pytest.raises(WriteNeeded, match="only reads: "):
            ask(app, sql)
    assert count(database) == 3


def test_a_reading_transaction_cannot_be_made_writable(app: App, table: str, database: str) -> None:
    with pytest.raises(BillingError, match="read-write mode"):
        ask(
            app,
            "select set_config('transaction_read_only', 'off', true); with d as (delete from t where true) select 1",
        )
    assert count(database) == 3


def test_a_reading_superuser_steps_down(app: App) -> None:
    assert ask(app, "select current_user as name")[0]["name"] == "pg_read_all_data"
    with pytest.raises(WriteNeeded, match="permission denied"):
        ask(app, "select pg_read_file('/etc/hostname')")
    assert ask(app, "select count(*) as users from auth.users") == [{"users": 0}]


def test_the_guides_statements_run_as_printed(app: App, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table if not exists billing.billing_subscriptions (customer_id text, status text)")
    assert do(app, DUPLICATE) == [DoneStatement(statement="UPDATE", rows=0)]
    assert [one.statement for one in do(app, INDEXES)] == ["CREATE INDEX", "CREATE INDEX"]
    assert [one.statement for one in do(app, INDEXES)] == [
        "CREATE INDEX idx_billing_usage_user_date: it stands already",
        "CREATE INDEX idx_billing_subscriptions_customer: it stands already",
    ]
    with pytest.raises(QueryFailed, match="already exists"):
        do(app, "CREATE INDEX idx_billing_usage_user_date ON billing_usage(user_id, metric_type)")
    with pytest.raises(TruncateRefused, match="nself billing seed clear --confirm") as caught:
        ask(app, "TRUNCATE TABLE billing_transactions CASCADE")
    assert caught.value.exit_code == 4
    sizes = ask(
        app,
        """
        SELECT schemaname, tablename,
          pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) AS size
        FROM pg_tables WHERE schemaname = 'billing'
        ORDER BY pg_total_relation_size(schemaname||'.'||tablename) DESC;
        """,
    )
    assert "billing_usage" in [row["tablename"] for row in sizes]
    assert ask(app, "SELECT COUNT(*) FROM billing_usage WHERE created_at > NOW() - INTERVAL '1 hour'") == [{"count": 0}]


def test_rows_touched_are_told(app: App, table: str, database: str) -> None:
    assert do(app, "update t set b = 'x' where a < 3") == [DoneStatement(statement="UPDATE", rows=2)]
    mixed = ask(
        app,
        "delete from t where a = 1; insert into t values (7) returning a; select count(*) from t where a = 99",
    )
    assert mixed == [{"count": 0}]
    assert mixed.remarks() == ["DELETE: 1 rows", "INSERT: 1 rows"]
    returned = ask(app, "delete from t where a > 1 returning a", limit=1)
    assert len(returned) == 1 and returned.remarks()[0] == "DELETE: 3 rows"
    assert count(database) == 0


def test_all_or_nothing(app: App, table: str, database: str) -> None:
    with pytest.raises(QueryFailed, match="duplicate key"):
        do(app, "delete from t where a = 1; insert into t values (2)")
    assert count(database) == 3


def test_live_mode(app: App, table: str, database: str) -> None:
    setting(app, STRIPE_MODE="live")
    update = "update t set b = 'x' where a = 1"
    with pytest.raises(WriteNeeded):
        do(app, update)
    with pytest.raises(ConfirmationNeeded):
        do(app, update, write=True)
    assert do(app, update, write=True, confirm=True, reason="mend one row")[0].rows == 1
    assert len(ask(app, "select * from t where b = 'x'")) == 1


def test_the_limit_is_told_and_memory_stays_small(app: App, table: str) -> None:
    started = time.monotonic()
    many = ask(app, "select generate_series(1, 1000000000) as n; select a from t order by a", limit=2)
    assert [row["a"] for row in many] == [1, 2]
    assert "only the first 2 rows are shown: --limit 20 shows more" in many.remarks()
    capped = ask(app, "select generate_series(1, 1000000000) as n", limit=5)
    assert [row["n"] for row in capped] == [1, 2, 3, 4, 5]
    assert time.monotonic() - started < 60
    assert ask(app, "select 1 as a", limit=1).remarks() == []
    # In a transaction that writes nothing is cancelled: it would take the change before it along.
    slow = "select generate_series(1, 10), repeat('x', 20000), pg_sleep(0.05)"
    written = ask(app, f"delete from t where true; {slow}", limit=1)
    assert len(written) == 1 and "only the first 1 rows" in written.remarks()[-1]
    assert ask(app, "select count(*) from t") == [{"count": 0}]


def test_sql_errors_point_at_the_place(app: App) -> None:
    with pytest.raises(QueryFailed) as caught:
        ask(app, "select 1;\nselect *\n  from nope")
    assert caught.value.message == 'relation "nope" does not exist (line 3, column 8)\n    from nope\n         ^'
    assert caught.value.exit_code == 1
    with pytest.raises(QueryFailed, match="division by zero"):
        ask(app, "select 1/0")
    with pytest.raises(QueryFailed, match="unterminated quoted string"):
        ask(app, "select 'never closed ; select 2")
    assert ask(app, "select 1 as a") == [{"a": 1}]


def test_statement_timeout(app: App) -> None:
    setting(app, DB_QUERY_TIMEOUT="100ms")
    with pytest.raises(QueryTimedOut, match=r"DB_QUERY_TIMEOUT \(100ms\)") as caught:
        ask(app, "select pg_sleep(30)")
    assert caught.value.exit_code == 1


def test_no_rows(app: App, table: str) -> None:
    rows = ask(app, "select a from t where a = 99")
    assert list(render.text(rows, "table")) == ["none"]
    assert list(render.text(rows, "json")) == ["[]"]
