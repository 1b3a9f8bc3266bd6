"""PostgreSQL's statistics and catalog, one function a query; statements whose names only the catalog knows."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.tuning.model import Counted, ForeignKey, Index, Neglected, Part, Relation, Session, Table

SQL = beside(__file__)


class StatisticsAway(Exception):
    """The server counts no statements; why, in its words."""


class Refused(Exception):
    """PostgreSQL's refusal; `sqlstate` is its code."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(error.diag.message_primary or str(error).strip())
        self.sqlstate = error.sqlstate or ""


TIMED_OUT = frozenset({"55P03", "40P01"})
"""A lock that was not granted in time; two that waited for each other."""
ONLY_READS = frozenset({"25006", "42501"})
CANCELLED = "57014"


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise Refused(error) from error


# ---- Statements ----


def has_statistics(tx: Tx) -> bool:
    return bool(tx.value(SQL["statistics_view"]))


def make_statistics_view(tx: Tx) -> None:
    """Raises StatisticsAway where this role may not."""
    try:
        tx.run(SQL["make_statistics_view"])
    except psycopg.Error as error:
        raise StatisticsAway(error.diag.message_primary or str(error)) from error


def slow_statements(tx: Tx, min_ms: float, limit: int) -> list[Counted]:
    """Raises StatisticsAway where the library was not loaded."""
    try:
        return tx.all(SQL["slow_statements"], Counted, min_ms=min_ms, limit=limit)
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise StatisticsAway(error.diag.message_primary or str(error)) from error


def statistics_since(tx: Tx) -> datetime:
    return cast(datetime, tx.value(SQL["statistics_since"]))


def forget_statements(tx: Tx) -> None:
    """Raises StatisticsAway where this role may not."""
    try:
        tx.run(SQL["forget_statements"])
    except psycopg.errors.InsufficientPrivilege as error:
        raise StatisticsAway(error.diag.message_primary or str(error)) from error


def running(tx: Tx, longer: timedelta) -> list[Session]:
    return tx.all(SQL["running"], Session, longer=longer)


# ---- Plans ----


def reading(tx: Tx) -> None:
    """The rest of this transaction can only read, and plans for any parameters."""
    tx.run(SQL["reading"])


def as_reader(tx: Tx) -> None:
    tx.run(SQL["as_reader"])


def plan(tx: Tx, statement: str, analyze: bool = False) -> dict[str, Any]:
    """PostgreSQL's plan. Raises Refused.

    Through the extended protocol, which takes one statement only, whatever the text holds.
    """
    options = "analyze, buffers, " if analyze else ""
    with _told(), tx.savepoint(), tx.connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(f"explain ({options}format json) {statement}".encode(), prepare=True)
        return cast("tuple[list[dict[str, Any]]]", cursor.fetchone())[0][0]


def generic_plan(tx: Tx, statement: str) -> dict[str, Any]:
    """The plan of a statement with `$1` … whose values nobody knows. Raises Refused."""
    with _told(), tx.savepoint():
        tx.connection.execute(b"prepare nself_explained as " + statement.encode(), prepare=True)
        try:
            count = int(tx.value(SQL["parameters"]))
            call = f"execute nself_explained({', '.join(['null'] * count)})" if count else "execute nself_explained"
            return plan(tx, call)
        finally:
            _forget_prepared(tx)


def _forget_prepared(tx: Tx) -> None:
    """A failed EXECUTE leaves the savepoint of `plan` rolled back, so that this still works."""
    tx.run(SQL["forget_prepared"])


# ---- Tables and indexes ----


def tables(tx: Tx, table: int | None = None) -> list[Table]:
    return tx.all(SQL["tables"], Table, table=table)


def relation(tx: Tx, name: str) -> Relation | None:
    """Also None for what is no name at all."""
    try:
        return tx.maybe(SQL["relation"], Relation, name=name)
    except psycopg.errors.InvalidName:
        return None
    except psycopg.errors.SyntaxError:
        return None


def view_sources(tx: Tx, view: int) -> list[str]:
    return tx.values(SQL["view_sources"], view=view)


def columns(tx: Tx, table: int) -> list[str]:
    return tx.values(SQL["columns"], table=table)


def indexes(tx: Tx, table: int | None = None) -> list[Index]:
    return tx.all(SQL["indexes"], Index, table=table)


def slow_always(tx: Tx, calls: int, milliseconds: int) -> list[Counted]:
    """Those that take most first."""
    return tx.all(SQL["slow_always"], Counted, calls=calls, milliseconds=milliseconds)


def neglected(tx: Tx, least: int) -> list[Neglected]:
    """Largest first."""
    return tx.all(SQL["neglected"], Neglected, least=least)


def foreign_keys(tx: Tx) -> list[ForeignKey]:
    return tx.all(SQL["foreign_keys"], ForeignKey)


def parts(tx: Tx, table: int, index: int) -> list[Part]:
    return tx.all(SQL["parts"], Part, table=table, index=index)


def holders(tx: Tx, table: int) -> list[Session]:
    return tx.all(SQL["holders"], Session, table=table)


# ---- Work on them, outside transactions ----


@contextmanager
def session(conninfo: str, wait: timedelta) -> Generator[Tx]:
    """A session of its own that waits this long for each lock and works as long as it takes."""
    with psycopg.connect(conninfo, autocommit=True, application_name="nself db") as connection:
        tx = Tx(connection)
        tx.run(SQL["limit_waits"], milliseconds=str(max(1, wait // timedelta(milliseconds=1))))
        yield tx


def alone(tx: Tx, table: int) -> bool:
    """Whether this session is the one that changes the table's indexes, until it ends."""
    return bool(tx.value(SQL["alone"], table=table))


def _do(tx: Tx, statement: sql.Composed) -> None:
    with _told():
        tx.connection.execute(statement)


def _name(schema: str, name: str) -> sql.Identifier:
    return sql.Identifier(schema, name)


def build_index(tx: Tx, schema: str, table: str, name: str, columns: Sequence[str]) -> None:
    """Concurrently. Raises Refused, and then may leave an invalid index."""
    text = sql.SQL("create index concurrently {name} on {table} ({columns})")
    _do(tx, text.format(name=sql.Identifier(name), table=_name(schema, table), columns=_columns(columns)))


def begin_index(tx: Tx, schema: str, table: str, name: str, columns: Sequence[str]) -> None:
    """On a partitioned table, without its partitions: invalid until each has its own. Raises Refused."""
    text = sql.SQL("create index {name} on only {table} ({columns})")
    _do(tx, text.format(name=sql.Identifier(name), table=_name(schema, table), columns=_columns(columns)))


def attach_index(tx: Tx, schema: str, name: str, part: str) -> None:
    """Raises Refused."""
    text = sql.SQL("alter index {name} attach partition {part}")
    _do(tx, text.format(name=_name(schema, name), part=_name(schema, part)))


def drop_index(tx: Tx, schema: str, name: str, concurrently: bool) -> None:
    """Raises Refused."""
    how = sql.SQL("concurrently " if concurrently else "")
    _do(tx, sql.SQL("drop index {how}{name}").format(how=how, name=_name(schema, name)))


def vacuum(tx: Tx, table: Table) -> None:
    """Raises Refused."""
    _do(tx, sql.SQL("vacuum {table}").format(table=_name(table.schema, table.name)))


def analyze(tx: Tx, table: Table) -> None:
    """Raises Refused."""
    _do(tx, sql.SQL("analyze {table}").format(table=_name(table.schema, table.name)))


def _columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
