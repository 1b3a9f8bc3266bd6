"""Root causes of issue 5.3: quotas do not begin anew."""

from __future__ import annotations

from datetime import timedelta

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.job import service as job
from nself.domains.quota import store
from nself.domains.quota.facts import Locked
from nself.domains.quota.service.reset import JOB

HELD = 3
"""Seconds. Nothing of nself holds such a lock on tables of quotas for so long, but for a migration."""
SLACK = timedelta(minutes=5)


def standing(app: App) -> job.Standing:
    return job.standing(app, JOB)


def lost(look: Look) -> Evidence | None:
    found = look.once(standing)
    if found.next or not found.known:
        return None
    last = f"; it ran last at {found.last.finished_at:%Y-%m-%dT%H:%M:%SZ}" if found.last else ""
    return Evidence(f"{JOB} neither waits nor runs: it is not scheduled{last}")


def failed(look: Look) -> Evidence | None:
    last = look.once(standing).last
    if last is None or last.status != "failed":
        return None
    return Evidence(f"{JOB} failed at {last.finished_at:%Y-%m-%dT%H:%M:%SZ} and has not run since: {last.last_error}")


def wrong_time(look: Look) -> Evidence | None:
    waits, app = look.once(standing).next, look.app
    every = job.interval(app, job.kinds(app)[JOB])
    if waits is None or waits.status != "queued" or waits.due_at <= app.clock() + every + SLACK:
        return None
    return Evidence(f"{JOB} is due at {waits.due_at:%Y-%m-%dT%H:%M:%SZ}, though it is to run every {every}")


def holder(app: App) -> Locked | None:
    with app.db.reading() as tx:
        return store.locked(tx, HELD)


def locked(look: Look) -> Evidence | None:
    one = look.once(holder)
    if one is None:
        return None
    who = f"session {one.pid} ({one.application or 'unnamed'}, {one.state})"
    return Evidence(
        f"{who} has held {one.mode} on {one.table} for {one.seconds} s: no counter can be dropped or counted",
        {"pid": one.pid},
    )


SCHEDULE = "nself billing quota schedule-reset"
CAUSES = (
    Cause(
        id="5.3.1",
        title="Reset job not scheduled",
        detect=lost,
        explain=(
            "The row of the job quota_reset is gone: nobody drops the counters of windows that are over. Windows begin anew by "
            "themselves, so decisions stay right, but old counters stay and nobody tells that they ended. Told apart from a "
            "stopped usage-collector, which leaves the row and lets it become late."
        ),
        mend=("nself billing quota show-cron", SCHEDULE),
        itself=True,
    ),
    Cause(
        id="5.3.2",
        title="Job failed to run",
        detect=failed,
        explain="The last run of quota_reset ended with an error and no run since has succeeded; the next comes in an hour.",
        mend=("nself billing jobs clear --type quota_reset --status failed",),
        itself=True,
        follows=("5.3.4",),
    ),
    Cause(
        id="5.3.3",
        title="Wrong reset timing",
        detect=wrong_time,
        explain=(
            "The job quota_reset waits for an instant that is further away than its interval: somebody scheduled it for later, or "
            "the clock was wrong when it was queued."
        ),
        mend=(SCHEDULE,),
        itself=True,
    ),
    Cause(
        id="5.3.4",
        title="Database lock",
        detect=locked,
        explain=(
            "A session keeps a lock on a table of quotas, often one that was left open in psql: the reset job waits behind it and "
            "so does every decision that writes a counter. Told apart from a failed run (5.3.2) by the lock that is still held."
        ),
        mend=("nself billing jobs clear --type quota_reset --status failed", SCHEDULE),
        elsewhere="commit or end the session that holds the lock",
    ),
)
