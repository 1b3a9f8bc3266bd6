"""Resets are watermarks: usage stays where it is, counting begins anew. Invoices know nothing of them."""

from __future__ import annotations

from datetime import datetime

from nself import log
from nself.app import App
from nself.core import period
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.customer import service as customer
from nself.domains.job import service as job
from nself.domains.quota import rules, store
from nself.domains.quota.inputs import (
    LastReset,
    NextReset,
    ResetAll,
    ResetQuota,
    ScheduleReset,
    ShowCron,
    ShowResets,
    ShowSchedule,
)
from nself.domains.quota.model import (
    CRON,
    EVERY,
    CronRow,
    NextWindow,
    Rescheduled,
    Reset,
    ResetAllResult,
    ResetRow,
    Window,
    WindowRow,
)
from nself.domains.quota.service.ask import states
from nself.domains.uptime.service import show as uptime
from nself.domains.usage.service import aggregate

JOB = "quota_reset"
ACTOR = "cli"


def reset(app: App, given: ResetQuota) -> ResetRow:
    """What was used so far counts no more against the user's limits. Raises NoSuchUser, NoSuchMetric."""
    if given.metric is not None:
        catalog_rules.require(catalog.metric_file(app), given.metric)
    customer.require_user(app, given.user)
    before = states(app, given.user, given.metric, 0, "look")
    metric, now = given.metric or EVERY, app.clock()

    def work(tx: Tx) -> int:
        aggregate.lock_users(tx, [given.user])
        store.add_reset(tx, given.user, metric, now, ACTOR, given.reason)
        return store.stale_counters(tx, [given.user], metric)

    app.db.transact(work)
    log.info("quota_reset", user=given.user, metric=metric, reset_at=now.isoformat(), reason=given.reason)
    return ResetRow(
        user=given.user,
        metric=metric,
        reset_at=now,
        reason=given.reason,
        no_longer_counted=", ".join(f"{one.metric} {one.used}" for one in before if one.used) or "nothing",
        note="usage is kept, invoices are not changed",
    )


def reset_all(app: App, given: ResetAll) -> ResetAllResult:
    """All users at one instant, in one transaction; without `force` only counted."""
    now = app.clock()
    if not given.force:
        with app.db.reading() as tx:
            users = store.count_users(tx)
        note = "nothing was done: nself billing quota reset-all --force resets them"
        return ResetAllResult(users=users, done=False, reset_at=None, note=note)

    def work(tx: Tx) -> int:
        aggregate.lock_everybody(tx)
        store.stale_everybody(tx)
        return store.reset_everybody(tx, now, ACTOR, given.reason)

    users = app.db.transact(work)
    log.info("quota_reset", users=users, metric=EVERY, reset_at=now.isoformat(), reason=given.reason)
    note = "usage is kept, invoices are not changed"
    return ResetAllResult(users=users, done=True, reset_at=now, note=note)


def show_resets(app: App, given: ShowResets) -> list[WindowRow]:
    """Each limit's window: where it began, from when it counts, when it begins anew. Raises NoSuchUser."""
    shown = states(app, given.user, given.metric, 0, "look")
    strange = strange_zones(app)
    with app.db.reading() as tx:
        resets = store.resets(tx, given.user)
    rows: list[WindowRow] = []
    for one in shown:
        span = rules.window(app.clock(), one.period, app.timezone)
        last = next((at for at in resets if at.metric in (one.metric, EVERY) and at.reset_at < span.end), None)
        inside = last is not None and last.reset_at > span.start
        rows.append(
            WindowRow(
                metric=one.metric,
                period=one.period,
                window_start=span.start,
                counted_from=last.reset_at if last and inside else span.start,
                resets_at=span.end,
                last_reset=last.reset_at if last and inside else span.start,
                why="; ".join(
                    filter(
                        None,
                        [f"{last.actor}: {last.reason}" if last and inside else f"a new {one.period} began", strange],
                    )
                ),
            )
        )
    return rows


