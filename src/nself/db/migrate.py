"""Plain SQL migrations: numbered files, a checksum each, one transaction each, one runner at a time."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from nself.core.errors import Conflict

FOLDER = Path(__file__).with_name("migrations")
LOCK = 0x6E73656C66  # "nself": any fixed number that nobody else uses


class MigrationChanged(Conflict):
    code = "migration_changed"
    text = "Migration {name} was applied with other content: the database was made by another version of nself"


class Migration(NamedTuple):
    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class ShippedIndex(NamedTuple):
    """As the migrated schema has it; `columns` as it writes them, expressions too."""

    name: str
    table: str
    columns: str
    plain: bool


INDEX = re.compile(
    r"CREATE (UNIQUE )?INDEX (\w+) ON (?:ONLY )?billing\.(\w+) USING btree \((.*?)\)( WHERE .*)?;$", re.MULTILINE
)


def shipped_indexes() -> list[ShippedIndex]:
    """Those that the product makes, but for those of constraints."""
    text = FOLDER.with_name("schema.sql").read_text(encoding="utf-8")
    return [
        ShippedIndex(name, table, columns, not unique and not where and re.fullmatch(r"[\w, ]+", columns) is not None)
        for unique, name, table, columns, where in INDEX.findall(text)
    ]


def available() -> list[Migration]:
    """All migration files in order; numbers run from 1 without a gap."""
    found: list[Migration] = []
    for path in sorted(FOLDER.glob("*.sql")):
        number = re.match(r"(\d{4})_", path.name)
        if number:
            found.append(Migration(int(number[1]), path.name, path.read_text(encoding="utf-8")))
    assert [one.version for one in found] == list(range(1, len(found) + 1)), "migration numbers have a gap"
    return found


def _applied(connection: psycopg.Connection[Any]) -> dict[int, str]:
    exists = connection.execute("select to_regclass('billing.schema_migrations')").fetchone()
    if not exists or exists[0] is None:
        return {}
    return dict(connection.execute("select version, checksum from billing.schema_migrations").fetchall())


def migrate(conninfo: str) -> list[str]:
    """Bring the database to this version; names of what was applied. Safe to run from many processes at once."""
    wanted = available()
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
        if not _check(wanted, _applied(connection)):
            return []
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))
        missing = _check(wanted, _applied(connection))
        for migration in missing:
            _apply(connection, migration)
        return [one.name for one in missing]


def _check(wanted: list[Migration], applied: dict[int, str]) -> list[Migration]:
    for migration in wanted:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationChanged(name=migration.name)
    return [one for one in wanted if one.version not in applied]


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> None:
    with connection.transaction():
        connection.execute("set local lock_timeout = '10s'")
        connection.execute("set local citus.multi_shard_modify_mode = 'sequential'")
        connection.execute("create schema if not exists billing")
        connection.execute("set local search_path = billing, public")
        connection.execute(migration.text.encode())
        connection.execute(
            "create table if not exists billing.schema_migrations"
            " (version int primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())"
        )
        connection.execute(
            "insert into billing.schema_migrations (version, name, checksum) values (%s, %s, %s)",
            (migration.version, migration.name, migration.checksum),
        )
