"""What the database's use cases answer, and how they fail."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from nself.core.errors import Conflict, Denied, Unavailable
from nself.core.steps import Step


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


WRAPAROUND = 2**31
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


class PlainIndex(NamedTuple):
    """What a CREATE INDEX without further ado asks for."""

    name: str
    table: str
    columns: tuple[str, ...]


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


class Strain(NamedTuple):
    """What wears the server out. `transactions_used` of WRAPAROUND ids that there are."""

    longest_transaction_seconds: float
    blocked_statements: int
    transactions_used: int
    oldest_xmin_age: int
    dead_rows: int
    live_rows: int


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
    longest_transaction_seconds: float
    blocked_statements: int
    wraparound_percent: float
    oldest_xmin_age: int
    dead_rows: int
    live_rows: int
    disk_free_bytes: int | None
    disk_total_bytes: int | None
    pool_size: int
    pool_timeout: str
    query_timeout: str

    def remarks(self) -> list[str]:
        return [note for wrong, note in self._looked_at() if wrong]

    def _looked_at(self) -> list[tuple[object, str]]:
        disk, total = self.disk_free_bytes, self.disk_total_bytes
        return [
            (self.migrations_missing, "the next command that uses the tables applies the missing migrations"),
            (
                self.connections * 10 >= self.max_connections * 8,
                "most connections are taken: nself env set BILLING_DB_POOL_SIZE=5, then nself restart billing",
            ),
            (self.blocked_statements, "statements wait for locks: nself db slow-queries --min-time 0s"),
            (self.longest_transaction_seconds >= 3600, "a transaction is open for hours: nself db slow-queries"),
            (self.wraparound_percent >= 50, "transaction ids run out: nself db vacuum"),
            (self.dead_rows > max(self.live_rows, 100_000), "more rows are dead than alive: nself db vacuum"),
            (disk is not None and total is not None and disk * 10 < total, "the disk is nearly full"),
        ]


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db ping`."""

    answer: str
    milliseconds: float


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
