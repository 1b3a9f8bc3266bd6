"""What every repair does: lock, look at the figures, refuse invoiced periods, change, look again; or roll it all back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from nself.app import App
from nself.core import period
from nself.core.errors import MissingParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.invoice.service import assess
from nself.domains.quota.service import cache
from nself.domains.repair import rules, store
from nself.domains.repair.model import Adjustment, Change, EventsArchived, Hour, PeriodInvoiced
from nself.domains.usage.service import aggregate, inspect, show

T = TypeVar("T")
MOMENT = timedelta(microseconds=1)
Figures = dict[tuple[Period, str], int]
"""By month and metric."""


class _Rehearsed(Exception):
    """Rolls back what was only tried."""

    def __init__(self, result: object) -> None:
        super().__init__("rehearsed")
        self.result = result


def attempt(app: App, execute: bool, reason: str | None, work: Callable[[Tx], T]) -> T:
    """The result of `work`, which stays only with `execute`. Raises MissingParameter for a reason in live mode."""
    if not execute:
        return _rehearse(app, work)
    if app.settings.live and not reason:
        raise MissingParameter("reason")
    return app.db.transact(work)


def _rehearse(app: App, work: Callable[[Tx], T]) -> T:
    found: list[T] = []

    def tried(tx: Tx) -> None:
        found.append(work(tx))
        raise _Rehearsed(found)

    try:
        app.db.transact(tried)
    except _Rehearsed:
        return found[-1]
    raise AssertionError("a rehearsal was committed")


def lock(tx: Tx, user: str) -> None:
    """Step: until the end of `tx` nobody else bills `user`, folds its usage or decides about its quotas."""
    assess.lock(tx, [user])
    aggregate.lock_users(tx, [user])


def changed(
    app: App,
    tx: Tx,
    user: str,
    instants: Collection[datetime],
    invoiced: bool,
    execute: bool,
    change: Callable[[], None],
) -> list[Change]:
    """Step: run `change`, which touches usage of `user` at `instants`; what became of the figures of their months.

    Raises PeriodInvoiced where one of the months is invoiced and neither `invoiced` is given nor it is a trial.
    """
    closed = assess.invoiced_periods(app, tx, user)
    months = sorted({period.containing(at, "month", app.timezone) for at in instants})
    for at in sorted(instants):
        held = rules.holding(at, closed)
        if held and execute and not invoiced:
            raise PeriodInvoiced(period=assess.month(app, held.start), user=user)
    before = _figures(app, tx, user, months)
    change()
    cache.forget(tx, [user])
    return list(_changes(app, before, _figures(app, tx, user, months), closed))


def _figures(app: App, tx: Tx, user: str, months: Sequence[Period]) -> Figures:
    metrics = catalog.metrics(app)
    return {
        (month, name): figure
        for month in months
        for name, (_, figure) in inspect.figures(metrics, show.totals(tx, [user], None, month)).items()
    }


def _changes(app: App, before: Figures, after: Figures, closed: Sequence[Period]) -> Iterable[Change]:
    metrics = catalog.metrics(app)
    for month, name in sorted({*before, *after}):
        was, now = before.get((month, name), 0), after.get((month, name), 0)
        if was != now:
            yield Change(
                period=assess.month(app, month.start),
                metric=name,
                unit=metrics[name].unit,
                before=was,
                after=now,
                difference=now - was,
                invoiced=any(one.start < month.end and month.start < one.end for one in closed),
            )


def adjust(app: App, tx: Tx, user: str, made: Sequence[Adjustment], reason: str | None) -> None:
    """Step: decide about events of `user`, and put the rollups of their hours right. Raises EventsArchived."""
    instants = [one.event.at for one in made]
    away = show.archived_months(tx, Period(min(instants), max(instants) + MOMENT))
    for month in sorted({rules.month(at) for at in instants}.intersection(away)):
        raise EventsArchived(month=f"{month:%Y-%m}", user=user)
    store.adjust(tx, user, made, reason, app.operator(), app.clock())
    recompute(tx, {Hour(user, one.event.metric, rules.hour(one.event.at)) for one in made})


def recompute(tx: Tx, hours: Collection[Hour]) -> None:
    """Step: rollups of `hours` anew from the events as they count. The caller holds the locks of their users."""
    if hours:
        store.recompute(tx, sorted(hours))
