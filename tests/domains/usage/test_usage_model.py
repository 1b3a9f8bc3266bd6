"""Any interleaving of recording, resending and folding gives what a slow, obvious model gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from usage_model import AGGREGATIONS, MOST, Event, Model, midnight

from metering import people, status, steady
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.usage import store
from nself.domains.usage.inputs import AggregateUsage, RecordUsage, ShowUsage, UsageEvent
from nself.domains.usage.service import aggregate, record, show

ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut")
NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
# Month borders, and the days on which one of the zones changes its clocks (Havana and Beirut at midnight).
BORDERS = ((2026, 3, 29), (2026, 4, 1), (2026, 4, 5), (2026, 10, 4), (2026, 10, 25), (2026, 11, 1), (2026, 11, 3))
STEPS = (0, 0, 60, 1799, 1800, 3600, 5400, 7200)


class Clock(Protocol):
    now: datetime


class Places(Protocol):
    def __call__(self, zone: str = "UTC") -> App: ...


def instants(borders: list[datetime]) -> st.SearchStrategy[datetime]:
    """Around the borders of a run's days, few enough to meet each other."""
    return st.builds(
        lambda border, sign, seconds, micro: border + timedelta(seconds=sign * seconds, microseconds=micro),
        st.sampled_from(borders),
        st.sampled_from((-1, 1)),
        st.sampled_from(STEPS),
        st.sampled_from((-1, 0, 0, 1)),
    )


ODD_INSTANTS = st.sampled_from([datetime(1999, 12, 31, 23, 59, tzinfo=UTC), NOW + timedelta(days=2)])


def events(users: list[str], metrics: list[str], borders: list[datetime]) -> st.SearchStrategy[Event]:
    return st.builds(
        Event,
        user=st.sampled_from([*users * 5, "nobody"]),
        metric=st.sampled_from([*metrics * 4, "unheard_of"]),
        value=st.one_of(st.integers(0, 9), st.integers(0, 9), st.sampled_from([MOST, MOST + 1, -1])),
        at=st.one_of(st.none(), *[instants(borders)] * 4, ODD_INSTANTS),
        key=st.one_of(st.none(), st.none(), st.sampled_from("abc")),
        properties=st.sampled_from([(), (), (("n", 1),)]),
    )