COUNTING = ("http", "worker", "usage-collector")
"""Services that count quotas."""


def strange_zones(app: App) -> str:
    """Which services count in another time zone than BILLING_TIMEZONE, since they were started before it was set; else empty."""
    here = app.timezone.key
    found = {name: zone for name, zone in sorted(uptime.zones(app).items()) if name in COUNTING and zone != here}
    if not found:
        return ""
    zones = ", ".join(sorted(set(found.values())))
    return f"{', '.join(found)} still count in {zones}, BILLING_TIMEZONE is {here}"


def last_reset(app: App, given: LastReset) -> list[WindowRow]:
    """The same, for who asks when it was. Raises NoSuchUser."""
    return show_resets(app, ShowResets(user=given.user, metric=given.metric))


def history(app: App, user: str) -> list[Reset]:
    """All resets by hand, newest first."""
    with app.db.reading() as tx:
        return store.resets(tx, user)


def hours_of_resets(tx: Tx, span: Period) -> list[datetime]:
    """Step: UTC hours inside which a reset lies: what came before it and after it counts apart."""
    return store.hours_of_resets(tx, span)


def next_reset(app: App, given: NextReset) -> list[NextWindow]:
    """When limits begin anew: a user's, or those of each period. Raises NoSuchUser."""
    if given.user is None:
        return [_next(app, "all", "", unit) for unit in CRON]
    return [_next(app, given.user, one.metric, one.period) for one in states(app, given.user, None, 0, "look")]


def _next(app: App, user: str, metric: str, unit: Window) -> NextWindow:
    now = app.clock()
    ends = rules.window(now, unit, app.timezone).end
    left = int((ends - now).total_seconds())
    return NextWindow(user=user, metric=metric or "all", period=unit, next_reset=ends, seconds_left=left)


def show_cron(app: App, given: ShowCron) -> list[CronRow]:
    """When windows begin, as cron would write it, in BILLING_TIMEZONE."""
    return [
        CronRow(
            job=JOB,
            period=unit,
            cron=cron,
            timezone="UTC" if unit == "hour" else app.timezone.key,
            next_reset=rules.window(app.clock(), unit, app.timezone).end,
        )
        for unit, cron in CRON.items()
    ]


def show_schedule(app: App, given: ShowSchedule) -> list[job.Schedule]:
    """When the jobs around quotas run. Windows begin anew without them."""
    return [job.schedule(app, JOB), job.schedule(app, "quota_sweep")]


def schedule_reset(app: App, given: ScheduleReset) -> Rescheduled:
    """Have the job roll windows over at `at`, or now; it also is queued again where it was lost."""
    at = period.instant(given.at, app.timezone) if given.at else app.clock()
    moved = job.run_at(app, JOB, at)
    note = "" if moved else "it runs at this moment; its next run follows by itself"
    log.info("quota_reset_scheduled", at=at.isoformat())
    return Rescheduled(job=JOB, due_at=at, note=note)


def roll_over(app: App) -> str:
    """The job quota_reset: note which windows ended, drop their counters. Decisions do not wait for it."""
    now = app.clock()
    total = 0
    for _ in range(MAX_ROUNDS):
        ended = app.db.transact(lambda tx: _roll(tx, now))
        total += ended
        if ended < ROUND:
            break
    if total:
        log.info("quota_reset", counters=total, reason="their windows ended")
    return f"{total} windows rolled over"


ROUND, MAX_ROUNDS = 2_000, 1_000


def _roll(tx: Tx, now: datetime) -> int:
    """Counters over for longer than a reservation in them can be committed."""
    ended = store.ended_counters(tx, now - rules.KEPT, ROUND)
    if ended:
        aggregate.lock_users(tx, sorted({one.user for one in ended}))
        store.drop_counters(tx, ended)
    return len(ended)
