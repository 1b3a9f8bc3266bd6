"""When services and the database were there, and when not."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby

from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.uptime import rules, store
from nself.domains.uptime.inputs import ShowUptime
from nself.domains.uptime.model import (
    DATABASE,
    STALE,
    Downtime,
    NoSuchRecord,
    Outgrown,
    Refusal,
    Run,
    Sample,
    ServiceUptime,
    Uptime,
)
from nself.domains.uptime.service import heart

USUAL = timedelta(days=30)


def show(app: App, given: ShowUptime) -> Uptime:
    """Each service's state and downtimes in a period. Raises InvalidParameter, NoSuchRecord."""
    now, span = app.clock(), _span(app, given)
    heart.adopt(app)
    with app.db.snapshot() as tx:
        runs, downtimes = store.runs(tx, span), downtimes_of(tx, span, now)
        refused = refusals(tx, span)
    known = sorted({run.service for run in runs}) + ([DATABASE] if runs else [])
    if given.service and given.service not in known:
        raise NoSuchRecord(service=given.service, known=", ".join(known) or "none")
    names = [name for name in known if given.service in (None, name)]
    return Uptime(
        start=span.start,
        end=span.end,
        services=[_uptime(name, runs, downtimes, span, now) for name in names],
        downtimes=[one for one in downtimes if one.service in names],
        refused=refused,
    )


def zones(app: App) -> dict[str, str]:
    """The time zone with which each service of this machine runs, by service: that of when it was started."""
    return {note.run.service: note.zone for note in store.living(app.project.beats) if note.zone}


def memory(app: App) -> list[list[Sample]]:
    """What each living process had in memory, by minute, oldest first."""
    with app.db.reading() as tx:
        found = store.memory_of_living(tx, app.clock() - STALE)
    return [list(group) for _, group in groupby(found, key=lambda one: one.run)]


def outgrown(app: App, limit: int, since: datetime) -> list[Outgrown]:
    """Services that were started anew since they had more than `limit` bytes, most often first."""
    with app.db.reading() as tx:
        return store.outgrown(tx, limit, since)


def started_at(tx: Tx, service: str, now: datetime) -> datetime | None:
    """Step: when the process of `service` that lives was started, the last one where several live."""
    runs = store.runs(tx, Period(now - STALE, now + STALE))
    return max((one.started_at for one in runs if one.service == service and rules.alive(one, now)), default=None)


def _span(app: App, given: ShowUptime) -> Period:
    now, tz = app.clock(), app.timezone
    end = min(now, period.instant(given.end, tz, "end", end=True)) if given.end else now
    start = period.instant(given.start, tz, "start") if given.start else end - USUAL
    if start >= end:
        raise InvalidParameter("--start must be before --end, and in the past", "start")
    return Period(start, end)


def downtimes_of(tx: Tx, span: Period, now: datetime) -> list[Downtime]:
    """Step: when each service, and the database, was away in `span`; what was never recorded is no downtime."""
    runs, interruptions = store.runs(tx, span), store.interruptions(tx, span)
    found = rules.database_downtimes(runs, interruptions, span, now)
    for service in {run.service for run in runs}:
        mine = [run for run in runs if run.service == service]
        found += rules.service_downtimes(service, mine, interruptions, span, now)
    return sorted(found, key=lambda one: (one.start, one.service))


def refusals(tx: Tx, span: Period) -> list[Refusal]:
    """Step: usage that was answered with 503 in `span`."""
    return store.refusals(tx, span)


def _uptime(name: str, runs: list[Run], downtimes: list[Downtime], span: Period, now: datetime) -> ServiceUptime:
    mine = runs if name == DATABASE else [run for run in runs if run.service == name]
    away = [one for one in downtimes if one.service == name]
    known = rules.watched(mine, span, now) or Period(span.end, span.end)
    whole = known.end - known.start
    down = sum((one.end - one.start for one in away), timedelta(0))
    is_down = bool(away) and away[-1].end >= known.end
    state, since = ("down" if is_down else "running"), away[-1].start if is_down else None
    if since is None:
        since = away[-1].end if away else known.start
    return ServiceUptime(
        service=name,
        state=state if span.end >= now else f"{state} at the end",
        since=since,
        up=rules.percent(whole - down, whole),
        downtimes=len(away),
        down_seconds=rules.seconds(Period(one.start, one.end) for one in away),
        recorded_from=min(run.started_at for run in mine),
    )
