"""Root causes 2.3.1 and 2.3.4: events that are there twice, and rollups that are not what the events say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nself.app import App
from nself.core.period import Period
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.repair import store
from nself.domains.repair.model import CrookedHour, Resent
from nself.domains.usage.service import show

LATELY = timedelta(hours=24)
MOST = 20_000
"""Events that are looked at, the newest."""
LEAST = 3
"""Events that have to be repeated before it is no chance."""


def _latest(app: App) -> datetime | None:
    with app.db.reading() as tx:
        return store.latest(tx, app.clock() - LATELY, MOST)


def _resent(app: App) -> list[Resent]:
    since = _latest(app)
    if since is None:
        return []
    with app.db.reading() as tx:
        return store.resent(tx, since, MOST, LEAST)


def _crooked(app: App) -> list[CrookedHour]:
    since = _latest(app)
    if since is None:
        return []
    with app.db.reading() as tx:
        archived = show.archived_months(tx, Period(datetime(2000, 1, 1, tzinfo=UTC), app.clock()))
        return store.crooked(tx, since, MOST, archived)


def duplicates(look: Look) -> Evidence | None:
    found = look.once(_resent)
    if not found:
        return None
    one = found[0]
    zone = look.app.timezone
    more = f"; of {len(found) - 1} other users too" if len(found) > 1 else ""
    return Evidence(
        f"{one.events} events of {one.user} ({one.metric}), recorded by {one.recorded_at:%Y-%m-%dT%H:%M:%SZ} without a key of "
        f"their own, say the same as earlier ones of the same instants, and both count{more}",
        {"user": one.user, "start": one.first_at.astimezone(zone).date(), "end": one.last_at.astimezone(zone).date()},
        sure="likely",
    )


def races(look: Look) -> Evidence | None:
    found = look.once(_crooked)
    if not found:
        return None
    one = found[0]
    more = f"; so {'does' if len(found) == 2 else 'do'} {len(found) - 1} other hours" if len(found) > 1 else ""
    return Evidence(
        f"the rollup of {one.user}, {one.metric}, {one.hour:%Y-%m-%dT%H:%MZ} says {one.events} events and {one.total}, its events "
        f"say {one.events_after} and {one.total_after}{more}",
        {"user": one.user, "month": f"{one.hour.astimezone(look.app.timezone):%Y-%m}"},
    )


CAUSES = (
    Cause(
        id="2.3.1",
        title="Duplicate recordings",
        detect=duplicates,
        explain=(
            "A sender repeated usage without idempotency keys, so that nothing told the second from the first, and both count. "
            "Rollups and raw events agree, both are too high; where they differ it is 2.3.4. Events with keys of their own are "
            "never taken for duplicates."
        ),
        mend=("nself billing usage deduplicate --user {user} --start {start} --end {end} --execute",),
    ),
    Cause(
        id="2.3.4",
        title="Race conditions",
        detect=races,
        explain=(
            "A rollup is not what its events add up to: somebody wrote one without the other. Within nself both are one "
            "transaction, so it was another hand or program. Duplicates (2.3.1) are in both and make no such difference."
        ),
        mend=("nself billing usage recalculate --user {user} --month {month} --execute",),
        itself=True,
    ),
)
