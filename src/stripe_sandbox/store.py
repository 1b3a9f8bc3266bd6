"""One SQLite file (or memory) that holds everything; a process that dies at any moment leaves it whole.

All access happens on the server's one thread, so a transaction is never interleaved with another.
"""

import fcntl
import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import msgspec

Object: TypeAlias = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    data TEXT NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, deleted, n);
CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (kind, data ->> '$.customer', n);
CREATE INDEX IF NOT EXISTS objects_by_invoice ON objects (kind, data ->> '$.invoice', n);
CREATE INDEX IF NOT EXISTS objects_by_subscription ON objects (kind, data ->> '$.subscription', n);
CREATE INDEX IF NOT EXISTS objects_by_email ON objects (kind, data ->> '$.email', n)
    WHERE kind = 'customer';
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    params TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    request_id TEXT NOT NULL,
    created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    event TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    lane TEXT NOT NULL,
    rank INTEGER NOT NULL,
    state TEXT NOT NULL,
    tampering TEXT,
    due_at REAL NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at, rank) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS attempts (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery TEXT NOT NULL,
    at REAL NOT NULL,
    seconds REAL NOT NULL,
    status INTEGER,
    error TEXT
);
CREATE INDEX IF NOT EXISTS attempts_by_delivery ON attempts (delivery);
CREATE TABLE IF NOT EXISTS faults (
    id TEXT PRIMARY KEY, n INTEGER NOT NULL, remaining INTEGER NOT NULL, data TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshots (name TEXT PRIMARY KEY, at INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, standing TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS objects_by_owner ON objects (kind, data ->> '$._subscription', n)
    WHERE data ->> '$._subscription' IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_item ON objects (kind, data ->> '$._item', n)
    WHERE data ->> '$._item' IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_due ON objects (data ->> '$.test_clock', data ->> '$._due_at', n)
    WHERE data ->> '$._due_at' IS NOT NULL AND deleted = 0;
CREATE TABLE IF NOT EXISTS meter_events (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    meter TEXT NOT NULL,
    customer TEXT NOT NULL,
    at INTEGER NOT NULL,
    value TEXT NOT NULL,
    identifier TEXT NOT NULL,
    received INTEGER NOT NULL,
    canceled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS meter_events_by_time ON meter_events (meter, customer, at);
CREATE INDEX IF NOT EXISTS meter_events_by_identifier ON meter_events (identifier, received);
"""
TABLES = ("objects", "idempotency", "deliveries", "attempts", "faults", "keys", "facts", "meter_events")


class StoreInUse(Exception):
    """Another process has the file open."""


@dataclass(frozen=True)
class Condition:
    """A piece of SQL about a row of `objects`, with its arguments."""

    sql: str
    arguments: tuple[Any, ...] = ()


class Store:
    def __init__(self, path: str) -> None:
        self.base_url = "http://127.0.0.1:12111"  # where callers reach the sandbox; the last call says
        self._lock = None if path == ":memory:" else _lock_file(path)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing at NORMAL; only a power cut could lose the last commits.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def transaction(self) -> Generator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Generator[None]:
        self._db.execute("SAVEPOINT step")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO step")
            self._db.execute("RELEASE step")
            raise
        self._db.execute("RELEASE step")

    def rows(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, arguments).fetchall()

    def row(self, sql: str, *arguments: Any) -> tuple[Any, ...] | None:
        return self._db.execute(sql, arguments).fetchone()

    def run(self, sql: str, *arguments: Any) -> int:
        """The number of rows that changed."""
        return self._db.execute(sql, arguments).rowcount

    def fact(self, name: str) -> str | None:
        """What the sandbox knows about itself: its clock, its settings."""
        row = self.row("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else row[0]

    def set_fact(self, name: str, value: str) -> None:
        self.run("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def last_object(self) -> int:
        """The number of the newest object."""
        row = self.row("SELECT coalesce(max(n), 0) FROM objects")
        return row[0] if row else 0

    def event_counts(self, after: int) -> dict[str, int]:
        """By type, of those that are newer than the object numbered `after`."""
        sql = "SELECT data ->> '$.type', count(*) FROM objects WHERE kind = 'event' AND n > ? GROUP BY 1 ORDER BY 1"
        return dict(self.rows(sql, after))

    def reset(self) -> None:
        with self.transaction():
            for table in TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 names of our own

    def insert(self, obj: Object, created: int) -> None:
        self._db.execute(
            "INSERT INTO objects (kind, id, created, data) VALUES (?, ?, ?, ?)",
            (obj["object"], obj["id"], created, _encode(obj)),
        )

    def replace(self, obj: Object) -> None:
        self._db.execute(
            "UPDATE objects SET data = ? WHERE kind = ? AND id = ?", (_encode(obj), obj["object"], obj["id"])
        )

    def delete(self, obj: Object) -> None:
        """The row stays, so that cursors over it and `deleted: true` stubs keep working."""
        self._db.execute("UPDATE objects SET deleted = 1 WHERE kind = ? AND id = ?", (obj["object"], obj["id"]))

    def get(self, kind: str, identifier: str) -> tuple[Object, bool] | None:
        """The object, and whether it was deleted."""
        row = self.row("SELECT data, deleted FROM objects WHERE kind = ? AND id = ?", kind, identifier)
        return None if row is None else (msgspec.json.decode(row[0], type=dict[str, Any]), bool(row[1]))

    def position(self, kind: str, identifier: str) -> int | None:
        row = self.row("SELECT n FROM objects WHERE kind = ? AND id = ?", kind, identifier)
        return None if row is None else row[0]

    def select(
        self,
        kind: str,
        conditions: Sequence[Condition] = (),
        *,
        limit: int = -1,
        oldest_first: bool = False,
    ) -> list[Object]:
        clauses = "".join(f" AND {condition.sql}" for condition in conditions)
        arguments = [argument for condition in conditions for argument in condition.arguments]
        order = "ASC" if oldest_first else "DESC"
        rows = self._db.execute(
            f"SELECT data FROM objects WHERE kind = ? AND deleted = 0{clauses} ORDER BY n {order} LIMIT ?",  # noqa: S608
            (kind, *arguments, limit),
        )
        return [msgspec.json.decode(data, type=dict[str, Any]) for (data,) in rows]

    def count(self, kind: str, condition: Condition) -> int:
        row = self.row(
            f"SELECT count(*) FROM objects WHERE kind = ? AND deleted = 0 AND {condition.sql}",  # noqa: S608
            kind, *condition.arguments,
        )  # fmt: skip
        return row[0] if row else 0

    def counts(self) -> dict[str, int]:
        return dict(self.rows("SELECT kind, count(*) FROM objects WHERE deleted = 0 GROUP BY kind ORDER BY kind"))


def equals(field: str, value: Any) -> Condition:
    return Condition(f"data ->> '$.{field}' = ?", (value,))


def _encode(obj: Object) -> str:
    return msgspec.json.encode(obj).decode()


def _lock_file(path: str) -> IO[str]:
    """The lock belongs to the process, so the kernel gives it back however the process ends."""
    # By another name, as through a link, it is the same file.
    lock = Path(f"{os.path.realpath(path)}.lock").open("a+")  # noqa: SIM115 held until the store is closed
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        raise StoreInUse(f"{path} is in use by another stripe-sandbox (process {holder})") from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    with suppress(OSError):
        os.chmod(lock.name, 0o600)
    return lock
