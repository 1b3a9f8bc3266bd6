"""Any interleaving of recording, folding, repairing and damage gives what a slow, obvious model gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Protocol

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from metering import people, status, steady
from nself.app import App
from nself.domains.quota.inputs import SetQuota, StatusQuota
from nself.domains.quota.service import limits
from nself.domains.quota.service import show as quota
from nself.domains.repair.inputs import CorrectEvent, DeduplicateUsage, RecalculateUsage, VoidEvent
from nself.domains.repair.service import adjust, recalculate
from nself.domains.total import store as totals
from nself.domains.usage.inputs import ShowUsage, UsageEvent
from nself.domains.usage.service import aggregate, record, show

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
METRICS = {"calls": "sum", "logins": "count", "peak": "max", "seats": "last"}


class Clock(Protocol):
    now: datetime


class Stored:
    """An event of the model; `counts` is None where it does not count."""

    def __init__(self, metric: str, value: int, at: datetime, key: str, own: bool, number: int) -> None:
        self.metric, self.value, self.at, self.key, self.own, self.number = metric, value, at, key, own, number
        self.counts: int | None = value


def figure(metric: str, events: list[Stored]) -> int:
    counted = sorted((one.at, one.counts) for one in events if one.counts is not None)
    values = [value for _, value in counted]
    return {
        "sum": sum(values),
        "count": len(values),
        "max": max(values, default=0),
        "last": values[-1] if values else 0,
    }[METRICS[metric]]


class Repairing(RuleBasedStateMachine):
    """One user with a quota; half of the events have keys of their own."""

    app: App
    clock: Clock

    @initialize()
    def begin(self) -> None:
        self.clock.now = NOW
        (self.user,) = people(self.app)
        limits.set_quota(self.app, SetQuota(user=self.user, metric="calls", limit=1000, period="month"))
        self.before = status(self.app)
        self.events: list[Stored] = []
        for metric in METRICS:
            self.send(metric, 2, 0, 0, own=False, times=2)

    @rule(
        metric=st.sampled_from(sorted(METRICS)), value=st.integers(0, 3), hours=st.sampled_from((0, 0, 1, 60, 80)),
        micro=st.sampled_from((0, 0, 1_000_000, 5_000_000)), own=st.booleans(), times=st.integers(1, 3),
    )  # fmt: skip
    def send(self, metric: str, value: int, hours: int, micro: int, own: bool, times: int) -> None:
        at = NOW - timedelta(hours=hours) + timedelta(microseconds=micro)
        for _ in range(times):
            self.clock.now += timedelta(microseconds=1)
            key = f"own-{len(self.events)}" if own else f"@{len(self.events):032x}"
            event = UsageEvent(user=self.user, metric=metric, value=value, at=at.isoformat(), key=key)
            assert not record.ingest(self.app, [event], "test").refused
            self.events.append(Stored(metric, value, at, key, own, len(self.events)))

    @rule(ask=st.booleans())
    def fold(self, ask: bool) -> None:
        aggregate.aggregate(self.app)
        if ask:
            self.ask_for_the_quota()

    @rule(data=st.data(), execute=st.booleans(), ask=st.booleans())
    def void(self, data: st.DataObject, execute: bool, ask: bool) -> None:
        if ask:
            self.ask_for_the_quota()
        one = data.draw(st.sampled_from(self.events))
        found = adjust.void(self.app, VoidEvent(user=self.user, key=one.key, execute=execute))
        assert (found.before, found.after, found.recorded) == (one.counts, None, one.value)
        if execute:
            one.counts = None
        if ask:
            self.ask_for_the_quota()

    @rule(data=st.data(), value=st.integers(0, 5), execute=st.booleans(), ask=st.booleans())
    def correct(self, data: st.DataObject, value: int, execute: bool, ask: bool) -> None:
        if ask:
            self.ask_for_the_quota()
        one = data.draw(st.sampled_from(self.events))
        given = CorrectEvent(user=self.user, key=one.key, value=value, execute=execute)
        found = adjust.correct(self.app, given)
        assert (found.before, found.after) == (one.counts, value)
        if execute:
            one.counts = value
        if ask:
            self.ask_for_the_quota()

    @rule(own=st.booleans(), within=st.sampled_from((0, 1, 10)), execute=st.booleans())
    def deduplicate(self, own: bool, within: int, execute: bool) -> None:
        given = DeduplicateUsage(
            user=self.user, start="2026-10-01", end="2026-11-30", own_keys=own, within=within, execute=execute
        )
        found = adjust.deduplicate(self.app, given)
        expected = [one for one in self.repeated(within) if own or not one.own]
        assert {one.key for one in found.duplicates} == {one.key for one in expected}
        assert found.with_own_keys == (0 if own else sum(one.own for one in self.repeated(within)))
        if execute:
            for one in expected:
                one.counts = None

    def repeated(self, within: int) -> list[Stored]:
        """By hand: of what says the same, all that lies within reach of the earliest that is kept."""
        counted = sorted(
            (one for one in self.events if one.counts is not None), key=lambda one: (one.at, not one.own, one.number)
        )
        found: list[Stored] = []
        for said in {(one.metric, one.counts) for one in counted}:
            kept = None
            for one in (one for one in counted if (one.metric, one.counts) == said):
                if kept is not None and (one.at - kept.at).total_seconds() <= within:
                    found.append(one)
                else:
                    kept = one
        return found

    @rule(damage=st.sampled_from(("lose", "double", "forget deltas", "none")), month=st.sampled_from((None, "2026-11")))
    def damage_and_recalculate(self, damage: str, month: str | None) -> None:
        """Somebody's hand in the tables is seen, and mended from the events."""
        statement = {
            "lose": "delete from billing_usage_rollups where user_id = %s",
            "double": "update billing_usage_rollups set total = total * 2 + 1, largest = largest + 7 where user_id = %s",
            "forget deltas": "delete from billing_usage_deltas where user_id = %s",
            "none": "select %s",
        }[damage]
        with self.app.db.transaction() as tx:
            tx.connection.execute(statement.encode(), (self.user,))
        tried = recalculate.recalculate(self.app, RecalculateUsage(user=self.user))
        done = recalculate.recalculate(self.app, RecalculateUsage(user=self.user, execute=True))
        assert (tried.hours, tried.changes) == (done.hours, done.changes)
        again = recalculate.recalculate(self.app, RecalculateUsage(user=self.user, month=month, execute=True))
        assert (again.hours, again.changes) == ([], [])
        with self.app.db.reading() as tx:
            assert totals.drift(tx) == []

    @invariant()
    def figures_agree(self) -> None:
        if not hasattr(self, "events"):
            return
        for month in ("2026-10", "2026-11"):
            shown = show.show(self.app, ShowUsage(user=self.user, period=month))
            here = [one for one in self.events if f"{one.at:%Y-%m}" == month and one.counts is not None]
            by_metric = {
                name: list(found)
                for name, found in groupby(sorted(here, key=lambda one: one.metric), lambda one: one.metric)
            }
            assert {one.metric: one.value for one in shown if one.events} == {
                metric: figure(metric, found) for metric, found in by_metric.items()
            }
            assert {one.metric: one.events for one in shown if one.events} == {
                metric: len(found) for metric, found in by_metric.items()
            }

    def ask_for_the_quota(self) -> None:
        """Folds, and makes a counter that later repairs have to put right."""
        here = [one for one in self.events if one.metric == "calls" and f"{one.at:%Y-%m}" == "2026-11"]
        (found,) = quota.status(self.app, StatusQuota(user=self.user, metric="calls"))
        assert found.used == figure("calls", here)

    @invariant()
    def the_law_holds(self) -> None:
        if hasattr(self, "events"):
            now = status(self.app)
            assert now.balanced
            assert now.accepted - self.before.accepted == len(self.events)
            counted = now.counted + now.pending - self.before.counted - self.before.pending
            assert counted == sum(one.counts is not None for one in self.events)


def run(app: App, clock: Clock, examples: int, steps: int) -> None:
    class Machine(Repairing):
        pass

    Machine.app, Machine.clock = app, clock
    run_state_machine_as_test(Machine, settings=settings(steady(examples), stateful_step_count=steps))


def test_any_interleaving(app: App, clock: Clock) -> None:
    run(app, clock, examples=60, steps=20)


@pytest.mark.long
def test_many_more(app: App, clock: Clock) -> None:
    run(app, clock, examples=150, steps=30)
