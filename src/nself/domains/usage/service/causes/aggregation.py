"""Root causes of issue 2.2: rollups are behind."""

from __future__ import annotations

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.usage.service import lag


def not_scheduled(look: Look) -> Evidence | None:
    text = look.once(lag.seldom)
    return Evidence(text) if text else None


def high_volume(look: Look) -> Evidence | None:
    text = look.once(lag.overwhelmed)
    return Evidence(text, sure="likely") if text else None


def slow_statement(look: Look) -> Evidence | None:
    text = look.once(lag.slow)
    return Evidence(text, sure="likely") if text else None


def locked(look: Look) -> Evidence | None:
    found = look.once(lag.holders)
    return Evidence(look.once(lag.locked), {"pid": found[0].pid}) if found else None


EVERY = "nself env set USAGE_AGGREGATION_INTERVAL=5m"
CAUSES = (
    Cause(
        id="2.2.1",
        title="Aggregation job not scheduled",
        detect=not_scheduled,
        explain=(
            "Rollups are made anew when the job runs; until then each answer adds up all that waits, and what reads rollups "
            "alone is old. The job is not there, or its interval is hours, or it is due and nobody begins it (then the "
            "collector of 2.1.1 is the cause). A job that runs and does not finish in time is 2.2.2 to 2.2.4."
        ),
        mend=(EVERY, "nself restart billing", "nself billing usage aggregate --force"),
        follows=("2.1.1",),
    ),
    Cause(
        id="2.2.2",
        title="High volume overwhelming aggregator",
        detect=high_volume,
        explain=(
            "A run took longer than the time between two, and folded as many deltas a second as usual: there are too many for "
            "one worker and this interval. The same time for few deltas is a slow statement (2.2.3)."
        ),
        mend=(
            EVERY,
            "nself env set USAGE_AGGREGATION_PARALLEL=true",
            "nself env set USAGE_AGGREGATION_WORKERS=4",
            "nself restart billing",
        ),
    ),
    Cause(
        id="2.2.3",
        title="Database query performance",
        detect=slow_statement,
        explain=(
            "The database took seconds for a few deltas, and waited for no lock meanwhile: a missing index, a trigger of "
            "somebody else on the rollups, or a server that is too busy. Many deltas in the same time are 2.2.2, a lock is 2.2.4."
        ),
        mend=(
            "nself db slow-queries --min-time 1s",
            "nself billing usage aggregate --force",
        ),
        elsewhere="take away what makes writing rollups slow: a trigger of another program, a server without room",
        follows=("8.2.1", "8.2.2"),
    ),
    Cause(
        id="2.2.4",
        title="Lock contention",
        detect=locked,
        explain=(
            "A session has kept a lock that folds need far longer than a fold does; the users behind it wait. It is a session "
            "that does not fold itself; one that folds slowly is 2.2.3."
        ),
        mend=(
            'nself db query "SELECT pid, application_name, state, xact_start, query FROM pg_stat_activity WHERE pid = {pid}"',
            "nself billing usage aggregate --force",
        ),
        elsewhere="end the session that keeps the lock, in the program that opened it",
    ),
)
