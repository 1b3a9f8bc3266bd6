"""Events that are there twice and rollups that are bent are told apart, and from what only looks like them."""

from __future__ import annotations

import psycopg

from metering import people
from nself.app import App
from nself.diagnosis import Look
from nself.domains.repair.inputs import DeduplicateUsage, RecalculateUsage
from nself.domains.repair.service import adjust, causes, recalculate
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import aggregate, record

BEND = "update billing.billing_usage_rollups set total = total + 1 where user_id = %s"


def send(app: App, user: str, keys: bool, fraction: str = ".125", times: int = 2) -> None:
    for time in range(times):
        for second in range(3):
            key = f"k{second}-{time}" if keys else None
            event = UsageEvent(user=user, metric="calls", value=5, at=f"2026-01-15T10:00:0{second}{fraction}Z", key=key)
            ingest(app, [event])


def ingest(app: App, events: list[UsageEvent]) -> None:
    assert not record.ingest(app, events, "http").refused


def found(app: App, user: str) -> set[str]:
    told = {one.id: one.detect(Look(app)) for one in causes.CAUSES}
    return {id for id, evidence in told.items() if evidence and evidence.fields["user"] == user}


def test_what_was_sent_twice_without_keys_is_found_and_gone_when_it_is_taken_out(real_app: App) -> None:
    app = real_app
    (user,) = people(app)
    send(app, user, keys=False)
    assert found(app, user) == {"2.3.1"}
    adjust.deduplicate(app, DeduplicateUsage(user=user, start="2026-01-15", end="2026-01-15", execute=True))
    assert found(app, user) == set()


def test_keys_and_whole_seconds_make_no_duplicates(real_app: App) -> None:
    app = real_app
    with_keys, seconds = *people(app), *people(app)
    send(app, with_keys, keys=True)
    send(app, seconds, keys=False, fraction="")
    assert found(app, with_keys) == found(app, seconds) == set()


def test_a_batch_that_came_twice_is_found_though_its_times_are_whole_seconds(real_app: App) -> None:
    app = real_app
    (user,) = people(app)
    events = [UsageEvent(user=user, metric="calls", value=1, at=f"2026-01-16T10:00:0{at}Z") for at in range(4)]
    for _ in range(2):
        ingest(app, events)
    assert found(app, user) == {"2.3.1"}
    adjust.deduplicate(app, DeduplicateUsage(user=user, start="2026-01-16", end="2026-01-16", execute=True))


def test_a_bent_rollup_is_found_and_no_duplicate(real_app: App) -> None:
    app = real_app
    (user,) = people(app)
    send(app, user, keys=True, times=1)
    aggregate.aggregate(app)
    assert found(app, user) == set()
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        assert link.execute(BEND, [user]).rowcount
    assert found(app, user) == {"2.3.4"}
    recalculate.recalculate(app, RecalculateUsage(user=user, execute=True))
    assert found(app, user) == set()
