"""Monthly partitions of raw usage: made ahead of time, shown, and emptied into the archive when they are old."""

from __future__ import annotations

from datetime import date

from nself import log
from nself.app import App
from nself.core.entrypoint import Rows
from nself.domains.archive import rules, store
from nself.domains.archive.inputs import PartitionTable
from nself.domains.archive.model import ArchivedMonth, NotPartitioned, Partition, ShownPartition
from nself.domains.archive.service import archive, plan
from nself.domains.usage.service import record

TABLE = "billing_usage"


def partition(app: App, given: PartitionTable) -> Rows[ShownPartition]:
    """A row a month. Raises NotPartitioned and, where it archives, what `archive.months` raises."""
    if given.table.removeprefix("billing.") != TABLE:
        raise NotPartitioned(table=given.table)
    limit = _limit(app, given.keep_months)
    old: list[ArchivedMonth] = []
    if limit:
        old = archive.months(app, limit, False) if given.execute else archive.planned(app, limit, False)
    missing = ahead(app)
    if given.execute:
        make(app, missing)
    notes = {row.month: row for row in old}
    rows = [_row(app, one, notes.get(rules.name(one.month))) for one in plan.partitions(app, date.max)]
    if not given.execute:
        rows += [_new(month) for month in missing]
    return Rows(rows, _remarks(given, missing, old))


def _limit(app: App, keep_months: int | None) -> date | None:
    return rules.after(rules.first_of(app.clock()), -keep_months) if keep_months else None


def ahead(app: App) -> list[date]:
    """Months from this one to USAGE_PARTITIONS_AHEAD later that have no partition yet."""
    this, known = rules.first_of(app.clock()), {one.month for one in plan.partitions(app, date.max)}
    wanted = [rules.after(this, count) for count in range(app.settings.integer("USAGE_PARTITIONS_AHEAD") + 1)]
    return [month for month in wanted if month not in known]


def make(app: App, months: list[date]) -> None:
    """Safe to run twice at once. Raises DatabaseUnavailable where the table is locked for longer than 5 s."""
    record.ensure_months_of(app, [rules.span(month).start for month in months])
    if months:
        log.info("partitions_made", months=[rules.name(month) for month in months])


def scheduled(app: App) -> str:
    """The work of the kind `partitions`, in words."""
    missing = ahead(app)
    make(app, missing)
    made = ", ".join(rules.name(month) for month in missing)
    return f"made {made}" if made else "all there"


def _row(app: App, one: Partition, old: ArchivedMonth | None) -> ShownPartition:
    with app.db.reading() as tx:
        events = store.raw_events(tx, rules.span(one.month))
    return ShownPartition(
        partition=f"{TABLE}_{one.month:%Y_%m}",
        month=rules.name(one.month),
        events=events,
        size_bytes=one.bytes,
        action=old.action if old else "keep",
        note=old.note if old else "",
    )


def _new(month: date) -> ShownPartition:
    name = f"{TABLE}_{month:%Y_%m}"
    return ShownPartition(partition=name, month=rules.name(month), events=0, size_bytes=0, action="make", note="")


def _remarks(given: PartitionTable, missing: list[date], old: list[ArchivedMonth]) -> list[str]:
    if given.execute:
        made = ", ".join(rules.name(month) for month in missing)
        return [f"made {made}" if made else "all partitions were there already"]
    if not missing and not any(row.action == "archive" for row in old):
        return [f"{TABLE} is partitioned by month; there is nothing to do"]
    keep = f" --keep-months {given.keep_months}" if given.keep_months else ""
    return [f"nothing was done; to do it: nself db partition {TABLE} --by-month{keep} --execute"]
