"""Root causes of slow statements: indexes, statistics, what runs, dead rows."""

from __future__ import annotations

from datetime import timedelta

from nself import log
from nself.app import App
from nself.db.migrate import shipped_indexes
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.tuning import rules, store
from nself.domains.tuning.model import Index, Neglected

LONG = timedelta(seconds=5)
"""A statement of the product takes milliseconds, one of a report seconds."""
OWN = "nself db"
"""Sessions that make indexes, vacuum or back up: those take as long as they take."""


OFTEN, SLOW = 5, 200
"""Calls, milliseconds."""


def indexes(app: App) -> list[Index]:
    with app.db.reading() as tx:
        return store.indexes(tx)


def slow_always(look: Look) -> Evidence | None:
    with look.app.db.reading() as tx:
        if not store.has_statistics(tx):
            return None
        found = [one for one in store.slow_always(tx, OFTEN, SLOW) if rules.statement(one.query) in rules.QUICK]
    if not found:
        return None
    one = found[0]
    name = rules.statement(one.query)
    return Evidence(
        f"{name} took {one.mean_ms:.0f} ms in the mean and never less than {SLOW} ms, {one.calls} times: it takes 1 ms"
    )


def lost_index(look: Look) -> Evidence | None:
    known = look.once(indexes)
    lost = rules.lost(shipped_indexes(), known)
    if not lost:
        return None
    one = lost[0]
    more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    text = f"{one.table} has no index on {one.columns}, which the product has ({one.name}): such look-ups read all of it{more}"
    return Evidence(text, {"table": one.table, "columns": one.columns.replace(" ", ""), "index": one.name})


def broken_index(look: Look) -> Evidence | None:
    found = [one for one in look.once(indexes) if not one.valid and not one.being_built]
    if not found:
        return None
    one = found[0]
    text = f"index {one.name} of {one.table_name} is invalid: its building was broken off, no statement uses it"
    return Evidence(text, {"table": one.table_name, "columns": ",".join(one.columns), "index": one.name})


def neglected(app: App) -> list[Neglected]:
    with app.db.reading() as tx:
        return [one for one in store.neglected(tx, rules.LARGE) if rules.left_alone(one, app.clock())]


def stale_statistics(look: Look) -> Evidence | None:
    one = next((one for one in look.once(neglected) if one.changes >= rules.many(one)), None)
    if one is None:
        return None
    text = (
        f"the planner does not know of {one.changes} changes of {one.table} ({one.rows} rows) and {rules.why_left(one)}"
    )
    return Evidence(f"{text}: it guesses, and reads it in full", {"table": one.root})


def slow_now(look: Look) -> Evidence | None:
    with look.app.db.reading() as tx:
        found = [one for one in store.running(tx, LONG) if rules.works(one, OWN)]
    if not found:
        return None
    one = found[0]
    said = log.redact(rules.statement(one.query))[:120]
    text = f"process {one.pid} ({one.application or 'unnamed'}) has worked on one statement for {one.seconds or 0:.0f} s: {said}"
    return Evidence(text, {"pid": one.pid}, "likely")


def dead_rows(look: Look) -> Evidence | None:
    one = next((one for one in look.once(neglected) if one.dead >= rules.many(one)), None)
    if one is None:
        return None
    return Evidence(
        f"{one.table} has {one.dead} dead rows beside {one.rows} living ones and {rules.why_left(one)}",
        {"table": one.root},
    )


CAUSES = (
    Cause(
        id="8.1.1",
        title="Unoptimized database queries",
        detect=slow_always,
        explain=(
            "A statement that each request makes is slow each time: a trigger, a view or an index that somebody added works along, or "
            "the planner goes astray. Told apart from a lock, for which only some of the calls wait, and from one long report (8.2.3)."
        ),
        mend=("nself db slow-queries --limit 10", "nself db slow-queries --limit 10 --reset"),
        elsewhere="take away what works along with the statement: triggers on its tables, which the product has none of",
        follows=("8.1.2", "8.2.1", "8.2.2", "8.2.4"),
    ),
    Cause(
        id="8.1.2",
        title="Missing indexes",
        detect=lost_index,
        explain=(
            "An index that the product has is not there, nor another on the same columns: whoever looks something up by them reads "
            "the whole table. Told apart from an index whose building was broken off (8.2.1), which is there and serves nobody."
        ),
        mend=("nself db missing-indexes", "nself db add-index {table} --columns {columns} --name {index}"),
    ),
    Cause(
        id="8.2.1",
        title="Missing indexes",
        detect=broken_index,
        explain=(
            "An index is invalid: PostgreSQL keeps it up with each write and uses it for nothing, so that it is missing for whoever "
            "reads. It is what a CREATE INDEX CONCURRENTLY leaves that was broken off; the same command finishes it."
        ),
        mend=("nself db add-index {table} --columns {columns} --name {index}",),
        itself=True,
    ),
    Cause(
        id="8.2.2",
        title="Full table scans",
        detect=stale_statistics,
        explain=(
            "The planner's statistics are of before most of the table's rows, and autovacuum does not refresh them: it takes the "
            "table for small and reads it in full. No index is missing."
        ),
        mend=("nself db analyze {table}",),
        itself=True,
    ),
    Cause(
        id="8.2.3",
        title="Inefficient queries",
        detect=slow_now,
        explain=(
            "One statement works for seconds and does not wait for a lock: it reads or computes much more than it needs. Told apart "
            "from blocked transactions by what it waits for, which is nothing."
        ),
        mend=("nself db slow-queries --min-time 1s",),
        elsewhere="give the statement a WHERE with indexed columns, or end it: SELECT pg_cancel_backend of its process",
        follows=("8.1.2", "8.2.1", "8.2.2", "8.2.4"),
    ),
    Cause(
        id="8.2.4",
        title="Large table sizes",
        detect=dead_rows,
        explain=(
            "Rows that were deleted or replaced still take their place since nothing vacuums the table: it grows, and whoever reads "
            "it reads them too. Told apart from stale statistics (8.2.2) by the dead rows."
        ),
        mend=("nself db vacuum {table}", "nself db analyze {table}"),
        itself=True,
    ),
)
