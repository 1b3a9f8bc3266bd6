"""What every repair does: lock, look at the figures, refuse invoiced periods, change, look again; or roll it all back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

from nself.app import App
from nself.core import period
from nself.core.errors import MissingParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.invoice.service import assess
from nself.domains.quota.service import cache
from nself.domains.repair import rules, store
from nself.domains.repair.model import Adjustment, Change, Hour, PeriodInvoiced
from nself.domains.total import service as total
from nself.domains.usage import figures
from nself.domains.usage.errors import EventsArchived
from nself.domains.usage.service import aggregate, measure, show

T = TypeVar("T")
MOMENT = timedelta(microseconds=1)
Figures = dict[tuple[Period, str], int]
"""By month and metric."""
Formulas = Mapping[Period, Mapping[str, Metric]]


class _Rehearsed(Exception):
    """Rolls back what was only tried."""


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
        raise _Rehearsed

    with suppress(_Rehearsed):
        app.db.transact(tried)
    return found[-1]


def lock(tx: Tx, user: str) -> None:
    """Step: until the end of `tx` nobody else bills `user`, folds its usage or decides about its quotas."""
    assess.lock(tx, [user])
    aggregate.lock_users(tx, [user])


def changed(
    app: App,
    tx: Tx,
    user: str,
    places: Collection[tuple[str, datetime]],
    invoiced: bool,
    execute: bool,
    change: Callable[[], None],
) -> list[Change]:
    """Step: run `change`, which touches metrics of `user` at instants; what became of the figures of the months.

    Raises PeriodInvoiced where one of the months is invoiced and neither `invoiced` is given nor it is a trial.
    """
    closed = assess.invoiced_periods(app, tx, user)
    for _, at in sorted(places, key=lambda place: place[1]):
        held = rules.holding(at, closed)
        if held and execute and not invoiced:
            raise PeriodInvoiced(period=assess.month(app, held.start), user=user)
    formulas = {month: measure.metrics_of(app, tx, month, None) for month in _months(app, tx, places)}
    before = _figures(app, tx, user, formulas)
    change()
    cache.forget(tx, [user])
    changes = list(_changes(app, formulas, before, _figures(app, tx, user, formulas), closed))
    for one in changes:
        if one.invoiced and execute and not invoiced:
            raise PeriodInvoiced(period=one.period, user=user)
    return changes


def _months(app: App, tx: Tx, places: Collection[tuple[str, datetime]]) -> list[Period]:
    """The months of `places`; to the present where a value holds on into later ones."""
    found = {period.containing(at, "month", app.timezone) for _, at in places}
    for metric, at in places:
        formula = catalog.metrics_of(app, tx, at).get(metric)
        if formula and formula.aggregation == "time_weighted":
            found.update(period.months(at, app.clock(), app.timezone))
    return sorted(found)


def _figures(app: App, tx: Tx, user: str, formulas: Formulas) -> Figures:
    return {
        (month, one.metric): one.value
        for month, metrics in formulas.items()
        for one in show.figures_of(app, tx, [user], month, metrics)
    }


def _changes(
    app: App, formulas: Formulas, before: Figures, after: Figures, closed: Sequence[Period]
) -> Iterable[Change]:
    for month, name in sorted({*before, *after}):
        was, now = before.get((month, name), 0), after.get((month, name), 0)
        if was != now:
            yield Change(
                period=assess.month(app, month.start),
                metric=name,
                unit=figures.unit_of(formulas[month][name]),
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
        total.repair(tx, store.recompute(tx, sorted(hours)))