class Metering(RuleBasedStateMachine):
    """One run: a zone, two users of its own, a clock."""

    app_in: Places
    clock: Clock

    @initialize(
        zone=st.sampled_from(ZONES),
        days=st.lists(st.sampled_from(BORDERS), min_size=1, max_size=1),
        metrics=st.lists(st.sampled_from(sorted(AGGREGATIONS)), min_size=1, max_size=2, unique=True),
    )
    def begin(self, zone: str, days: list[tuple[int, int, int]], metrics: list[str]) -> None:
        self.clock.now = NOW
        self.borders = [midnight(*day, tz) for day in days for tz in (ZoneInfo(zone), ZoneInfo("UTC"))]
        self.app = self.app_in(zone)
        self.users = list(people(self.app))
        self.model = Model(self.users, ZoneInfo(zone))
        self.before = status(self.app)
        self.sent: list[Event] = []
        self.events = events(self.users, metrics, self.borders)

    def send(self, batch: list[Event]) -> None:
        now = self.clock.now
        expected = [self.model.tell(event, now) for event in batch]
        outcome = record.ingest(self.app, [self.spell(event) for event in batch], "test")
        fates = [
            outcome.refused[at].code
            if at in outcome.refused
            else "duplicate"
            if at in outcome.duplicates
            else "counted"
            for at in range(len(batch))
        ]
        assert fates == expected
        self.sent += batch

    def spell(self, event: Event) -> UsageEvent:
        """In the zone of the project, without saying so where that is clear."""
        return UsageEvent(
            user=event.user,
            metric=event.metric,
            value=event.value,
            at=event.at and event.at.astimezone(self.app.timezone).isoformat(),
            key=event.key,
            properties=dict(event.properties) or None,
        )

    @rule(data=st.data())
    def batch(self, data: st.DataObject) -> None:
        self.send(data.draw(st.lists(self.events, min_size=1, max_size=8)))
        match data.draw(st.sampled_from(("leave", "fold all", "fold a part"))):
            case "fold all":
                assert aggregate.aggregate(self.app, AggregateUsage()).pending == 0
            case "fold a part":
                self.fold_a_part(data.draw(st.integers(1, 3)))
            case _:
                pass

    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        if self.sent:
            self.send(data.draw(st.lists(st.sampled_from(self.sent), max_size=5)))

    @rule(data=st.data())
    def resend_with_another_time(self, data: st.DataObject) -> None:
        if self.sent:
            event = data.draw(st.sampled_from(self.sent))
            self.send([event._replace(at=data.draw(instants(self.borders)))])

    @rule(data=st.data())
    def record_one(self, data: st.DataObject) -> None:
        event = data.draw(self.events)._replace(properties=())
        expected = self.model.tell(event, self.clock.now)
        spelt = self.spell(event)
        given = RecordUsage(user=spelt.user, metric=spelt.metric, value=spelt.value, at=spelt.at, key=spelt.key)
        try:
            found = record.record(self.app, given).result
        except BillingError as error:
            found = error.code
        assert found == {"counted": "recorded"}.get(expected, expected)

    def fold_a_part(self, most: int) -> None:
        with self.app.db.transaction() as tx:
            deltas = store.pending(tx, aggregate.FIRST, 1000)
            for shard in {one.shard for one in deltas}:
                aggregate.fold_some(tx, [one for one in deltas if one.shard == shard][:most])

    @rule(minutes=st.sampled_from((1, 29, 61, 24 * 60)))
    def time_passes(self, minutes: int) -> None:
        self.clock.now += timedelta(minutes=minutes)

    @invariant()
    def months_agree(self) -> None:
        for (year, month), user in self.asked():
            assert {one.metric: one.value for one in self.shown(user, year, month)} == self.model.month(
                user, year, month
            )

    @invariant()
    def days_and_hours_agree(self) -> None:
        for (year, month), user in self.asked():
            days = {
                (one.period_start, one.period_end, one.metric): one.value
                for one in self.shown(user, year, month, by="day")
            }
            assert days == self.model.days(user, year, month)
            hours = {(one.period_start, one.metric): one.value for one in self.shown(user, year, month, by="hour")}
            assert hours == self.model.hours(user, year, month)

    @invariant()
    def the_law_holds(self) -> None:
        if not hasattr(self, "model"):
            return
        now, before, fates = status(self.app), self.before, self.model.fates
        assert now.balanced
        assert now.duplicate - before.duplicate == fates["duplicate"]
        assert now.rejected - before.rejected == fates["rejected"]
        assert now.raw_events + now.archived - before.raw_events - before.archived == fates["counted"]
        assert now.counted + now.pending - before.counted - before.pending == fates["counted"]
        assert now.accepted - before.accepted == fates.total()

    def asked(self) -> list[tuple[tuple[int, int], str]]:
        if not hasattr(self, "model"):
            return []
        return [(month, user) for month in sorted(self.model.months()) for user in self.users]

    def shown(self, user: str, year: int, month: int, **more: object) -> list[show.Total]:
        found = show.show(self.app, ShowUsage(user=user, period=f"{year}-{month:02}", **more))  # type: ignore[arg-type]
        return [one for one in found if one.events]


def run(app_in: Places, clock: Clock, examples: int, steps: int) -> None:
    class Machine(Metering):
        pass

    Machine.app_in, Machine.clock = staticmethod(app_in), clock  # type: ignore[assignment]
    run_state_machine_as_test(Machine, settings=settings(steady(examples), stateful_step_count=steps))


def test_any_interleaving_agrees_with_the_model(app_in: Places, clock: Clock) -> None:
    run(app_in, clock, examples=35, steps=12)


@pytest.mark.long
def test_long_interleavings_agree_with_the_model(app_in: Places, clock: Clock) -> None:
    run(app_in, clock, examples=80, steps=40)
