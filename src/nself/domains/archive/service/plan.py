"""What may be archived, and why not. Everything here only reads."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import NamedTuple

from nself.app import App
from nself.core import period
from nself.db.connect import Tx
from nself.domains.archive import rules, store
from nself.domains.archive.model import MonthBusy, MonthCounts, Partition, Staying
from nself.domains.catalog import service as catalog
from nself.domains.invoice.service import generate
from nself.domains.quota.service import reset

FROM_EVENTS = ("unique", "time_weighted")


class Look(NamedTuple):
    """A month as it stands: how many events would leave, and the reasons why they may not."""

    counts: MonthCounts
    leaving: int
    reasons: list[str]


def partitions(app: App, before: date) -> list[Partition]:
    """Those of the months before `before`, oldest first."""
    with app.db.reading() as tx:
        return [one for one in store.partitions(tx) if one.month < before]


def look(app: App, month: date, uninvoiced: bool) -> Look:
    """`uninvoiced`: overage that is not billed is no reason. Nor is what waits to be folded: that is done first."""
    span = rules.span(month)
    with app.db.snapshot() as tx:
        store.without_limit(tx)
        counts = store.month_counts(tx, month, span)
        leaving = store.leaving(tx, span, staying(app, tx, month)) if counts.raw_events else 0
    folded = counts._replace(counted=counts.counted + counts.pending, pending=0)
    unbilled = _unbilled(app, month) if leaving and not uninvoiced else []
    return Look(counts, leaving, rules.obstacles(month, folded, unbilled, app.clock(), app.timezone))


def _unbilled(app: App, month: date) -> list[str]:
    """Users with overage that is on no invoice, in the months of BILLING_TIMEZONE that share a part of this UTC month."""
    start, end = rules.span(month)
    spans = {period.containing(at, "month", app.timezone) for at in (start, end - timedelta(microseconds=1))}
    return sorted({user for one in spans if one.end <= app.clock() for user in generate.unbilled(app, one)})


def staying(app: App, tx: Tx, month: date) -> Staying:
    """Step: raw events that answers need: of hours inside which a day or a reset begins, and of metrics that are no sum of hours."""
    resets = reset.hours_of_resets(tx, rules.span(month))
    hours = sorted({*rules.edge_hours(month, app.timezone), *resets})
    metrics = sorted(
        name
        for name, one in catalog.metered(app).items()
        if any(version.aggregation in FROM_EVENTS for version in one.versions)
    )
    return Staying(hours, metrics)


@contextmanager
def of_month(app: App, month: date) -> Generator[Tx]:
    """A transaction that is the only one to archive or restore the month. Raises MonthBusy."""
    with app.db.transaction() as tx:
        if not store.try_month(tx, month):
            raise MonthBusy(month=rules.name(month))
        store.without_limit(tx)
        yield tx
