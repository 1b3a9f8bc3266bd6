"""Why rollups are behind: what keeps the aggregation from its work, in words. Only reads."""

from __future__ import annotations

from datetime import datetime, timedelta

from nself.app import App
from nself.domains.job import service as job
from nself.domains.job.model import Job
from nself.domains.usage import rules, store
from nself.domains.usage.facts import Holding

AGGREGATION = "aggregation"
SELDOM = timedelta(hours=6)
"""Rollups that are made anew less often than this are of no use to a dashboard."""
LATE = timedelta(minutes=5)
HELD = 10
"""Seconds: a fold takes its locks for less, chunk by chunk."""


def seldom(app: App) -> str:
    """The aggregation is not scheduled, or so seldom that it is as good as not; nobody may have begun what was due."""
    every = timedelta(seconds=app.settings.seconds("USAGE_AGGREGATION_INTERVAL"))
    if every >= SELDOM:
        origin = app.settings.value("USAGE_AGGREGATION_INTERVAL").origin
        return f"aggregation is scheduled every {rules.told(every)} only (USAGE_AGGREGATION_INTERVAL of {origin})"
    waiting = next((one for one in job.runs(app, AGGREGATION) if one.status in ("queued", "running", "stuck")), None)
    if waiting is None:
        return "no aggregation is scheduled at all"
    late = app.clock() - waiting.due_at
    if waiting.status == "queued" and late >= LATE:
        return f"the aggregation is due for {rules.told(late)} and nobody begins it"
    return ""


def overwhelmed(app: App) -> str:
    """A run took longer than the time between two, though it was as quick as folds are."""
    every, now = timedelta(seconds=app.settings.seconds("USAGE_AGGREGATION_INTERVAL")), app.clock()
    longest = max(job.runs(app, AGGREGATION), key=lambda one: _took(one, now), default=None)
    took, deltas = (_took(longest, now), rules.folded(longest.result or "")) if longest else (timedelta(0), 0)
    if took <= every or rules.slow(deltas, took):
        return ""
    return f"the aggregation took {rules.told(took)} for {deltas} deltas, longer than the {rules.told(every)} between two: more comes than is folded"


def _took(one: Job, now: datetime) -> timedelta:
    """Of a run that is over and well."""
    if one.status != "succeeded" or not (one.started_at and one.finished_at):
        return timedelta(0)
    return one.finished_at - one.started_at


def slow(app: App) -> str:
    """The database took unusually long for what was folded, without waiting for anybody."""
    with app.db.reading() as tx:
        last, running = store.last_fold(tx), store.long_fold(tx)
    if timedelta(seconds=running) >= rules.SLOW:
        return f"the statement usage.fold has been at work for {running:.0f} s"
    if last and rules.slow(last.deltas, timedelta(seconds=last.seconds)):
        return f"the database took {last.seconds:.1f} s to fold {last.deltas} deltas at {last.folded_at:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def holders(app: App) -> list[Holding]:
    """Sessions that have kept locks which folds need for long, oldest first."""
    with app.db.reading() as tx:
        return store.fold_holders(tx, HELD)


def locked(app: App) -> str:
    return "; ".join(
        f"process {one.pid} of the database ({one.application or 'unnamed'}, {one.state}) has kept {one.what} for {one.seconds} s"
        for one in holders(app)
    )


def troubles(app: App) -> list[str]:
    """All of it, without what there is not."""
    return [text for ask in (seldom, overwhelmed, slow, locked) if (text := ask(app))]
