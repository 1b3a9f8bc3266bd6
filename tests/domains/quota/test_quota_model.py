"""Any interleaving of recording, reserving, settling, expiring, resets and folds gives what a slow, obvious model gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from quota_model import LEASE, Model

from metering import people, steady
from nself.app import App
from nself.domains.quota.errors import ReservationSettled
from nself.domains.quota.inputs import (
    BlockUser,
    ClearCache,
    CommitQuota,
    ReleaseQuota,
    ReserveQuota,
    ResetQuota,
    SetQuota,
    UnblockUser,
)
from nself.domains.quota.service import ask, block, cache, limits, reset, show
from nself.domains.usage.errors import KeyReused
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import aggregate, record

# Just before clocks change, days or months end in one of the zones.
MOMENTS = [
    datetime(2026, 3, 29, 0, 55, tzinfo=UTC),  # Berlin springs forward at 01:00
    datetime(2026, 10, 25, 0, 40, tzinfo=UTC),  # and back
    datetime(2026, 3, 8, 6, 50, tzinfo=UTC),  # New York at 07:00
    datetime(2026, 11, 1, 5, 45, tzinfo=UTC),
    datetime(2026, 4, 4, 14, 40, tzinfo=UTC),  # Lord Howe by half an hour at 15:00
    datetime(2026, 10, 3, 13, 25, tzinfo=UTC),  # its midnight lies inside a UTC hour
    datetime(2026, 3, 31, 21, 50, tzinfo=UTC),  # Berlin's month ends at 22:00
    datetime(2026, 4, 30, 13, 20, tzinfo=UTC),  # Lord Howe's at 13:30
]
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")


class Clock(Protocol):
    now: datetime


class AppWith(Protocol):
    def __call__(self, **settings: str) -> App: ...


class Quotas(RuleBasedStateMachine):
    """One run: a zone, one user of its own, one limit, a clock."""

    apps: dict[str, App]
    clock: Clock

    @initialize(
        zone=st.sampled_from(ZONES),
        begin=st.sampled_from(MOMENTS),
        metric=st.sampled_from(["calls", "calls", "logins", "peak"]),
        period=st.sampled_from(["hour", "day", "day", "month"]),
        limit=st.integers(0, 12),
    )
    def start(self, zone: str, begin: datetime, metric: str, period: str, limit: int) -> None:
        self.clock.now = begin
        self.app = self.apps[zone]
        (self.user,) = people(self.app)
        self.metric = metric
        limits.set_quota(self.app, SetQuota(user=self.user, metric=metric, limit=limit, period=period))  # type: ignore[arg-type]
        self.model = Model(metric, limit, period, ZoneInfo(zone))
        self.names: list[str] = []
        self.given: dict[str, ReserveQuota] = {}
        self.asked = 0

    @rule(value=st.integers(0, 6), before=st.sampled_from((0, 0, 1, 17, 45, 90)))
    def record(self, value: int, before: int) -> None:
        at = self.clock.now - timedelta(minutes=before)
        event = UsageEvent(user=self.user, metric=self.metric, value=value, at=at.isoformat())
        assert not record.ingest(self.app, [event], "test").refused
        self.model.events.append((at, value))

    @rule(value=st.integers(0, 6))
    def reserve(self, value: int) -> None:
        expected = self.model.ask(self.clock.now, value)
        self.asked += 1
        given = ReserveQuota(user=self.user, metric=self.metric, value=value, key=f"key {self.asked}")
        found = ask.reserve(self.app, given)
        assert found.allowed == expected.allowed == (found.reservation is not None)
        if found.reservation:
            self.model.reserve(self.clock.now, value, found.reservation)
            self.names.append(found.reservation)
            self.given[found.reservation] = given

    @rule(data=st.data(), more=st.integers(0, 1))
    def reserve_again(self, data: st.DataObject, more: int) -> None:
        """With the key of one that was granted: nothing changes, whatever became of it."""
        if not self.names:
            return
        name = data.draw(st.sampled_from(self.names))
        given = msgspec.structs.replace(self.given[name], value=self.given[name].value + more)
        if more:
            with pytest.raises(KeyReused):
                ask.reserve(self.app, given)
        else:
            found = ask.reserve(self.app, given)
            assert (found.allowed, found.reservation) == (True, name)

    @rule(data=st.data(), value=st.integers(0, 8))
    def commit(self, data: st.DataObject, value: int) -> None:
        if not self.names:
            return
        name = data.draw(st.sampled_from(self.names))
        expected = self.model.commit(self.clock.now, name, value)
        if expected == "settled":
            with pytest.raises(ReservationSettled):
                ask.commit(self.app, CommitQuota(reservation=name, value=value))
            return
        found = ask.commit(self.app, CommitQuota(reservation=name, value=value))
        assert found.allowed == (expected != "refused")
        assert ("had expired" in found.note) == (expected == "late") or expected == "repeated"

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if not self.names:
            return
        name = data.draw(st.sampled_from(self.names))
        expected = self.model.release(name)
        if expected == "settled":
            with pytest.raises(ReservationSettled):
                ask.release(self.app, ReleaseQuota(reservation=name))
        else:
            assert ask.release(self.app, ReleaseQuota(reservation=name)).allowed

    @rule(every=st.booleans())
    def reset(self, every: bool) -> None:
        reset.reset(self.app, ResetQuota(user=self.user, metric=None if every else self.metric))
        self.model.resets.append(self.clock.now)

    @rule()
    def block(self) -> None:
        block.block(self.app, BlockUser(user=self.user, reason="test"))
        self.model.blocked = True

    @rule(extra=st.integers(0, 3))
    def unblock(self, extra: int) -> None:
        block.unblock(self.app, UnblockUser(user=self.user, extra=extra))
        self.model.unblock(self.clock.now, extra)

    @rule(minutes=st.sampled_from((1, 4, 6, 31, 61, 24 * 60)))
    def time_passes(self, minutes: int) -> None:
        self.clock.now += timedelta(minutes=minutes)
        known_since = self.clock.now - timedelta(days=1) + LEASE  # older ones may be forgotten
        self.names = [name for name in self.names if self.model.holds[name].at > known_since]

    @rule(what=st.sampled_from(("fold", "sweep", "roll", "clear")))
    def housekeeping(self, what: str) -> None:
        match what:
            case "fold":
                aggregate.aggregate(self.app)
            case "sweep":
                show.sweep(self.app)
            case "roll":
                reset.roll_over(self.app)
            case _:
                cache.clear(self.app, ClearCache(pattern=f"billing:quota:{self.user}"))

    @invariant()
    def the_figures_agree(self) -> None:
        if not hasattr(self, "names"):
            return
        for value in (0, 1, 3):
            expected = self.model.ask(self.clock.now, value)
            (found,) = ask.states(self.app, self.user, self.metric, value, "look")
            assert (found.used, found.held, found.allowed) == expected


def run(app_with: AppWith, clock: Clock, examples: int, steps: int, number: int | None = None) -> None:
    class Machine(Quotas):
        pass

    Machine.apps = {zone: app_with(BILLING_TIMEZONE=zone) for zone in ZONES}
    Machine.clock = clock
    machine = Machine if number is None else seed(number)(Machine)
    run_state_machine_as_test(machine, settings=settings(steady(examples), stateful_step_count=steps))


def test_any_interleaving_agrees_with_the_model(app_with: AppWith, clock: Clock) -> None:
    run(app_with, clock, examples=25, steps=15)


@pytest.mark.long
@pytest.mark.parametrize("part", range(5))
def test_long_interleavings_agree_with_the_model(app_with: AppWith, clock: Clock, part: int) -> None:
    run(app_with, clock, examples=30, steps=40, number=part)
