"""A database of the first schema, made and filled by the product of that time, is brought forward without losing a row.

schema_0008.sql.gz is pg_dump's text of the demonstration's database (four paid invoices) at the first commit whose
migrations are those of today.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from nself.app import App
from nself.core.project import Project
from nself.db.migrate import available, migrate
from nself.domains.usage.inputs import UsageStatus
from nself.domains.usage.service import show as usage
from nself.registry import Registry

FIRST = Path(__file__).with_name("schema_0008.sql.gz")
LINES = "billing.billing_invoice_plan_lines"
MOVED = {f"{LINES}.rate", f"{LINES}.per"}
"""They stand in `price` since there are more ways to price than one rate."""
COLUMNS = """
select format('%I.%I', n.nspname, c.relname), array_agg(a.attname::text order by a.attnum)
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname in ('billing', 'auth') and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'schema_migrations'
group by 1 order by 1
"""


@pytest.fixture
def first(server: str) -> Iterator[str]:
    """Conninfo of a database as the first release left it."""
    name = f"upgrade_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as link:
        link.execute(f"create database {name}".encode())
        conninfo = make_conninfo(server, dbname=name)
        with psycopg.connect(conninfo) as fresh:
            fresh.execute("set check_function_bodies = off")
            fresh.execute(gzip.decompress(FIRST.read_bytes()))
        yield conninfo
        link.execute(f"drop database {name} with (force)".encode())


def query(conninfo: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as link:
        return link.execute(statement.encode()).fetchall()


def columns(conninfo: str) -> dict[str, list[str]]:
    return dict(query(conninfo, COLUMNS))


def content(conninfo: str, wanted: dict[str, list[str]]) -> dict[str, list[Any]]:
    """The rows of tables, in these columns, in one order."""
    found: dict[str, list[Any]] = {}
    for table, names in wanted.items():
        listed = ", ".join(f'"{name}"' for name in names)
        found[table] = query(conninfo, f"select row_to_json(t)::text from (select {listed} from {table}) t order by 1")
    return found


def test_the_first_schema_comes_forward_with_its_data(first: str, tmp_path: Path, registry: Registry) -> None:
    before = columns(first)
    kept = {table: [name for name in names if f"{table}.{name}" not in MOVED] for table, names in before.items()}
    rows = content(first, kept)
    assert sum(map(len, rows.values())) > 500 and len(rows["billing.billing_invoices"]) == 4
    prices = query(first, f"select operation, metric_type, rate::text, per from {LINES} order by 1, 2")
    assert migrate(first) == [one.name for one in available()[8:]] and migrate(first) == []
    assert {
        f"{table}.{name}" for table, names in before.items() for name in {*names} - {*columns(first)[table]}
    } == MOVED
    for table, found in content(first, kept).items():
        assert found == rows[table], table
    tier = "price -> 'tiers' -> 0"
    now = f"select operation, metric_type, {tier} ->> 'amount', ({tier} ->> 'per')::bigint from {LINES} order by 1, 2"
    assert query(first, now) == prices and len(prices) >= 4
    app = App(Project(tmp_path), registry, environ={"DATABASE_URL": first})
    law = usage.status(app, UsageStatus())
    assert law.balanced and law.accepted == 240
    app.close()
