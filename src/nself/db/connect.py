"""Connections and transactions. A step takes a `Tx`; only use cases and the frames above open one."""

from __future__ import annotations

import random
import select
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from psycopg.rows import args_row, class_row, tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from nself.core.clock import monotonic
from nself.db.arrays import ArrayDumper
from nself.db.server import GLANCE, Absence, DatabaseTimeout, DatabaseUnavailable, masked
from nself.measure import measures

T = TypeVar("T")
Params = Mapping[str, Any]
MAX_ATTEMPTS = 8
WAITED = 0.1
"""Seconds: a connection that had to be made took less."""
STREAMED = 1000
"""Rows that a stream fetches at once."""
TOO_LONG = ("57014", "55P03")
"""Cancelled by DB_QUERY_TIMEOUT; a lock that was not granted in time."""
ONLY_READS = "25006"
NO_RESOURCES = "53"
"""A full disk, no memory, too many connections."""

in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)
"""True while this task holds a transaction open: the Stripe gateway refuses to be called then."""


def outside_transaction() -> None:
    """The gateway calls this before each request: no transaction stays open while Stripe is asked."""
    assert not in_transaction.get(), "Stripe was called inside a database transaction"


def lost(error: psycopg.Error) -> bool:
    """Whether the connection went away, so that nobody knows what became of the statement."""
    state = error.sqlstate
    return isinstance(error, psycopg.OperationalError) and (state is None or state.startswith(("08", "57P")))


def transient(error: psycopg.Error) -> bool:
    """Whether the whole transaction may be run again (scale.md, rule 8)."""
    state = error.sqlstate
    return lost(error) or state in ("40001", "40P01") or (state == "XX000" and "essential" in str(error))


def unavailable(error: Exception) -> DatabaseUnavailable | None:
    """`error` as what it is where the database takes no commit now but may take the same one later."""
    if isinstance(error, DatabaseUnavailable):
        return error
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate or ""
    if state in TOO_LONG:
        return DatabaseTimeout(detail=str(error).strip())
    later = transient(error) or state == ONLY_READS or state.startswith(NO_RESOURCES)
    return DatabaseUnavailable(detail=str(error).strip()) if later else None


def refused(error: Exception) -> str | None:
    """Why the database does not take a row, without the row: it breaks a constraint, or a value has no room."""
    if isinstance(error, (psycopg.IntegrityError, psycopg.DataError)):
        return error.diag.message_primary or type(error).__name__
    return None


@contextmanager
def _told() -> Generator[None]:
    """A connection that is lost in the middle is told as one that cannot be made."""
    try:
        yield
    except psycopg.OperationalError as error:
        if lost(error):
            raise DatabaseUnavailable(detail=str(error).strip()) from error
        raise


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.adapters.register_dumper(list, ArrayDumper)


