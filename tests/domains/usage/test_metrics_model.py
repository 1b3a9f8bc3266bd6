"""Any interleaving of recording, resending, late events and folds by several workers gives what a slow, obvious model gives,

for all six aggregations with filters, validation, groups and versions, around every change of the clocks of three zones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from metrics_model import GROUPED, METRICS, VERSIONS, Event, Model, midnight

from metering import app_on, law, people, status, steady
from nself.app import App
from nself.domains.usage import store
from nself.domains.usage.figures import GroupTotal
from nself.domains.usage.inputs import CompareUsage, ShowUsage, UsageEvent
from nself.domains.usage.service import aggregate, inspect, record, show

NOW = datetime(2026, 11, 3, 12, 0, 0, 250_000, tzinfo=UTC)
# Each change of the clocks in 2026, its day's midnights, and months that begin with another formula.
CHANGES = {
    "Europe/Berlin": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "America/New_York": [datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)],
}
MONTHS = [date(2026, 3, 1), date(2026, 4, 1), date(2026, 10, 1), date(2026, 11, 1)]
STEPS = (0, 0, 1, 60, 1799, 1800, 3600, 5400, 86_400)


class Clock(Protocol):
    now: datetime


class Places(Protocol):
    def __call__(self, zone: str) -> App: ...


@pytest.fixture
def apps(place: str, tmp_path: Path, clock: Clock) -> Iterator[Places]:
    with ExitStack() as stack:
        made: dict[str, App] = {}

        def app_in(zone: str) -> App:
            if zone not in made:
                folder = tmp_path / f"project-{len(made)}"
                made[zone] = stack.enter_context(
                    app_on(folder, place, clock, METRICS, BILLING_TIMEZONE=zone)  # type: ignore[arg-type]
                )
            return made[zone]

        yield app_in
        law(app_in("Europe/Berlin"))


def properties() -> st.SearchStrategy[tuple[tuple[str, object], ...]]:
    return st.builds(
        lambda region, who, code: tuple(
            (name, value) for name, value in (("region", region), ("who", who), ("status", code)) if value is not None
        ),
        st.sampled_from(["eu", "eu", "us", "mars", None]),
        st.sampled_from(["ann", "bob", 1, "1", None]),
        st.sampled_from([200, 200, 299, 300, "200", None]),
    )


class Metrics(RuleBasedStateMachine):
    """One run: a zone, a change of its clocks, two metrics, a user of its own."""

    app_in: Places
    clock: Clock

    @initialize(
        zone=st.sampled_from(sorted(CHANGES)),
        change=st.integers(0, 1),
        month=st.sampled_from(MONTHS),
        metrics=st.lists(st.sampled_from(sorted(VERSIONS)), min_size=1, max_size=2, unique=True),
    )
    def begin(self, zone: str, change: int, month: date, metrics: list[str]) -> None:
        self.clock.now = NOW
        self.app, tz = self.app_in(zone), ZoneInfo(zone)
        (self.user,) = people(self.app)
        self.model, self.metrics, self.tz = Model(tz), metrics, tz
        at = CHANGES[zone][change]
        day = at.astimezone(tz).date()
        self.borders = [at, midnight(day, tz), midnight(day + timedelta(days=1), tz), midnight(month, tz)]
        self.number = 0
        self.sent: list[Event] = []
        self.before, self.fates = status(self.app), dict.fromkeys(("counted", "duplicate", "rejected"), 0)

    def instants(self) -> st.SearchStrategy[datetime]:
        return st.builds(
            lambda border, sign, seconds, micro: min(
                NOW, border + timedelta(seconds=sign * seconds, microseconds=micro)
            ),
            st.sampled_from(self.borders),
            st.sampled_from((-1, 1)),
            st.sampled_from(STEPS),
            st.sampled_from((-1, 0, 0, 1, 600_000)),
        )

    def draw(self, data: st.DataObject) -> Event:
        self.number += 1
        return Event(
            self.user,
            data.draw(st.sampled_from(self.metrics)),
            data.draw(st.integers(0, 9)),
            data.draw(self.instants()),
            f"{self.number:04}",
            data.draw(properties()),
        )

    def send(self, batch: list[Event]) -> None:
        expected = [self.model.tell(event) for event in batch]
        events = [
            UsageEvent(
                user=one.user,
                metric=one.metric,
                value=one.value,
                at=one.at.isoformat(),
                key=one.key,
                properties=dict(one.properties) or None,
            )
            for one in batch
        ]
        outcome = record.ingest(self.app, events, "test")
        fates = [
            outcome.refused[at].code
            if at in outcome.refused
            else "duplicate"
            if at in outcome.duplicates
            else "counted"
            for at in range(len(batch))
        ]
        assert fates == expected
        for fate in expected:
            self.fates[fate if fate in self.fates else "rejected"] += 1
        self.sent += batch

    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        self.send([self.draw(data) for _ in range(data.draw(st.integers(1, 6)))])
        match data.draw(st.sampled_from(("leave", "leave", "fold all", "fold a part"))):
            case "fold all":
                assert aggregate.fold_all(self.app, data.draw(st.integers(1, 4))).pending == 0
            case "fold a part":
                with self.app.db.transaction() as tx:
                    deltas = store.pending(tx, aggregate.FIRST, 1000)
                    for shard in {one.shard for one in deltas}:
                        aggregate.fold_some(tx, [one for one in deltas if one.shard == shard][:2])
            case _:
                pass

    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        if self.sent:
            again = data.draw(st.lists(st.sampled_from(self.sent), max_size=4))
            self.send(again)
            self.send([one._replace(value=one.value + 1) for one in again[:1]])

    @rule(minutes=st.sampled_from((1, 61, 24 * 60)))
    def time_passes(self, minutes: int) -> None:
        self.clock.now += timedelta(minutes=minutes)

    @rule(month=st.sampled_from((3, 4, 10, 11)), by=st.sampled_from(("hour", "day")))
    def buckets(self, month: int, by: str) -> None:
        for metric in self.metrics:
            found = {
                (one.period_start, one.period_end): one.value
                for one in self.shown(metric, month, by=by)
                if one.value and self.near(one.period_start)
            }
            expected = {
                span: value
                for span in self.pieces(month, by)
                if self.near(span[0])
                and (value := self.model.figure(self.user, metric, *span, self.clock.now, span[0]))
            }
            assert found == expected, metric

    def near(self, at: datetime) -> bool:
        """Within what events reach, and a day on either side: what holds goes on for months."""
        return any(abs(at - border) < timedelta(days=2) for border in self.borders)

    def pieces(self, month: int, by: str) -> Iterator[tuple[datetime, datetime]]:
        """By the wall clock for days, by UTC for hours; cut at the month."""
        start, end = self.model.month(2026, month)
        while start < end:
            if by == "day":
                after = midnight(start.astimezone(self.tz).date() + timedelta(days=1), self.tz)
            else:
                after = start.replace(minute=0) + timedelta(hours=1)
            yield start, min(after, end)
            start = after

    @rule(month=st.sampled_from((3, 4, 10, 11)))
    def groups(self, month: int) -> None:
        for metric in GROUPED.intersection(self.metrics):
            rows = self.shown(metric, month, group_by="region")
            found = {one.group: one.value for one in rows if isinstance(one, GroupTotal) and one.value}
            span = self.model.month(2026, month)
            assert found == self.model.groups(self.user, metric, *span, self.clock.now)
            if metric != "people":
                whole = self.model.figure(self.user, metric, *span, self.clock.now, span[0])
                assert sum(found.values()) == whole

    @invariant()
    def months_agree(self) -> None:
        for metric in getattr(self, "metrics", ()):
            for month in (2, 3, 4, 10, 11):
                span = self.model.month(2026, month)
                (found,) = self.shown(metric, month)
                assert found.value == self.model.figure(self.user, metric, *span, self.clock.now, span[0]), (
                    metric,
                    month,
                )

    @invariant()
    def the_law_holds(self) -> None:
        if not hasattr(self, "model"):
            return
        now, before = status(self.app), self.before
        assert now.balanced
        assert now.raw_events - before.raw_events == self.fates["counted"]
        assert now.counted + now.pending - before.counted - before.pending == self.fates["counted"]
        assert now.duplicate - before.duplicate == self.fates["duplicate"]
        assert now.rejected - before.rejected == self.fates["rejected"]
        assert now.accepted - before.accepted == sum(self.fates.values())

    @rule()
    def compare(self) -> None:
        found = inspect.compare(self.app, CompareUsage(user=self.user, start="2026-03-01", end="2026-10-31"))
        assert {one.verdict for one in found} == {"equal"}

    def shown(self, metric: str, month: int, **more: str) -> list[show.Total]:
        asked = ShowUsage(user=self.user, metric=metric, period=f"2026-{month:02}", **more)  # type: ignore[arg-type]
        return show.show(self.app, asked)


def run(apps: Places, clock: Clock, examples: int, steps: int, number: int | None = None) -> None:
    class Machine(Metrics):
        pass

    Machine.app_in, Machine.clock = staticmethod(apps), clock  # type: ignore[assignment]
    machine = Machine if number is None else seed(number)(Machine)
    run_state_machine_as_test(machine, settings=settings(steady(examples), stateful_step_count=steps))


def test_any_interleaving_agrees_with_the_model(apps: Places, clock: Clock) -> None:
    run(apps, clock, examples=40, steps=10)


@pytest.mark.long
@pytest.mark.parametrize("part", range(3))
def test_long_interleavings_agree_with_the_model(apps: Places, clock: Clock, part: int) -> None:
    run(apps, clock, examples=40, steps=30, number=part)
