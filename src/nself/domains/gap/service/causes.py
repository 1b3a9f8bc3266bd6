"""Root causes of issue 2.4: usage is missing for a time."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import NamedTuple

from nself.app import App
from nself.core.period import Period
from nself.db.connect import Tx
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.gap import store
from nself.domains.gap.model import Reread
from nself.domains.uptime.model import Refusal
from nself.domains.uptime.service import show as uptime
from nself.domains.usage import rules as usage
from nself.domains.usage.service import unmet

LATELY = timedelta(hours=24)
LONG = timedelta(minutes=5)
"""A service that is restarted is back sooner."""
STEADY = 10
"""Events in the hour before, without which nobody can say that some are missing."""
MOST = 20_000
BATCH = 3
"""Events that were refused together."""
FULL = "buffer_full"
AWAY = ("database_unavailable", "database_timeout")


class Lost(NamedTuple):
    """What was refused lately and for which no log was read since."""

    refused: list[Refusal]
    reread: list[Reread]


def _span(app: App) -> Period:
    return Period(app.clock() - LATELY, app.clock())


def _lost(app: App) -> Lost:
    span = _span(app)
    with app.db.reading() as tx:
        reread = store.reconstructed(tx, None, span.start)
        refused = [one for one in uptime.refusals(tx, span) if one.events]
    return Lost([one for one in refused if not any(done.covers(one.began_at, one.ended_at) for done in reread)], reread)


def downtime(look: Look) -> Evidence | None:
    """The newest long one in which somebody who was active before and after has nothing."""
    app, span = look.app, _span(look.app)
    with app.db.reading() as tx:
        away = [one for one in uptime.downtimes_of(tx, span, span.end) if one.service == "http" and one.end < span.end]
        for one in reversed(away):
            if one.end - one.start >= LONG and (users := _silent(tx, Period(one.start, one.end))):
                return _told(
                    app, f"http was away from {_at(one.start)} to {_at(one.end)} ({one.detail})", one.start, users
                )
    return None


def _silent(tx: Tx, span: Period) -> list[str]:
    return store.silent_users(tx, span, MOST, STEADY)


def _told(app: App, text: str, at: datetime, users: list[str]) -> Evidence:
    more = f" and {len(users) - 1} others" if len(users) > 1 else ""
    return Evidence(
        f"{text}; {users[0]}{more} sent usage before and after, and none of that time is there",
        {"user": users[0], "date": at.astimezone(app.timezone).date()},
        sure="likely",
    )


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def failed_batch(look: Look) -> Evidence | None:
    """Several events of one user that were rejected together for what they say themselves."""
    app, reread = look.app, look.once(_lost).reread
    with app.db.reading() as tx:
        found = unmet.rejected_lately(app, tx)
    batches = defaultdict[tuple[str, datetime, str, str], int](int)
    for one in found:
        told = usage.about(one.event)
        if told and not any(done.user == told[0] and done.reconstructed_at >= one.rejected_at for done in reread):
            batches[one.source, one.rejected_at, told[0], one.code] += 1
    most = max(batches.items(), key=lambda item: item[1], default=None)
    if most is None or most[1] < BATCH:
        return None
    (source, at, user, code), events = most
    return Evidence(
        f"{events} events of {user} that came together from {source} at {_at(at)} were rejected ({code}) and not recorded since",
        {"user": user, "code": code, "date": at.astimezone(app.timezone).date()},
    )


def connection_lost(look: Look) -> Evidence | None:
    found = [one for one in look.once(_lost).refused if one.code in AWAY]
    return _refused(look.app, found, "the database was away and USAGE_ENABLE_BUFFER kept nothing") if found else None


def overflow(look: Look) -> Evidence | None:
    found = [one for one in look.once(_lost).refused if one.code == FULL]
    size = look.app.settings.text("USAGE_BUFFER_SIZE")
    return _refused(look.app, found, f"the buffer was full (USAGE_BUFFER_SIZE is {size} now)") if found else None


def _refused(app: App, found: list[Refusal], why: str) -> Evidence:
    events, first, last = sum(one.events for one in found), found[0], found[-1]
    return Evidence(
        f"{events} events, resends included, were answered with 503 {last.code} from {_at(first.began_at)} to "
        f"{_at(last.ended_at)}: {why}; no log was read for them since",
        {"date": first.began_at.astimezone(app.timezone).date()},
        sure="likely",
    )


REREAD = "nself billing usage reconstruct --user {user} --from-logs --date {date} --execute"
REREAD_ANY = "nself billing usage reconstruct --user USER --from-logs --date {date} --execute"
CAUSES = (
    Cause(
        id="2.4.1",
        title="Service downtime during critical periods",
        detect=downtime,
        explain=(
            "The service that takes usage was away for minutes, and who sent before and after has nothing of that time. Usage "
            "that is refused while the service runs is 2.4.2 to 2.4.4. The finding goes when usage of that time is recorded."
        ),
        mend=("nself billing uptime", REREAD),
    ),
    Cause(
        id="2.4.2",
        title="Failed batch recordings",
        detect=failed_batch,
        explain=(
            "A batch came and several of its events were rejected for what they say: a value, a time, a key that was used for "
            "something else. Unknown users and metrics are 2.1.3 and 2.1.4. What is missing is read from logs; what the sender "
            "mends, it sends again."
        ),
        mend=("nself billing usage rejected list --code {code}", REREAD),
    ),
    Cause(
        id="2.4.3",
        title="Database connection loss",
        detect=connection_lost,
        explain=(
            "Usage came while the database was away, and was refused since the buffer on disk is off. With it nothing would be "
            "missing, unless it is full (2.4.4). A database that is away now is 2.1.2."
        ),
        mend=("nself env set USAGE_ENABLE_BUFFER=true", "nself restart billing", REREAD_ANY),
        follows=("2.1.2",),
    ),
    Cause(
        id="2.4.4",
        title="Buffer overflow",
        detect=overflow,
        explain=(
            "The database was away, and more came than the buffer on disk may keep; the rest was refused. Without any buffer "
            "it would be 2.4.3."
        ),
        mend=("nself env set USAGE_BUFFER_SIZE=100000", "nself restart billing", REREAD_ANY),
        follows=("2.1.2",),
    ),
)
