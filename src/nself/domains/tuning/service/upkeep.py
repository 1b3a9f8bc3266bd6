"""Vacuum and analyze, and what they did."""

from __future__ import annotations

from collections.abc import Callable

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.entrypoint import Rows
from nself.db.connect import Tx
from nself.domains.tuning import rules, store
from nself.domains.tuning.inputs import AnalyzeTables, VacuumTables
from nself.domains.tuning.model import Relation, Table, TableBusy, TableUpkeep
from nself.domains.tuning.service import tables
from nself.domains.tuning.service.indexes import brief, working


def vacuum(app: App, given: VacuumTables) -> Rows[TableUpkeep]:
    """Never FULL, which would keep everybody out. Raises NoSuchTable, NotATable, TableBusy (one table), DatabaseUnavailable."""
    return _each(app, given.table, "vacuum", store.vacuum)


def analyze(app: App, given: AnalyzeTables) -> Rows[TableUpkeep]:
    """Raises NoSuchTable, NotATable, TableBusy (one table), DatabaseUnavailable."""
    return _each(app, given.table, "analyze", store.analyze)


def _each(app: App, name: str | None, what: str, work: Callable[[Tx, Table], None]) -> Rows[TableUpkeep]:
    with app.db.reading() as tx:
        wanted = store.tables(tx, tables.find(tx, name).oid if name else None)
    rows, notes = list[TableUpkeep](), list[str]()
    for table in wanted:
        try:
            rows.append(_one(app, table, what, work))
        except TableBusy as busy:
            if name:
                raise
            notes.append(f"left out: {busy.message}")
    log.info("tables_kept_up", what=what, tables=[row.table for row in rows], actor=app.operator())
    return Rows(rows, notes)


def _one(app: App, before: Table, what: str, work: Callable[[Tx, Table], None]) -> TableUpkeep:
    started = monotonic()
    relation = Relation(before.oid, "p" if before.partitioned else "r", False, before.schema, before.name)
    with working(app, relation, brief(app)) as tx:
        work(tx, before)
        (after,) = store.tables(tx, before.oid)
        kept = _keeper(tx, after) if what == "vacuum" else ""
    return TableUpkeep(
        table=before.name,
        done=what,
        rows=after.rows,
        dead_before=before.dead_rows,
        dead_after=after.dead_rows,
        bytes_before=before.bytes,
        bytes_after=after.bytes,
        seconds=round(monotonic() - started, 2),
        note=kept,
    )


def _keeper(tx: Tx, after: Table) -> str:
    """Step: whose transaction still sees rows that could not be removed."""
    held = store.holders(tx, after.oid) if after.dead_rows else []
    return log.redact(f"still seen by {rules.told(held[0])}") if held else ""
