"""Every named statement is used exactly once and can be prepared against the migrated schema."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from psycopg._queries import PostgresQuery  # the driver's own conversion of %(name)s
from psycopg.adapt import Transformer

from nself.db.queries import Queries

DOMAINS = Path(__file__).parents[2] / "src/nself/domains"
FOLDERS = sorted({path.parent for path in DOMAINS.glob("*/*.sql")})
STATEMENTS = [(folder, query) for folder in FOLDERS for query in Queries(folder).by_name]
TEMPORARY = {"fill_staging", "store_staged", "classify_known"}


def test_there_are_statements() -> None:
    assert len(STATEMENTS) > 50


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_statement_is_used_exactly_once(folder: Path) -> None:
    store = (folder / "store.py").read_text(encoding="utf-8")
    used = re.findall(r'SQL\["(\w+)"\]', store)
    assert sorted(used) == sorted(Queries(folder).by_name)


def test_each_statement_can_be_prepared(database: str) -> None:
    failures: list[str] = []
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("set search_path = billing, public")
        connection.execute(Queries(DOMAINS / "usage")["make_staging"])
        for folder, name in STATEMENTS:
            text = Queries(folder)[name]
            if text.lstrip().lower().startswith(b"copy") or b"\ncopy " in text:
                continue
            names = re.findall(rb"%\((\w+)\)s", text)
            query = PostgresQuery(Transformer.from_context(connection))
            query.convert(text, {one.decode(): None for one in names})
            result = connection.pgconn.prepare(b"", query.query)
            if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
                failures.append(f"{folder.name}.{name}: {result.error_message.decode()}")
    assert failures == []


def test_schema_sql_is_the_sum_of_the_migrations(database: str) -> None:
    from schema import describe

    stored = (DOMAINS.parent / "db/schema.sql").read_text(encoding="utf-8")
    assert describe(database) == stored, "run: .venv/bin/python tests/architecture/schema.py"
