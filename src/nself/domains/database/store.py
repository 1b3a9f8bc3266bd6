"""The database as seen from outside and inside: one function a query, one for each step of a connection."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.database.model import AppliedMigration, Outcome, Place, PlainIndex, Statement, StoredTable, Strain

SQL = beside(__file__)
PLAIN = (str, bool, int, float, datetime, date, time, timedelta, UUID, dict, type(None))
CONNECT_SECONDS = 5
CANCELLED = "57014"
ONLY_READS = frozenset({"25006", "42501"})
"""The transaction is read-only; the role that a superuser steps down to may not."""


class Refused(Exception):
    """PostgreSQL's refusal of a statement: its words, its code, the character that it points at, from 0."""

    def __init__(self, statement: Statement, error: psycopg.Error) -> None:
        diagnosis = error.diag
        parts = (
            diagnosis.message_primary or str(error).strip(),
            diagnosis.message_detail,
            diagnosis.message_hint,
        )
        super().__init__(". ".join(part.rstrip(".") for part in parts if part))
        self.sqlstate = error.sqlstate or ""
        position = diagnosis.statement_position
        self.place = statement.start + int(position) - 1 if position else None


def place(tx: Tx) -> Place:
    return tx.one(SQL["place"], Place)


def strain(tx: Tx) -> Strain:
    return tx.one(SQL["strain"], Strain)


def free_bytes(folder: Path) -> tuple[int, int]:
    """Free and total bytes of the disk that holds it. Raises OSError."""
    found = shutil.disk_usage(folder)
    return found.free, found.total


def migrations(tx: Tx) -> list[AppliedMigration]:
    """None in a database that was never migrated."""
    if not tx.value(SQL["has_migrations"]):
        return []
    return tx.all(SQL["migrations"], AppliedMigration)


def ping(tx: Tx) -> int:
    return int(tx.value(SQL["ping"]))


def has_index(tx: Tx, index: PlainIndex) -> bool:
    """Whether just this index stands, valid."""
    return bool(tx.value(SQL["same_index"], name=index.name, table=index.table, columns=list(index.columns)))


def make_read_only(tx: Tx) -> None:
    """The rest of this transaction can only read; the server sees to it."""
    tx.run(SQL["read_only"])


def run(tx: Tx, statement: Statement, limit: int) -> Outcome:
    """One statement in a transaction that may write: runs to its end, keeps `limit` rows. Raises Refused."""
    try:
        with tx.connection.cursor(row_factory=tuple_row) as cursor:
            if statement.reads:
                return _fetch(cursor, statement, limit, to_the_end=True)
            cursor.execute(statement.text.encode(), prepare=True)
            tag = (cursor.statusmessage or statement.kind).rstrip(" 0123456789")
            rows = [tuple(map(_plain, row)) for row in cursor.fetchmany(limit)] if cursor.description else None
            touched = max(cursor.rowcount, 0)
            return Outcome(tag, touched, _names(cursor), rows, rows is not None and touched > limit)
    except psycopg.Error as error:
        raise Refused(statement, error) from error


def read(tx: Tx, statement: Statement, limit: int) -> Outcome:
    """One statement in a read-only transaction; cancelled where it has more rows. Raises Refused."""
    try:
        with tx.connection.transaction(), tx.connection.cursor(row_factory=tuple_row) as cursor:
            outcome = _fetch(cursor, statement, limit, to_the_end=False)
            if outcome.more:
                raise psycopg.Rollback  # a cancelled statement leaves its savepoint unusable
        return outcome
    except psycopg.Error as error:
        raise Refused(statement, error) from error


def _fetch(cursor: psycopg.Cursor[tuple[Any, ...]], statement: Statement, limit: int, to_the_end: bool) -> Outcome:
    """Row by row, so that memory holds `limit` of them, however many there are."""
    rows: list[tuple[Any, ...]] = []
    count = 0
    stream = cast("Generator[tuple[Any, ...]]", cursor.stream(statement.text.encode()))
    with closing(stream):
        for row in stream:
            count += 1
            if count <= limit:
                rows.append(tuple(map(_plain, row)))
            elif not to_the_end:
                break
        names = _names(cursor)
    return Outcome(statement.kind, count, names, rows, count > limit)


def _names(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[str]:
    return [column.name for column in cursor.description or ()]


def _plain(value: Any) -> Any:
    """A value that every format can print; whole numerics (sums of bigint) become integers."""
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value.as_tuple().exponent == 0 else value
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, list):
        return [_plain(one) for one in cast("list[Any]", value)]
    return cast("Any", value) if isinstance(value, PLAIN) else str(value)


# ---- All tables at once: their names come from the catalog, quoted there ----


def tables(tx: Tx) -> list[StoredTable]:
    return tx.all(SQL["tables"], StoredTable)


def filled(tx: Tx, tables: Sequence[StoredTable]) -> list[StoredTable]:
    """Those that hold any row."""
    return _those_with(tx, tables, sql.SQL("true"))


def with_live_rows(tx: Tx, tables: Sequence[StoredTable]) -> list[StoredTable]:
    return _those_with(tx, [one for one in tables if one.has_mode], sql.SQL("livemode"))


def _those_with(tx: Tx, tables: Sequence[StoredTable], condition: sql.SQL) -> list[StoredTable]:
    part = sql.SQL("select {at} where exists (select from {table} where {condition})")
    parts = [part.format(at=sql.Literal(at), table=_name(one), condition=condition) for at, one in enumerate(tables)]
    rows = tx.connection.execute(sql.SQL(" union all ").join(parts)).fetchall() if parts else []
    return [tables[int(row[0])] for row in rows]


def empty(tx: Tx, tables: Sequence[StoredTable]) -> None:
    """Forget every row of these tables and of those that refer to them; identities begin at 1 again."""
    names = sql.SQL(", ").join(map(_name, tables))
    tx.connection.execute(sql.SQL("truncate {names} restart identity cascade").format(names=names))


def _name(table: StoredTable) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


# ---- The steps of a connection ----


def targets(conninfo: str) -> list[tuple[str, str]]:
    """Host and port of each server that `conninfo` names. Raises ValueError."""
    try:
        parts = conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
    hosts = str(parts.get("hostaddr") or parts.get("host") or "").split(",")
    ports = str(parts.get("port") or "5432").split(",")
    return [(host, ports[at] if at < len(ports) else ports[-1]) for at, host in enumerate(hosts)]


def resolve(host: str, port: str) -> list[tuple[Any, ...]]:
    """The addresses of a host: family, type, protocol, name, address. Raises OSError."""
    if host.startswith("/"):
        path = Path(host) / f".s.PGSQL.{port}"
        return [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", str(path))]
    return list(socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM))


def reach(addresses: list[tuple[Any, ...]]) -> str:
    """Open a connection to the first address that takes one and close it. Raises OSError."""
    failed: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        with socket.socket(family, kind, protocol) as link:
            link.settimeout(CONNECT_SECONDS)
            try:
                link.connect(address)
                return address if isinstance(address, str) else f"{address[0]} port {address[1]}"
            except OSError as error:
                failed = error
    raise failed or OSError("the name has no address")


@contextmanager
def session(conninfo: str) -> Generator[Tx]:
    """A session outside the pool. Raises OSError with the server's words."""
    try:
        connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.Error as error:
        raise OSError(" ".join(str(error).split())) from error
    with connection:
        yield Tx(connection)