def _check(connection: psycopg.Connection[Any]) -> None:
    """A round trip only where something came from the server meanwhile: if only its end. Raises OperationalError."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        ConnectionPool.check_connection(connection)


class Tx:
    """One connection, speaking named queries and frozen row types. Rows: `row` is called with column names."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def all(self, query: bytes, row: type[T], **params: Any) -> list[T]:
        with self.connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(query, params).fetchall()

    def each(self, query: bytes, row: type[T], **params: Any) -> list[T]:
        """`all` where there are many: `row` is called with the columns in their order."""
        with self.connection.cursor(row_factory=args_row(row)) as cursor:
            return cursor.execute(query, params).fetchall()

    def maybe(self, query: bytes, row: type[T], **params: Any) -> T | None:
        with self.connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(query, params).fetchone()

    def one(self, query: bytes, row: type[T], **params: Any) -> T:
        found = self.maybe(query, row, **params)
        assert found is not None, f"no row from {query[:60]!r}"
        return found

    def value(self, query: bytes, **params: Any) -> Any:
        """First column of the first row, or None."""
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(query, params).fetchone()
            return found[0] if found else None

    def values(self, query: bytes, **params: Any) -> list[Any]:
        """First column of all rows."""
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return [found[0] for found in cursor.execute(query, params).fetchall()]

    def stream(self, query: bytes, row: type[T], **params: Any) -> Generator[T]:
        """Rows as they come, whatever their number; inside a transaction only."""
        with self.connection.cursor("stream", row_factory=class_row(row)) as cursor:
            cursor.itersize = STREAMED
            yield from cursor.execute(query, params)

    def run(self, query: bytes, **params: Any) -> int:
        """Number of rows touched."""
        return self.connection.execute(query, params).rowcount

    def run_many(self, query: bytes, rows: Sequence[Params]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(query, rows)

    def copy(self, query: bytes, text: bytes) -> None:
        """`COPY … FROM STDIN` with ready-made text rows."""
        with self.connection.cursor() as cursor, cursor.copy(query) as copy:
            copy.write(text)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """What is done inside is undone alone where it raises."""
        with self.connection.transaction():
            yield

    def run_new(self, query: bytes, **params: Any) -> bool:
        """`run` of a statement that stands alone, or False where a unique constraint forbids one of its rows: then it did nothing."""
        try:
            self.run(query, **params)
        except psycopg.errors.UniqueViolation:
            return False
        return True

    def copy_new(self, query: bytes, text: bytes) -> bool:
        """`copy`, or False where a unique constraint forbids one of the rows: nothing of it is kept then."""
        try:
            with self.savepoint():
                self.copy(query, text)
        except psycopg.errors.UniqueViolation:
            return False
        return True


class Database:
    """A pool of autocommit connections; `transaction()` opens a transaction, `reading()` does not."""

    def __init__(
        self,
        conninfo: str,
        *,
        size: int = 10,
        wait: float = 30.0,
        statement_timeout: float = 30.0,
        revive: Callable[[], object] | None = None,
        absence: Absence | None = None,
    ) -> None:
        """`wait` and `statement_timeout` in seconds; `revive` brings a local server up again after a lost connection."""
        options = f"-c search_path=billing,public -c timezone=UTC -c statement_timeout={int(statement_timeout * 1000)}"
        self.conninfo = conninfo
        self.revive = revive
        self.absence = absence or Absence()
        self.pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            conninfo,
            min_size=0,
            max_size=size,
            timeout=wait,
            open=False,
            reconnect_timeout=2,
            kwargs={"autocommit": True, "options": options, "application_name": "nself", "connect_timeout": 10},
            configure=_configure,
            check=_check,
        )

    @contextmanager
    def _connection(self) -> Generator[psycopg.Connection[Any]]:
        connection = self._reach()
        try:
            yield connection
        except psycopg.errors.QueryCanceled:
            measures.observe("database", ("cancelled",), 0.0)
            raise
        finally:
            self.pool.putconn(connection)

    def _reach(self) -> psycopg.Connection[Any]:
        try:
            if self.absence.tell():
                self._look()
            return self._take()
        except DatabaseUnavailable:
            if not self.revive:
                raise
            self._revive()
            return self._take()

    def _revive(self) -> None:
        if self.revive:
            with self.absence.noting():
                self.revive()

    def _take(self) -> psycopg.Connection[Any]:
        """Wait while all connections are busy, but not while the server is away: that is told within GLANCE seconds."""
        if self.pool.closed:
            self.pool.open()
        began = monotonic()
        while True:
            try:
                connection = self.pool.getconn(timeout=min(GLANCE, self.pool.timeout))
            except PoolTimeout as error:
                self._look()
                if (waited := monotonic() - began) >= self.pool.timeout:
                    measures.observe("database", ("no_connection",), waited)
                    raise DatabaseUnavailable(detail=str(error)) from error
                continue
            if (waited := monotonic() - began) >= WAITED:
                measures.observe("database", ("waited",), waited)
            return connection

    def _look(self) -> None:
        """Raises DatabaseUnavailable with the server's own reason where it grants no session."""
        with self.absence.noting():
            try:
                psycopg.connect(self.conninfo, connect_timeout=int(GLANCE) + 1).close()
            except psycopg.OperationalError as error:
                raise DatabaseUnavailable(detail=masked(self.conninfo, str(error).strip())) from error

    @contextmanager
    def reading(self) -> Generator[Tx]:
        """Autocommit: each statement stands for itself."""
        with _told(), self._statement() as tx:
            yield tx

    @contextmanager
    def _statement(self) -> Generator[Tx]:
        with self._connection() as connection:
            yield Tx(connection)

    @contextmanager
    def snapshot(self) -> Generator[Tx]:
        """Several reads of one instant: what is committed in between is seen by none of them."""
        with self.transaction() as tx:
            tx.connection.execute("set transaction isolation level repeatable read, read only")
            yield tx

    @contextmanager
    def transaction(self) -> Generator[Tx]:
        """Commits at the end of the block, rolls back on any exception."""
        with _told(), self._transaction() as tx:
            yield tx

    @contextmanager
    def _transaction(self) -> Generator[Tx]:
        with self._connection() as connection:
            token = in_transaction.set(True)
            try:
                with connection.transaction():
                    yield Tx(connection)
            finally:
                in_transaction.reset(token)

    def transact(self, work: Callable[[Tx], T], *, alone: bool = False) -> T:
        """Run `work` in a transaction, again from the start after a deadlock or a lost connection.

        `work` must be safe to repeat: a lost connection leaves open whether the commit happened. `alone`: it is one
        statement, which is a transaction without being told.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                with self._statement() if alone else self._transaction() as tx:
                    return work(tx)
            except psycopg.Error as error:
                if not transient(error):
                    raise
                if attempt == MAX_ATTEMPTS:
                    raise DatabaseUnavailable(detail=str(error).strip()) from error
                self._revive()
                time.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise AssertionError("unreachable")

    def close(self) -> None:
        self.pool.close()
