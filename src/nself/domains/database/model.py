"""What the database's use cases answer, and how they fail."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from nself.core.errors import Conflict, Denied, Unavailable


class QueryFailed(Conflict):
    code = "query_failed"
    text = "{detail}"


class QueryTimedOut(Unavailable):
    """Exit 1, as of any other statement that PostgreSQL refuses."""

    exit_code = 1
    code = "query_timed_out"
    text = "PostgreSQL cancelled the statement: it took longer than DB_QUERY_TIMEOUT ({limit})"
    hints = ("nself env set DB_QUERY_TIMEOUT=120s",)


class WriteNeeded(Denied):
    code = "write_needed"
    text = "`db query` only reads: {detail}. Add --write if you mean to change data"
    hints = ('nself db query --write "UPDATE ... WHERE ..."',)


class ConfirmationNeeded(Denied):
    code = "confirmation_needed"
    text = "In live mode --write also needs --confirm and --reason TEXT; nothing was run"
    hints = ('nself db query --write --confirm --reason "why" "UPDATE ... WHERE ..."',)


class StatementRefused(Denied):
    code = "statement_refused"
    text = "{detail}; nothing was run"


class TruncateRefused(Denied):
    code, guide = "truncate_refused", "8.1"
    text = (
        "TRUNCATE {table} is refused: it would destroy the ledger and, by cascade, all that depends on it. "
        "Test data are removed with: nself billing seed clear --confirm"
    )


class LiveRowsHere(Denied):
    code, guide = "live_rows_here", "9.1"
    text = "{table} holds rows of live mode: a database with real customers is never emptied; nothing was changed"
    hints = ("nself db test-connection", "nself env get DATABASE_URL")


READS = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN"})
"""First keywords of statements that return rows."""


class Statement(NamedTuple):
    """One statement of a text: `kind` its first keyword, `start` its place in characters."""

    text: str
    start: int
    kind: str
    words: tuple[tuple[str, int], ...]
    """Keywords and names without quotes, upper case, with the depth of parentheses around them."""

    @property
    def reads(self) -> bool:
        return self.kind in READS


class StoredTable(NamedTuple):
    """A table of the product; `has_mode`: its rows say whether they are of live mode."""

    schema: str
    name: str
    has_mode: bool


class Place(NamedTuple):
    """What is known of the server from inside."""

    version: str
    database: str
    size_bytes: int
    size: str
    connections: int
    max_connections: int
    started_at: datetime
    uptime_seconds: int


class AppliedMigration(NamedTuple):
    """A row of schema_migrations."""

    version: int
    name: str
    checksum: str


class DatabaseStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db status`."""

    server: str
    runs: str
    address: str
    database: str
    size: str
    size_bytes: int
    connections: int
    max_connections: int
    migrations_applied: int
    migrations_missing: list[str]
    migrations_changed: list[str]
    started_at: datetime
    uptime_seconds: int

    def remarks(self) -> list[str]:
        if not self.migrations_missing:
            return []
        return ["the next command that uses the tables applies the missing migrations"]


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db ping`."""

    answer: str
    milliseconds: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of `db test-connection`; `state` is ok, failed or skipped."""

    step: str
    state: str
    milliseconds: float
    detail: str


class ConnectionTest(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db test-connection`."""

    ok: bool
    runs: str
    address: str
    steps: list[Step]
    cause: str | None = None
    help: str | None = None


class DoneStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that returned no rows, in PostgreSQL's word, with the number of rows that it touched."""

    statement: str
    rows: int


class Outcome(NamedTuple):
    """What became of one statement: `rows` is None where it returns none; `more` where the limit cut."""

    tag: str
    touched: int
    columns: list[str]
    rows: list[tuple[Any, ...]] | None
    more: bool = False
