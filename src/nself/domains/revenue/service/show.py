"""Revenue by month, and a customer's part of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from nself.app import App
from nself.core import period
from nself.core.entrypoint import Rows
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.revenue import rules, store
from nself.domains.revenue.inputs import ExplainRevenue, RevenueSpan, ShowRevenue
from nself.domains.revenue.model import CustomerRevenue, RevenueMonth


def show(app: App, given: ShowRevenue) -> list[RevenueMonth] | CustomerRevenue:
    """By month or, of a customer, with all that its part is made of. Raises InvalidParameter."""
    if given.customer is None:
        return by_month(app, given)
    asked = msgspec.structs.asdict(given)
    return of_customer(app, ExplainRevenue(**asked))


def by_month(app: App, given: ShowRevenue) -> list[RevenueMonth]:
    """Raises InvalidParameter."""
    with app.db.snapshot() as tx:
        return Rows(*_months(app, tx, given, given.customer))


def of_customer(app: App, given: ExplainRevenue) -> CustomerRevenue:
    """What it is made of, how it became so, and by month. Raises InvalidParameter."""
    asked = (app.settings.live, given.customer, _currency(given), app.clock())
    with app.db.snapshot() as tx:
        rows, notes = _months(app, tx, given, given.customer)
        worths, changes = store.worths(tx, *asked), store.changes(tx, *asked)
    return CustomerRevenue(
        customer=given.customer,
        subscriptions=[msgspec.structs.replace(one, exact=str(rules.total(one.parts))) for one in worths],
        changes=changes,
        months=rows,
        notes=notes,
    )


def _months(app: App, tx: Tx, given: RevenueSpan, customer: str | None) -> tuple[list[RevenueMonth], list[str]]:
    """With what is to be said beside them."""
    live, zone, now = app.settings.live, app.settings.text("BILLING_TIMEZONE"), app.clock()
    tz, currency = period.zone(zone), _currency(given)
    span = _span(given, now, tz)
    rows = rules.months(
        store.moved(tx, live, customer, currency, now, zone),
        store.taken(tx, live, customer, currency, Period(span[0].start, span[-1].end), zone),
        store.guessed(tx, live, customer, zone),
        span,
        tz,
    )
    waiting, doubts = store.waiting(tx, live, customer), store.doubts(tx, live, customer, now)
    return rows, rules.remarks(rows, now, tz, waiting, doubts)


def _span(given: RevenueSpan, now: datetime, tz: ZoneInfo) -> list[Period]:
    """The months that are asked for, oldest first."""
    found = [period.month(given.month, tz, "month") if given.month else period.containing(now, "month", tz)]
    while len(found) < given.months:
        found.insert(0, period.containing(found[0].start - timedelta(seconds=1), "month", tz))
    return found


def _currency(given: RevenueSpan) -> str | None:
    return given.currency.lower() if given.currency else None
