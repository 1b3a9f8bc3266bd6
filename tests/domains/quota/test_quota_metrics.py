"""Limits of what is no sum: distinct values, and what holds over time. Counted as a slow, obvious model counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quota_model import window

from metering import app_on, law, people, steady
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.quota.inputs import (
    CheckQuota,
    CommitQuota,
    CompareQuota,
    ReleaseQuota,
    ReserveQuota,
    ResetQuota,
    SetQuota,
    ShowQuota,
)
from nself.domains.quota.model import Decision
from nself.domains.quota.service import ask, limits, reset, show
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import aggregate, record

METRICS = """\
metrics:
  people: {unit: person, aggregation: unique, field: who}
  held: {unit: byte, aggregation: time_weighted}
  eu_calls: {unit: request, aggregation: sum, filter: {region: {equals: eu}}}
  turned:
    - {from: 2000-01-01, unit: request, aggregation: sum}
    - {from: 2026-03-01, unit: request, aggregation: count}
"""
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
MOMENTS = [
    datetime(2026, 3, 29, 0, 55, tzinfo=UTC),  # Berlin springs forward at 01:00
    datetime(2026, 10, 25, 0, 40, tzinfo=UTC),
    datetime(2026, 3, 8, 6, 50, tzinfo=UTC),  # New York at 07:00
    datetime(2026, 11, 1, 5, 45, tzinfo=UTC),
    datetime(2026, 4, 4, 14, 40, tzinfo=UTC),  # Lord Howe by half an hour at 15:00
    datetime(2026, 10, 3, 13, 25, tzinfo=UTC),
    datetime(2026, 4, 30, 13, 20, tzinfo=UTC),
]


class Clock(Protocol):
    now: datetime


class AppIn(Protocol):
    def __call__(self, zone: str = "UTC") -> App: ...


@pytest.fixture
def app_in(place: str, tmp_path: Path, clock: Clock) -> Iterator[AppIn]:
    with ExitStack() as stack:
        made: dict[str, App] = {}

        def app_in(zone: str = "UTC") -> App:
            if zone not in made:
                folder = tmp_path / f"project-{len(made)}"
                made[zone] = stack.enter_context(
                    app_on(folder, place, clock, METRICS, BILLING_TIMEZONE=zone)  # type: ignore[arg-type]
                )
            return made[zone]

        yield app_in
        law(app_in())


@pytest.fixture
def app(app_in: AppIn) -> App:
    return app_in()


def limit(app: App, user: str, metric: str, most: int, **more: str) -> None:
    limits.set_quota(app, SetQuota(user=user, metric=metric, limit=most, **more))  # type: ignore[arg-type]


def use(app: App, user: str, metric: str, value: int = 1, at: datetime | None = None, **properties: object) -> None:
    event = UsageEvent(user=user, metric=metric, value=value, at=at and at.isoformat(), properties=properties or None)
    assert not record.ingest(app, [event], "test").refused


def check(app: App, user: str, metric: str, value: int = 1) -> Decision:
    return ask.check(app, CheckQuota(user=user, metric=metric, value=value))


def reserve(app: App, user: str, metric: str, value: int = 1) -> Decision:
    return ask.reserve(app, ReserveQuota(user=user, metric=metric, value=value))


def commit(app: App, held: Decision, **properties: object) -> Decision:
    assert held.reservation
    return ask.commit(app, CommitQuota(reservation=held.reservation, properties=properties or None))


def test_a_limit_of_distinct_values_counts_each_once(app: App) -> None:
    (user,) = people(app)
    limit(app, user, "people", 2)
    for who in ("ann", "ann", "bob"):
        use(app, user, "people", who=who)
    found = check(app, user, "people", 0)
    assert (found.used, found.remaining, found.allowed) == (2, 0, True)
    assert not check(app, user, "people").allowed  # it could be a third


def test_a_commit_of_a_known_value_gives_its_room_back(app: App) -> None:
    (user,) = people(app)
    limit(app, user, "people", 2)
    use(app, user, "people", who="ann")
    held = reserve(app, user, "people")
    assert held.allowed and not reserve(app, user, "people").allowed
    done = commit(app, held, who="ann")
    assert (done.used, done.held, done.remaining) == (1, 0, 1)
    done = commit(app, reserve(app, user, "people"), who="bob")
    assert (done.used, done.held, done.remaining) == (2, 0, 0)
    assert not reserve(app, user, "people").allowed


def test_a_commit_is_refused_as_an_event_is_and_the_hold_stays(app: App) -> None:
    (user,) = people(app)
    limit(app, user, "people", 1)
    held = reserve(app, user, "people")
    with pytest.raises(BillingError) as caught:
        commit(app, held)
    assert caught.value.code == "property_missing"
    assert check(app, user, "people", 0).held == 1
    assert held.reservation
    ask.release(app, ReleaseQuota(reservation=held.reservation))
    assert check(app, user, "people").allowed
    limit(app, user, "eu_calls", 5)
    held = reserve(app, user, "eu_calls", 3)
    with pytest.raises(BillingError) as caught:
        commit(app, held, region="us")
    assert caught.value.code == "filtered"
    assert commit(app, held, region="eu").used == 3


def test_what_holds_over_time_fills_its_limit_by_itself(app: App, clock: Clock) -> None:
    (user,) = people(app)
    limit(app, user, "held", 100)
    use(app, user, "held", 10)
    assert check(app, user, "held", 0).used == 0
    clock.now += timedelta(seconds=9)
    assert (check(app, user, "held").used, check(app, user, "held").allowed) == (90, True)
    clock.now += timedelta(seconds=2)
    found = check(app, user, "held")
    assert (found.used, found.allowed) == (110, False)
    (row,) = show.compare(app, CompareQuota(user=user, metric="held"))
    assert (row.counter, row.raw_events, row.invoice, row.difference) == (110, 110, 110, 0)


def test_a_value_that_holds_from_before_the_window_counts_in_it(app: App, clock: Clock) -> None:
    (user,) = people(app)
    clock.now = datetime(2026, 2, 10, 12, 0, 30, tzinfo=UTC)
    limit(app, user, "held", 1000, period="hour")
    use(app, user, "held", 4, at=datetime(2026, 1, 3, tzinfo=UTC))
    assert check(app, user, "held", 0).used == 4 * 30
    use(app, user, "held", 2, at=datetime(2026, 2, 10, 11, 59, 59, 900_000, tzinfo=UTC))  # late, before the window
    assert check(app, user, "held", 0).used == 2 * 30


def test_a_window_counts_by_the_formula_of_the_month_in_which_it_begins(app: App, clock: Clock) -> None:
    (user,) = people(app)
    clock.now = datetime(2026, 3, 1, 12, tzinfo=UTC)  # a Sunday: the week began in February
    limit(app, user, "turned", 100, period="week")
    use(app, user, "turned", 7)
    assert check(app, user, "turned", 0).used == 7
    limit(app, user, "turned", 100, period="day")
    assert check(app, user, "turned", 0).used == 1


@steady(40)
@given(st.data())
def test_used_is_what_the_model_counts(apps: dict[str, App], clock: Clock, data: st.DataObject) -> None:
    """Records, late ones, reservations, commits, folds and resets around changes of the clocks."""
    zone = data.draw(st.sampled_from(ZONES))
    metric = data.draw(st.sampled_from(["people", "held"]))
    period = data.draw(st.sampled_from(["hour", "day", "month"]))
    app, tz = apps[zone], ZoneInfo(zone)
    clock.now = data.draw(st.sampled_from(MOMENTS)) + timedelta(microseconds=data.draw(st.sampled_from((0, 700_000))))
    (user,) = people(app)
    limit(app, user, metric, 10**9, period=period)
    events: list[tuple[datetime, int, str]] = []
    resets: list[datetime] = []
    for _ in range(data.draw(st.integers(1, 8))):
        step = data.draw(st.sampled_from(("record", "record", "commit", "time", "time", "fold", "reset")))
        value, who = data.draw(st.integers(1, 6)), data.draw(st.sampled_from("abc"))
        if step == "record":
            at = clock.now - timedelta(minutes=data.draw(st.sampled_from((0, 0, 1, 17, 45, 90))))
            use(app, user, metric, value, at, who=who)
            events.append((at, value, who))
        elif step == "commit":
            held = reserve(app, user, metric, value)
            at, clock.now = clock.now, clock.now + timedelta(seconds=data.draw(st.integers(0, 60)))
            done = commit(app, held, who=who)
            events.append((at, value, who))
            assert (done.used, done.held) == (model(metric, events, resets, period, tz, at, clock.now), 0)
        elif step == "time":
            clock.now += timedelta(minutes=data.draw(st.sampled_from((1, 10, 34, 61))), seconds=1)
        elif step == "fold":
            aggregate.aggregate(app)
        else:
            reset.reset(app, ResetQuota(user=user, metric=metric))
            resets.append(clock.now)
        (found,) = ask.show(app, ShowQuota(user=user, metric=metric))
        assert found.used == model(metric, events, resets, period, tz, clock.now, clock.now)


def model(
    metric: str, events: list[tuple[datetime, int, str]], resets: list[datetime], period: str, tz: ZoneInfo, at: datetime, now: datetime
) -> int:  # fmt: skip
    start, end = window(at, period, tz)
    start = max([start, *(one for one in resets if one < end)])
    if metric == "people":
        return len({who for moment, _, who in events if start <= moment < end})
    used, moment = 0, start.replace(microsecond=0)
    while moment < min(end, now).replace(microsecond=0):  # second by second would take a month's
        before = [one for one in sorted(events) if one[0].replace(microsecond=0) <= moment]
        later = [one[0].replace(microsecond=0) for one in events if one[0].replace(microsecond=0) > moment]
        after = min([*later, min(end, now).replace(microsecond=0)])
        used += (before[-1][1] if before else 0) * int((after - moment).total_seconds())
        moment = after
    return used


@pytest.fixture
def apps(app_in: AppIn) -> dict[str, App]:
    return {zone: app_in(zone) for zone in ZONES}
