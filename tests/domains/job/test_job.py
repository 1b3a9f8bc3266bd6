"""Scheduled work: leases, takeover, fencing, and what may be cleared."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import pytest

from nself.app import App
from nself.core.errors import BillingError
from nself.domains.job import service, store
from nself.domains.job.inputs import ClearJobs, ListJobs
from nself.domains.job.model import Claimed
from nself.domains.quota.inputs import ScheduleReset
from nself.domains.quota.service import reset


class Clock(Protocol):
    now: datetime


def statuses(app: App, type: str = "quota_reset") -> list[str]:
    return [one.status for one in service.list_jobs(app, ListJobs(type=type))]


def claim(app: App, clock: Clock, worker: str) -> Claimed | None:
    with app.db.transaction() as tx:
        return store.claim(tx, ["quota_reset"], worker, clock.now, clock.now + service.LEASE)


def test_every_kind_is_listed_and_runs_once_an_interval(app: App, clock: Clock) -> None:
    kinds = {one.type for one in service.list_jobs(app, ListJobs())}
    assert kinds == set(service.kinds(app))
    short = len(kinds) - len(service.long_kinds(app))
    assert [service.run_due(app) for _ in range(short + 1)] == [*[1] * short, 0]
    for kind in service.long_kinds(app):
        assert [service.run_due(app, kind) for _ in range(2)] == [1, 0]
    assert statuses(app) == ["queued", "succeeded"]
    clock.now += timedelta(minutes=5)
    assert [service.run_due(app) for _ in range(4)] == [1, 1, 1, 0]
    assert statuses(app) == ["queued", "succeeded"]


def test_of_two_workers_one_gets_the_job(app: App, clock: Clock) -> None:
    service.ensure(app)
    assert claim(app, clock, "one") is not None
    assert claim(app, clock, "two") is None


def test_a_job_whose_worker_beats_is_left_alone(app: App, clock: Clock) -> None:
    service.ensure(app)
    job = claim(app, clock, "alive")
    assert job
    clock.now += service.LEASE - timedelta(seconds=1)
    with app.db.transaction() as tx:
        assert store.beat(tx, job, clock.now + service.LEASE)
    clock.now += timedelta(seconds=2)
    assert service.clear(app, ClearJobs(status="stuck")).cleared == 0
    assert statuses(app) == ["running"]


def test_a_stuck_job_is_queued_anew_and_its_worker_is_shut_out(app: App, clock: Clock) -> None:
    service.ensure(app)
    dead = claim(app, clock, "dead")
    assert dead
    clock.now += service.LEASE
    assert statuses(app) == ["stuck"]
    assert [one.type for one in service.list_jobs(app, ListJobs(status="stuck"))] == ["quota_reset"]
    assert service.clear(app, ClearJobs(status="stuck", type="quota_reset")).requeued == 1
    heir = claim(app, clock, "heir")
    assert heir and heir.token > dead.token
    with app.db.transaction() as tx:
        assert not store.beat(tx, dead, clock.now + service.LEASE)
        assert not store.finish(tx, dead, "succeeded", clock.now, "late", None)
        assert store.finish(tx, heir, "succeeded", clock.now, "done", None)


def test_a_stuck_job_is_taken_over_without_anybodys_help(app: App, clock: Clock) -> None:
    service.ensure(app)
    dead = claim(app, clock, "dead")
    clock.now += service.LEASE
    heir = claim(app, clock, "heir")
    assert dead and heir and (heir.id, heir.attempts) == (dead.id, 2)


def test_a_failure_is_kept_and_does_not_end_the_schedule(
    app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: App) -> str:
        raise BillingError(detail="broken on purpose")

    service.ensure(app)
    monkeypatch.setattr(reset, "roll_over", broken)
    monkeypatch.setattr(type(app.registry), "resolve", lambda self, reference: broken)
    while service.run_due(app):
        pass
    monkeypatch.undo()
    failed = service.list_jobs(app, ListJobs(type="quota_reset", status="failed"))
    assert "broken on purpose" in (failed[0].last_error or "")
    assert service.clear(app, ClearJobs(status="failed", type="quota_reset")).requeued == 1
    assert statuses(app) == ["queued", "cleared"]
    assert service.run_due(app) == 1
    assert "succeeded" in statuses(app)


def test_the_schedule_says_where_nobody_does_the_work(app: App, clock: Clock) -> None:
    service.ensure(app)
    while service.run_due(app):
        pass
    clock.now = service.schedule(app, "quota_reset").next_at + timedelta(seconds=30)
    assert service.schedule(app, "quota_reset").note == ""
    clock.now += timedelta(seconds=100)
    assert service.schedule(app, "quota_reset").note == "due for 130 s and nobody does it: nself restart billing"
    assert claim(app, clock, "dead:1") and service.schedule(app, "quota_reset").note == ""
    clock.now += timedelta(hours=1)
    assert "dead:1 began it and does not answer" in service.schedule(app, "quota_reset").note
    while service.run_due(app):
        pass
    assert service.schedule(app, "quota_reset").note == ""


def test_a_kind_that_is_none_is_named(app: App) -> None:
    with pytest.raises(BillingError, match="No such kind of work: nonsense"):
        service.list_jobs(app, ListJobs(type="nonsense"))


def test_the_reset_can_be_rescheduled(app: App, clock: Clock) -> None:
    service.ensure(app)
    while service.run_due(app):
        pass
    assert service.schedule(app, "quota_reset").next_at > clock.now
    reset.schedule_reset(app, ScheduleReset())
    assert service.schedule(app, "quota_reset").next_at == clock.now
    assert service.run_due(app) == 1
