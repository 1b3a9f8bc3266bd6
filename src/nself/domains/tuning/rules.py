"""Reads plans and the catalog: what is slow, what is missing, what is one too many."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from nself.core.errors import InvalidParameter
from nself.db.migrate import ShippedIndex
from nself.domains.tuning.model import Counted, ForeignKey, Index, IndexAdvice, Neglected, Scan, Session, Table

NAME = re.compile(r"/\* ([a-z_]+\.\w+) \*/")
COMPARED = re.compile(r"\((?:\w+\.)?(\w+)\)?(?:::[\w ]+?)? (=|<=|>=|<|>)(?= )")
PLANNED = re.compile(r"\s*(?:/\*.*?\*/\s*)*(?:select|with|insert|update|delete|merge)\b", re.IGNORECASE | re.DOTALL)
LONGEST_NAME, LONGEST_TEXT = 63, 120
SELECTIVE = 0.1
"""An index helps where at most this share of the rows is wanted; for more, reading all is faster."""
Node = dict[str, Any]


def statement(query: str) -> str:
    """The product's name of a statement, else its text in one line."""
    found = NAME.search(query)
    if found:
        return found[1]
    text = " ".join(query.split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def plannable(query: str) -> bool:
    return PLANNED.match(query) is not None


def told(session: Session) -> str:
    """Who is in the way, in one sentence."""
    state = f"{session.state} for {session.seconds or 0:.0f} s" if session.state else "at work"
    return f"pid {session.pid} ({session.application or 'unnamed'}, {state}) runs or ran: {statement(session.query)}"


# ---- Plans ----


def nodes(plan: Node) -> Iterator[Node]:
    yield plan
    for child in cast("list[Node]", plan.get("Plans", [])):
        yield from nodes(child)


def scans(plan: Node, tables: Sequence[Table], columns: Mapping[str, Sequence[str]]) -> list[Scan]:
    """Tables of ours that the plan reads in full with a filter; partitions count as their table."""
    owner = {part: table for table in tables for part in table.parts}
    found: dict[tuple[str, str], Scan] = {}
    for node in nodes(plan):
        table = owner.get(str(node.get("Relation Name")))
        if node["Node Type"] != "Seq Scan" or table is None or "Filter" not in node:
            continue
        text = str(node["Filter"])
        equal, ranges = _compared(text, columns[table.name])
        rows = max(table.rows, 1) / max(len(table.parts), 1)
        one = Scan(table.name, text, equal, ranges, float(node["Plan Rows"]) / rows)
        found.setdefault((table.name, text), one)
    return list(found.values())


def _compared(text: str, known: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns that a filter compares: for being equal, and in a range. Nothing is said of one with OR."""
    if " OR " in text:
        return (), ()
    pairs = [(column, sign) for column, sign in COMPARED.findall(f"({text}") if column in known]
    equal = tuple(dict.fromkeys(column for column, sign in pairs if sign == "="))
    ranges = tuple(dict.fromkeys(column for column, sign in pairs if sign != "=" and column not in equal))
    return equal, ranges


def proposed(scan: Scan) -> tuple[str, ...]:
    """The columns of an index for it: those compared for being equal, then one range."""
    return scan.equal + scan.ranges[:1]


def serves(indexes: Iterable[Index], equal: Sequence[str], ranges: Sequence[str] = ()) -> Index | None:
    """A whole index that begins with the columns compared for being equal, in any order, and then has the range's."""
    for one in indexes:
        begin, then = one.columns[: len(equal)], tuple(one.columns[len(equal) : len(equal) + 1])
        if (
            one.valid
            and not one.partial
            and sorted(begin) == sorted(equal)
            and then[: len(ranges)] == tuple(ranges[:1])
        ):
            return one
    return None


def findings(
    plan: Node, tables: Sequence[Table], columns: Mapping[str, Sequence[str]], indexes: Sequence[Index], least: int
) -> tuple[list[str], list[str]]:
    """What is to be said of a plan, and the commands that help."""
    by_name = {table.name: table for table in tables}
    said, help = list[str](), list[str]()
    for scan in scans(plan, tables, columns):
        table, wanted = by_name[scan.table], proposed(scan)
        what = f"full scan over {table.rows} rows of {scan.table} for {scan.filter}"
        own = [one for one in indexes if one.table_name == scan.table]
        index = serves(own, scan.equal, scan.ranges) if wanted else None
        if index:
            said.append(f"{what}: {index.name} is not used, since so many rows are wanted or there are so few")
        elif not wanted:
            said.append(f"{what}: the filter compares no column by itself, so no plain index serves it")
        else:
            said.append(f"{what}: no index on {', '.join(wanted)}")
            if table.rows >= least and scan.kept <= SELECTIVE:
                help.append(add_command(scan.table, wanted))
    for node in nodes(plan):
        if str(node.get("Sort Method", "")).startswith("external"):
            said.append(f"a sort needs {node['Sort Space Used']} kB on disk: ask for fewer rows")
        if node.get("Rows Removed by Filter", 0) > 1000 and node["Node Type"] == "Index Scan":
            said.append(f"{node['Index Name']} finds {node['Rows Removed by Filter']} rows that its filter throws away")
    used = dict.fromkeys(str(node["Index Name"]) for node in nodes(plan) if "Index Name" in node)
    if used:
        said.append(f"uses {', '.join(used)}")
    return said or ["nothing is read in full"], list(dict.fromkeys(help))


def lines(node: Node, depth: int = 0) -> list[str]:
    """The plan as an indented text, a line a node and one for each condition."""
    where = " ".join(str(node[key]) for key in ("Index Name", "Relation Name") if key in node)
    rows = f"rows {node['Plan Rows']}"
    if "Actual Rows" in node:
        rows += (
            f" expected, {node['Actual Rows']:g} found × {node['Actual Loops']:g} in {node['Actual Total Time']:g} ms"
        )
    head = f"{'  ' * depth}{node['Node Type']}{f' on {where}' if where else ''} ({rows})"
    conditions = [
        f"{'  ' * depth}    {key}: {node[key]}" for key in ("Index Cond", "Hash Cond", "Filter") if key in node
    ]
    return [head, *conditions, *(line for child in node.get("Plans", []) for line in lines(child, depth + 1))]


# ---- Indexes ----


def index_name(table: str, columns: Sequence[str]) -> str:
    name = f"idx_{table.removeprefix('billing_')}_{'_'.join(columns)}"
    return name[:LONGEST_NAME]


def part_name(part: str, index: str) -> str:
    """The name of an index's piece on a partition: what it begins with is the partition, which is unique."""
    name = f"{part}_{index}"
    return name if len(name) <= LONGEST_NAME else f"{part[:40]}_{index[-22:]}"


def add_command(table: str, columns: Sequence[str], name: str | None = None) -> str:
    listed = shlex.quote(",".join(columns))
    return f"nself db add-index {table} --columns {listed} --name {name or index_name(table, columns)}"


def columns(text: str) -> list[str]:
    """`user_id,created_at` or `"user_id, created_at"`. Raises InvalidParameter."""
    found = [part.strip() for part in text.split(",")]
    if not all(found) or len(set(found)) < len(found) or len(found) > 32:
        raise InvalidParameter("Column names are needed, each once, like user_id,created_at", "columns")
    return found


def equal(indexes: Iterable[Index], columns: Sequence[str]) -> Index | None:
    """A valid plain index over just these columns in this order."""
    return next((one for one in indexes if one.valid and one.plain and one.columns == list(columns)), None)


def of_keys(keys: Sequence[ForeignKey], indexes: Sequence[Index]) -> Iterator[IndexAdvice]:
    """Foreign keys without an index: a delete or update in the target reads the whole table."""
    for key in keys:
        if not serves([one for one in indexes if one.table_name == key.table_name], key.columns):
            yield IndexAdvice(
                finding="foreign key",
                table=key.table_name,
                index=None,
                evidence=f"{key.name} refers to {key.target}: each delete there reads all of {key.table_name}",
                command=add_command(key.table_name, key.columns),
            )


def ships(migrations: str, index: str) -> bool:
    """Whether the product makes this index itself."""
    return re.search(rf"(?i)\bindex (?:if not exists )?{re.escape(index)}\s+on\s", migrations) is not None


def of_indexes(indexes: Sequence[Index], rows: Mapping[str, int], shipped: str, least: int) -> Iterator[IndexAdvice]:
    """Broken, double and unused ones. `shipped` is the text of all migrations: what it names is ours."""
    for one in indexes:
        own = one.of_constraint or ships(shipped, one.name)
        if not one.valid and not one.being_built:
            yield IndexAdvice(
                finding="broken", table=one.table_name, index=one.name,
                evidence="its building was broken off: it costs writes and serves nobody",
                command=add_command(one.table_name, one.columns, one.name) if one.plain and not one.unique else f"nself db drop-index {one.name}",
            )  # fmt: skip
        elif one.valid and not own and (double := _double(one, indexes)):
            yield IndexAdvice(
                finding="double", table=one.table_name, index=one.name,
                evidence=f"{double.name} ({', '.join(double.columns)}) serves the same; {one.bytes} bytes",
                command=f"nself db drop-index {one.name}",
            )  # fmt: skip
        elif one.valid and not own and not one.unique and not one.scans and rows.get(one.table_name, 0) >= least:
            yield IndexAdvice(
                finding="unused", table=one.table_name, index=one.name,
                evidence=f"never used since the statistics began; {one.bytes} bytes, and each write keeps it up",
                command=f"nself db drop-index {one.name}",
            )  # fmt: skip


def _double(one: Index, indexes: Sequence[Index]) -> Index | None:
    """Another index that begins with all columns of `one`; of two equal ones the later name is the double."""
    for other in indexes:
        same = other.oid != one.oid and other.table_name == one.table_name and other.valid and not other.partial
        if not same or not one.plain or one.unique or other.columns[: len(one.columns)] != one.columns:
            continue
        if len(other.columns) > len(one.columns) or other.of_constraint or other.name < one.name:
            return other
    return None


def of_statement(
    one: Counted, scans: Sequence[Scan], tables: Sequence[Table], indexes: Sequence[Index]
) -> Iterator[IndexAdvice]:
    """Indexes that would spare a statement a full scan: it wants few of the rows, and none of the indexes has them."""
    by_name = {table.name: table for table in tables}
    for scan in scans:
        wanted, own = proposed(scan), [index for index in indexes if index.table_name == scan.table]
        if not wanted or scan.kept > SELECTIVE or serves(own, scan.equal, scan.ranges):
            continue
        yield IndexAdvice(
            finding="missing",
            table=scan.table,
            index=None,
            evidence=f"{statement(one.query)} ran {one.calls} times, {one.mean_ms:.1f} ms each, and reads all"
            f" {by_name[scan.table].rows} rows for {scan.filter}",
            command=add_command(scan.table, wanted),
        )


def of_tables(tables: Sequence[Table], told: set[str], least: int) -> Iterator[IndexAdvice]:
    """Large tables that are mostly read in full, of which nothing better was said."""
    for one in tables:
        if one.name in told or one.rows < least or one.full_scans <= one.index_scans or one.rows_read < 10 * one.rows:
            continue
        yield IndexAdvice(
            finding="full scans",
            table=one.name,
            index=None,
            evidence=f"read in full {one.full_scans} times ({one.rows_read} rows), by index {one.index_scans} times",
            command="nself db slow-queries",
        )


# ---- Root causes ----

LARGE = 10_000
"""Rows: below that a table is read in no time, however."""
FORGOTTEN = timedelta(minutes=30)
"""Autovacuum comes every minute; a large table that changed much and was not looked after for so long, it does not reach."""


QUICK = frozenset({
    "usage.add_new", "quota.check_ready", "quota.reserve_ready", "job.claim", "webhook.claim_objects", "connection.claim",
    "document.claim", "uptime.tell",
})  # fmt: skip
"""Statements of a millisecond, that each request or each look for work makes."""


def many(one: Neglected) -> int:
    """Changes or dead rows that matter."""
    return max(LARGE, one.rows // 2)


def left_alone(one: Neglected, now: datetime) -> bool:
    """Whether nobody but an operator will look after the table."""
    looked = max(filter(None, (one.analyzed_at, one.vacuumed_at)), default=None)
    return one.left_alone or (looked is not None and looked < now - FORGOTTEN)


def why_left(one: Neglected) -> str:
    return "autovacuum is off for it" if one.left_alone else "autovacuum has not come for half an hour"


def lost(shipped: Iterable[ShippedIndex], indexes: Sequence[Index]) -> list[ShippedIndex]:
    """Indexes of the product that are not there, by name or by columns."""
    names, plain = (
        {one.name for one in indexes},
        {(one.table_name, ", ".join(one.columns)) for one in indexes if one.plain},
    )
    tables = {one.table_name for one in indexes}
    return [
        one
        for one in shipped
        if one.name not in names and one.table in tables and not (one.plain and (one.table, one.columns) in plain)
    ]


def works(one: Session, own: str) -> bool:
    """Whether a session computes: it waits neither for a lock, nor for time to pass, nor for its client, and does no upkeep."""
    waits = one.waits_for.startswith(("Lock", "Timeout", "Client"))
    return one.state == "active" and not waits and not one.application.startswith(own)


def of_neglected(found: Sequence[Neglected], lost: Sequence[ShippedIndex]) -> Iterator[IndexAdvice]:
    """What the planner does not know of, dead rows, and indexes of the product that are gone."""
    for one in found:
        if one.changes >= many(one):
            yield IndexAdvice(
                finding="stale statistics", table=one.root, index=None,
                evidence=f"{one.changes} changes of {one.table} since it was analyzed; {why_left(one)}",
                command=f"nself db analyze {one.root}",
            )  # fmt: skip
        if one.dead >= many(one):
            yield IndexAdvice(
                finding="dead rows", table=one.root, index=None,
                evidence=f"{one.dead} dead rows in {one.table}; {why_left(one)}",
                command=f"nself db vacuum {one.root}",
            )  # fmt: skip
    for gone in lost:
        yield IndexAdvice(
            finding="lost", table=gone.table, index=gone.name, evidence=f"the product has it on {gone.columns}; it was dropped",
            command=add_command(gone.table, gone.columns.split(", "), gone.name) if gone.plain else "nself db query --write 'CREATE INDEX'",
        )  # fmt: skip
