"""Which indexes are missing, broken, double or unused: from what really ran, as the planner sees it."""

from __future__ import annotations

from nself.app import App
from nself.core.entrypoint import Rows
from nself.db.connect import Tx
from nself.db.migrate import available, shipped_indexes
from nself.domains.tuning import rules, store
from nself.domains.tuning.inputs import FindMissingIndexes
from nself.domains.tuning.model import Counted, Index, IndexAdvice, Table
from nself.domains.tuning.service.statements import ensure_statistics

MOST_STATEMENTS = 300


def missing_indexes(app: App, given: FindMissingIndexes) -> Rows[IndexAdvice]:
    """Raises DatabaseUnavailable."""
    notes, counted = list[str](), list[Counted]()
    with app.db.reading() as tx:
        try:
            ensure_statistics(app, tx)
            counted = store.slow_statements(tx, 0, MOST_STATEMENTS)
        except store.StatisticsAway as away:
            notes.append(f"which statements ran is not known here, so no advice comes from them: {away}")
    with app.db.transaction() as tx:
        tables, indexes, keys = store.tables(tx), store.indexes(tx), store.foreign_keys(tx)
        store.reading(tx)
        neglected = [one for one in store.neglected(tx, rules.LARGE) if rules.left_alone(one, app.clock())]
        found = _of_statements(tx, counted, tables, indexes, given.min_rows)
    shipped = "\n".join(one.text for one in available())
    rows = {table.name: table.rows for table in tables}
    advice = [
        *found,
        *rules.of_keys(keys, indexes),
        *rules.of_indexes(indexes, rows, shipped, given.min_rows),
        *rules.of_neglected(neglected, rules.lost(shipped_indexes(), indexes)),
        *rules.of_tables(tables, {one.table for one in found}, given.min_rows),
    ]
    if not advice:
        notes.append(
            f"none is missing by {len(counted)} statements that ran, {len(tables)} tables, {len(indexes)} indexes"
        )
    return Rows(advice, notes)


def _of_statements(
    tx: Tx, counted: list[Counted], tables: list[Table], indexes: list[Index], least: int
) -> list[IndexAdvice]:
    """Step: what statements read in full for few rows, once an index; the statement that costs most is told."""
    columns = {table.name: store.columns(tx, table.oid) for table in tables}
    large = [table for table in tables if table.rows >= least]
    found: dict[str, IndexAdvice] = {}
    for one in counted:
        if not large or not rules.plannable(one.query):
            continue
        try:
            plan = store.generic_plan(tx, one.query)["Plan"]
        except store.Refused:  # a table that is gone, a parameter without a type: nothing is known of it
            continue
        for advice in rules.of_statement(one, rules.scans(plan, large, columns), large, indexes):
            found.setdefault(advice.command, advice)
    return list(found.values())
