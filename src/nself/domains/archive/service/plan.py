"""What may be archived, and why not. Everything here only reads."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import NamedTuple

from nself.app import App
from nself.core import period
from nself.db.connect import Tx
from nself.domains.archive import rules, store
from nself.domains.archive.model import MonthBusy, MonthCounts, Partition
from nself.domains.invoice.service import generate
from nself.domains.quota.service import reset


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
    """`uninvoiced`: overage that is not billed is no reason."""
    span = rules.span(month)
    with app.db.snapshot() as tx:
        store.without_limit(tx)
        counts = store.month_counts(tx, month, span)
        leaving = store.leaving(tx, span, kept_hours(app, tx, month)) if counts.raw_events else 0
    unbilled = _unbilled(app, month) if leaving and not uninvoiced else []
    return Look(counts, leaving, rules.obstacles(month, counts, unbilled, app.clock(), app.timezone))


def _unbilled(app: App, month: date) -> list[str]:
    """Users with overage that is on no invoice, in the months of BILLING_TIMEZONE that share a part of this UTC month."""
    start, end = rules.span(month)
    spans = {period.containing(at, "month", app.timezone) for at in (start, end - timedelta(microseconds=1))}
    return sorted({user for one in spans if one.end <= app.clock() for user in generate.unbilled(app, one)})


def kept_hours(app: App, tx: Tx, month: date) -> list[datetime]:
    """Step: hours whose raw events stay, since answers need a part of them: a day or a reset begins inside."""
    resets = reset.hours_of_resets(tx, rules.span(month))
    return sorted({*rules.edge_hours(month, app.timezone), *resets})


@contextmanager
def of_month(app: App, month: date) -> Generator[Tx]:
    """A transaction that is the only one to archive or restore the month. Raises MonthBusy."""
    with app.db.transaction() as tx:
        if not store.try_month(tx, month):
            raise MonthBusy(month=rules.name(month))
        store.without_limit(tx)
        yield tx
