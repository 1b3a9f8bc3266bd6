"""What shows root causes of quotas, and what only looks like it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from metering import people
from nself.app import App
from nself.diagnosis import Look
from nself.domains.job import service as job
from nself.domains.job import store as jobs
from nself.domains.quota import store
from nself.domains.quota.inputs import ClearCache, ResetQuota, SetQuota, ShowQuota
from nself.domains.quota.service import ask, cache, limits, reset
from nself.domains.quota.service.causes import enforcing, resets, violations
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record


class Clock(Protocol):
    now: datetime


class AppWith(Protocol):
    def __call__(self, **settings: str) -> App: ...


def use(app: App, user: str, value: int, key: str | None = None) -> None:
    event = UsageEvent(user=user, metric="calls", value=value, key=key, at=app.clock().isoformat())
    assert not record.ingest(app, [event], "test").refused


def limit(app: App, most: int, *, user: str | None = None, plan: str | None = None, period: str = "month") -> None:
    limits.set_quota(app, SetQuota(user=user, plan=plan, metric="calls", limit=most, period=period))  # type: ignore[arg-type]


def show(app: App, user: str) -> None:
    ask.show(app, ShowQuota(user=user))


def test_enforcement_that_is_off_is_told(app: App, app_with: AppWith) -> None:
    assert enforcing.switched_off(Look(app)) is None
    assert enforcing.switched_off(Look(app_with(QUOTA_ENFORCEMENT_ENABLED="false")))


def test_a_limit_that_contradicts_the_plan_is_wrong_and_one_that_differs_is_not(app: App) -> None:
    (user,) = people(app)
    limit(app, 500, plan="free")
    for most in (100, 500, 5_000, 40_000):
        limit(app, most, user=user)
        assert enforcing.wrong_limit(Look(app)) is None, most
    for most in (-1, 0, 5, 50_000):
        limit(app, most, user=user)
        found = enforcing.wrong_limit(Look(app))
        assert found and user in found.text, most
        assert violations.wrong_period(Look(app)) is None
    limit(app, 500, user=user, period="year")
    assert violations.wrong_period(Look(app))
    assert enforcing.wrong_limit(Look(app)) is None
    limit(app, 500, user=user)
    assert violations.wrong_period(Look(app)) is None


def test_usage_past_a_limit_is_a_race_and_a_lower_limit_is_none(app: App, clock: Clock) -> None:
    (user,) = people(app)
    limit(app, 10, user=user)
    clock.now += timedelta(seconds=1)
    use(app, user, 10)
    show(app, user)
    assert enforcing.raced(Look(app)) is None
    use(app, user, 3)
    show(app, user)
    found = enforcing.raced(Look(app))
    assert found and user in found.text
    limit(app, 5, user=user)
    show(app, user)
    assert enforcing.raced(Look(app)) is None
    limit(app, 100, user=user)


def test_what_came_twice_is_told_apart_from_what_was_used(app: App) -> None:
    (user,) = people(app)
    limit(app, 10, user=user)
    at = app.clock().isoformat()
    for _ in range(2):
        record.ingest(app, [UsageEvent(user=user, metric="calls", value=8, at=at)], "test")
    show(app, user)
    assert violations.duplicates(Look(app))
    assert enforcing.raced(Look(app)) is None
    use(app, user, 9, "another")
    show(app, user)
    assert violations.duplicates(Look(app)) is None
    limit(app, 100, user=user)


def test_a_counter_of_before_a_reset_is_told_and_cleared(app: App) -> None:
    (user,) = people(app)
    limit(app, 10, user=user)
    use(app, user, 4)
    reset.reset(app, ResetQuota(user=user))
    show(app, user)
    assert violations.left_in_cache(Look(app)) is None
    with app.db.transaction() as tx:
        tx.connection.execute(
            "update billing_quota_counters set counted_from = window_start where user_id = %s", (user,)
        )
    found = violations.left_in_cache(Look(app))
    assert found and found.fields == {"user": user}
    cache.clear(app, ClearCache(pattern=f"billing:quota:{user}"))
    show(app, user)
    assert violations.left_in_cache(Look(app)) is None


def test_the_reset_job_is_lost_late_or_failed(app: App) -> None:
    job.ensure(app)
    looks = (resets.lost, resets.failed, resets.wrong_time, resets.locked)
    assert [one(Look(app)) for one in looks] == [None] * 4
    job.run_at(app, resets.JOB, app.clock() + timedelta(days=3))
    assert [bool(one(Look(app))) for one in looks] == [False, False, True, False]
    with app.db.transaction() as tx:
        tx.connection.execute("delete from billing_jobs where type = %s and state = 'queued'", (resets.JOB,))
    assert [bool(one(Look(app))) for one in looks] == [True, False, False, False]
    job.ensure(app)
    with app.db.transaction() as tx:
        claimed = jobs.claim(tx, [resets.JOB], "test", app.clock(), app.clock() + timedelta(minutes=1))
        assert claimed
        jobs.finish(tx, claimed, "failed", app.clock(), None, "no room")
        jobs.queue(tx, resets.JOB, app.clock() + timedelta(hours=1))
    assert [bool(one(Look(app))) for one in looks] == [False, True, False, False]


def test_who_holds_a_lock_is_named_and_who_only_writes_is_not(app: App) -> None:
    with app.db.transaction() as tx:
        tx.connection.execute("lock table billing_quota_counters in row exclusive mode")
        with app.db.reading() as other:
            assert store.locked(other, 0) is None
        tx.connection.execute("lock table billing_quota_counters in exclusive mode")
        with app.db.reading() as other:
            found = store.locked(other, 0)
    assert found and found.table == "billing_quota_counters"
