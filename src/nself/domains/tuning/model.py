"""What is known of statements, tables and indexes, what the use cases answer, and how they fail."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from nself.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable

# ---- Facts ----


class Counted(NamedTuple):
    """A statement in pg_stat_statements; `share` in percent of all time."""

    query: str
    calls: int
    total_ms: float
    mean_ms: float
    max_ms: float
    rows: int
    share: float


class Session(NamedTuple):
    """What another session does, or did before it fell idle in a transaction."""

    pid: int
    application: str
    state: str
    seconds: float | None
    waits_for: str
    blocked_by: list[int]
    query: str


class Table(NamedTuple):
    """A table with its partitions, as one."""

    oid: int
    schema: str
    name: str
    partitioned: bool
    rows: int
    dead_rows: int
    full_scans: int
    rows_read: int
    index_scans: int
    bytes: int
    parts: list[str]


class Neglected(NamedTuple):
    """A table, or a partition of `root`; `changes` since it was analyzed, `left_alone` where autovacuum is off for it."""

    table: str
    root: str
    rows: int
    dead: int
    changes: int
    left_alone: bool
    analyzed_at: datetime | None
    vacuumed_at: datetime | None


class Relation(NamedTuple):
    """What a name stands for; `kind` is r, p (partitioned), v, m, i …"""

    oid: int
    kind: str
    is_partition: bool
    schema: str
    name: str


class Index(NamedTuple):
    """`plain`: a b-tree over whole columns, of all rows; `columns` has '' for an expression."""

    oid: int
    table_name: str
    name: str
    valid: bool
    unique: bool
    plain: bool
    partial: bool
    columns: list[str]
    of_constraint: bool
    being_built: bool
    scans: int
    bytes: int
    definition: str


class ForeignKey(NamedTuple):
    table_name: str
    name: str
    target: str
    columns: list[str]


class Part(NamedTuple):
    """A partition; `attached` is its index that belongs to the index in question."""

    oid: int
    schema: str
    name: str
    attached: int | None
    partitioned: bool


class Scan(NamedTuple):
    """A table that a plan reads in full: `kept` of its rows pass the filter over these columns."""

    table: str
    filter: str
    equal: tuple[str, ...]
    ranges: tuple[str, ...]
    kept: float


# ---- Answers ----


class SlowStatement(msgspec.Struct, frozen=True, kw_only=True):
    """`statement` is the product's name of it, like usage.claim, else its text; `share` in percent of all time."""

    statement: str
    calls: int
    total_ms: int
    mean_ms: float
    max_ms: float
    rows: int
    share: float


class RunningStatement(msgspec.Struct, frozen=True, kw_only=True):
    """`waits_for` as PostgreSQL calls it (Lock:relation); `blocked_by` are process ids."""

    pid: int
    application: str
    state: str
    seconds: float
    waits_for: str | None
    blocked_by: list[int]
    statement: str


class SlowStatements(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db slow-queries`."""

    statements: list[SlowStatement]
    running: list[RunningStatement]
    counted_since: str | None
    missing: str | None = None
    """Why the server counts no statements."""

    def remarks(self) -> list[str]:
        return [self.missing] if self.missing else []


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db explain`: what is to be said of the plan, its lines, and times where it was run."""

    findings: list[str]
    help: list[str]
    plan: list[str]
    rows: int
    cost: float
    milliseconds: float | None

    def plain(self) -> str:
        took = f"took {self.milliseconds:g} ms" if self.milliseconds is not None else "not run; --analyze measures it"
        lines = [
            *self.findings,
            *(f"  {line}" for line in self.help),
            f"{self.rows} rows expected; {took}",
            "",
            *self.plan,
        ]
        return "\n".join(lines)


class IndexAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """`finding` is missing, foreign key, broken, double, unused, full scans, lost, stale statistics or dead rows; `command` is ready to paste."""

    finding: str
    table: str
    index: str | None
    evidence: str
    command: str


class AddedIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db add-index`; `outcome` is built, rebuilt, finished (what a killed attempt began), stands or equal."""

    table: str
    index: str
    columns: list[str]
    outcome: str
    partitions: int
    bytes: int
    seconds: float
    note: str | None = None


class DroppedIndex(msgspec.Struct, frozen=True, kw_only=True):
    table: str
    index: str
    definition: str


class TableUpkeep(msgspec.Struct, frozen=True, kw_only=True):
    """A row a table of `db vacuum` and `db analyze`; bytes with indexes."""

    table: str
    done: str
    rows: int
    dead_before: int
    dead_after: int
    bytes_before: int
    bytes_after: int
    seconds: float
    note: str


# ---- Failures ----


class NoSuchTable(NotFound):
    code, guide = "no_such_table", "8.2"
    text = "There is no table {name} here{near}"
    hints = ("nself db query 'select tablename from pg_tables order by 1'",)


class NotATable(Invalid):
    code, guide = "not_a_table", "8.2"
    text = "{name} is a {kind}{sources}: only tables have indexes and dead rows"


class NoSuchColumn(Invalid):
    code, guide = "no_such_column", "8.2"
    text = "{table} has no column {column}. It has: {known}"


class NameTaken(Conflict):
    code, guide = "index_name_taken", "8.2"
    text = "{name} exists already and is something else: {what}. Choose another --name"
    hints = ("nself db missing-indexes",)


class NoSuchIndex(NotFound):
    code, guide = "no_such_index", "8.2"
    text = "There is no index {name} on a table of the product"
    hints = ("nself db missing-indexes",)


class IndexNeeded(Denied):
    code, guide = "index_needed", "8.2"
    text = "{name} {why}; nothing was dropped"


class IndexUnderWay(Conflict):
    code, guide = "index_under_way", "8.2"
    text = "Another command works on the indexes of {table} right now; repeat this one afterwards"
    hints = ("nself db slow-queries",)


class TableBusy(Unavailable):
    """Exit 1: the database is there, somebody is in the way."""

    exit_code = 1
    code, guide = "table_busy", "8.2"
    text = "{table} was locked for longer than {limit}. {who}. Nothing is lost: the same command goes on where this one ended"
    hints = ("nself db slow-queries",)


class IndexFailed(Conflict):
    code, guide = "index_failed", "8.2"
    text = "The index could not be made: {detail}"


class OnlyReadsAnalyzed(Denied):
    code, guide = "only_reads_analyzed", "8.2"
    text = "--analyze runs the statement, so it takes only what reads: {detail}"
