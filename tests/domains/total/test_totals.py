"""The usage of all users: hours as `usage show` adds up, late events, who used most, and what by which property."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from metering import METRICS, PAGES, app_on, people
from nself.app import App
from nself.core.errors import InvalidParameter
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.repair.inputs import CorrectEvent, RecalculateUsage, VoidEvent
from nself.domains.repair.service import adjust, recalculate
from nself.domains.total import service as total
from nself.domains.total.errors import NotCounted
from nself.domains.total.inputs import ShowTotals
from nself.domains.total.model import UsageTotal
from nself.domains.usage.inputs import ShowUsage, UsageEvent
from nself.domains.usage.service import aggregate, record, show
from serving import until

JANUARY = "2026-01"


@pytest.fixture
def app(tmp_path: Path, database: str, clock: Any) -> Iterator[App]:
    clock.now = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    with app_on(tmp_path / "project", database, clock, METRICS + PAGES) as made:
        yield made


def send(
    app: App, user: str, value: int, at: str, metric: str = "calls", key: str | None = None, **properties: object
) -> None:
    event = UsageEvent(user=user, metric=metric, value=value, at=at, key=key, properties=properties or None)
    assert not record.ingest(app, [event], "test").refused


def times(app: App, by: str | None = None, **more: Any) -> list[UsageTotal]:
    return total.show(app, ShowTotals(**{"period": JANUARY, "metric": "calls", "by": by} | more))


def of_users(app: App, users: tuple[str, ...]) -> tuple[int, int]:
    """Value and events as each user's `usage show` has them."""
    found = [one for user in users for one in show.show(app, ShowUsage(user=user, metric="calls", period=JANUARY))]
    return sum(one.value for one in found), sum(one.events for one in found)


def whole(app: App) -> tuple[int | None, int]:
    (one,) = times(app)
    return one.value, one.events


def test_totals_are_what_all_users_have_before_and_after_a_fold_and_a_repair(app: App) -> None:
    users = people(app, *(f"u{n}" for n in range(20)))
    for n, user in enumerate(users):
        send(app, user, n + 1, f"2026-01-{n % 9 + 1:02}T0{n % 3}:59:59Z", key="k")
        send(app, user, 1000, "2026-01-03T05:00:00Z", key="more")
    assert whole(app) == of_users(app, users) == (20_210, 40)
    aggregate.aggregate(app)
    assert whole(app) == of_users(app, users) == (20_210, 40)
    send(app, users[0], 5, "2026-01-03T05:10:00Z")
    assert whole(app) == of_users(app, users) == (20_215, 41)
    adjust.correct(app, CorrectEvent(user=users[3], key="more", value=7, execute=True, reason="unit"))
    adjust.void(app, VoidEvent(user=users[0], key="more", execute=True, reason="test"))
    assert whole(app) == of_users(app, users) == (20_215 - 993 - 1000, 40)
    aggregate.aggregate(app)
    assert whole(app) == of_users(app, users) == (18_222, 40)
    days = times(app, "day")
    assert sum(one.value or 0 for one in days) == 18_222 and sum(one.events for one in times(app, "hour")) == 40
    assert [one.period_start.day for one in days] == list(range(1, 10))
    assert {(one.period_end - one.period_start).total_seconds() for one in times(app, "hour")} == {3600}


def test_an_hour_that_is_voided_whole_is_there_no_more(app: App) -> None:
    (user,) = people(app)
    send(app, user, 9, "2026-01-02T03:00:00Z", key="k")
    aggregate.aggregate(app)
    assert [one.events for one in times(app, "hour")] == [1]
    adjust.void(app, VoidEvent(user=user, key="k", execute=True, reason="test"))
    assert times(app, "hour") == times(app) == []


def test_what_came_after_its_hour_was_counted_is_late(app: App, clock: Any) -> None:
    (user,) = people(app)
    send(app, user, 1, "2026-01-15T09:50:00Z")
    aggregate.aggregate(app)
    send(app, user, 1, "2026-01-15T10:20:00Z")  # this hour is not over
    send(app, user, 1, "2026-01-15T09:55:00Z")
    send(app, user, 1, "2026-01-14T23:00:00Z")
    told = [(one.period_start.hour, one.events, one.late) for one in times(app, "hour")]
    assert told == [(23, 1, 1), (9, 2, 1), (10, 1, 0)]
    aggregate.aggregate(app)
    assert [(one.period_start.hour, one.events, one.late) for one in times(app, "hour")] == told
    assert [(one.period_start.day, one.late) for one in times(app, "day", late=True)] == [(14, 1), (15, 1)]
    assert [one.period_start.hour for one in times(app, "hour", late=True)] == [23, 9]
    with pytest.raises(InvalidParameter):
        times(app, None, late=True)


def test_figures_that_do_not_add_up_are_not_added(app: App) -> None:
    for value, user in enumerate(people(app, "a", "b"), 1):
        send(app, user, value, "2026-01-02T03:00:00Z", "peak")
        send(app, user, 5, "2026-01-02T03:00:00Z", "logins")
    found = {one.metric: one.value for one in times(app, metric=None)}
    assert found == {"peak": None, "logins": 2}
    most = total.show(app, ShowTotals(period=JANUARY, metric="peak", by="user"))
    assert [(one.user, one.value) for one in most] == [("b", 2), ("a", 1)]


def test_who_used_most_is_told_with_the_time_of_the_count_where_there_is_much(
    app: App, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, user in enumerate(people(app, "a", "b", "c")):
        send(app, user, 10 + n, "2026-01-02T03:00:00Z")
    asked = ShowTotals(period=JANUARY, metric="calls", by="user", limit=2)

    def told() -> list[tuple[str, int | None, datetime | None]]:
        return [(one.user, one.value, one.counted_at) for one in total.show(app, asked)]

    assert told() == [("c", 12, None), ("b", 11, None)]
    aggregate.aggregate(app)
    assert total.scheduled(app) == ""
    monkeypatch.setattr(total, "EXACT", 1)
    with pytest.raises(NotCounted) as refused:
        told()
    assert "2026-01" in str(refused.value)
    assert total.scheduled(app) == "1 shares of usage counted" and total.scheduled(app) == ""
    first = clock.now
    assert told() == [("c", 12, first), ("b", 11, first)]
    clock.now = first.replace(minute=50)
    send(app, "a", 100, "2026-01-02T04:00:00Z")
    aggregate.aggregate(app)
    assert told()[0] == ("c", 12, first)
    total.scheduled(app)
    assert told() == [("a", 110, clock.now), ("c", 12, clock.now)]


@pytest.mark.parametrize("many", [False, True])
def test_dimensions_add_up_to_the_whole(app: App, monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    for user, region in zip(people(app, "a", "b", "c"), ("eu", "us", None), strict=True):
        send(
            app,
            user,
            10 if region else 1,
            "2026-01-02T03:00:00Z",
            "pages",
            status=200,
            **({"region": region} if region else {}),
        )
    send(app, "a", 5, "2026-01-03T03:00:00Z", "pages", status=200, region="eu")
    aggregate.aggregate(app)
    if many:
        monkeypatch.setattr(total, "EXACT", 1)
        total.scheduled(app)
    for asked in (ShowTotals(period=JANUARY, by="dimension"), ShowTotals(period=JANUARY, group_by="region")):
        found = total.show(app, asked)
        assert [(one.dimension, one.group, one.value, one.events) for one in found] == [
            ("region", "eu", 15, 2), ("region", "us", 10, 1), ("region", None, 1, 1),
        ]  # fmt: skip
    with pytest.raises(InvalidParameter, match="grouped by region"):
        total.show(app, ShowTotals(period=JANUARY, group_by="colour"))


def test_totals_follow_rollups_that_another_hand_changed(app: App) -> None:
    (user,) = people(app)
    send(app, user, 3, "2026-01-02T03:00:00Z")
    aggregate.aggregate(app)
    with app.db.transaction() as tx:
        tx.connection.execute("update billing_usage_rollups set events = events + 7, total = total + 7")
    assert whole(app) == (3, 1)
    assert total.mend(app) == "1 hours put right" and total.mend(app) == ""
    assert whole(app) == of_users(app, (user,)) == (10, 8)
    recalculate.recalculate(app, RecalculateUsage(user=user, period=JANUARY, execute=True))
    assert whole(app) == of_users(app, (user,)) == (3, 1)


def test_two_who_put_totals_right_at_once_do_it_once(app: App, database: str) -> None:
    (user,) = people(app)
    send(app, user, 3, "2026-01-02T03:00:00Z")
    aggregate.aggregate(app)
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with (
        psycopg.connect(database) as holder,
        ThreadPoolExecutor(2) as two,
        psycopg.connect(database, autocommit=True) as seen,
    ):
        holder.execute("update billing_usage_rollups set events = events + 7, total = total + 7")
        holder.commit()
        holder.execute("lock table billing_usage_totals in exclusive mode")
        menders = [two.submit(total.mend, app) for _ in range(2)]
        until(lambda: seen.execute(waiting).fetchone() == (2,))
        holder.commit()
        assert sorted(one.result() for one in menders) == ["", "1 hours put right"]
    assert whole(app) == of_users(app, (user,)) == (10, 8)


def test_what_is_asked_for_must_be_there(app: App) -> None:
    with pytest.raises(NoSuchMetric):
        times(app, metric="nothing")
    with pytest.raises(InvalidParameter):
        total.show(app, ShowTotals(by="day", group_by="region"))
    with pytest.raises(InvalidParameter):
        total.show(app, ShowTotals(period="2026-01", month="2026-02"))
    assert times(app) == []


def test_shares_follow_a_correction_that_leaves_the_number_of_events(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    (user,) = people(app, "corrected")
    for at in (1, 2):
        send(app, user, 1000, f"2026-01-0{at}T05:00:00Z", key=f"key-{at}")
    aggregate.aggregate(app)
    monkeypatch.setattr(total, "EXACT", 1)
    total.scheduled(app)
    assert [one.value for one in times(app, "user")] == [2000]
    adjust.correct(app, CorrectEvent(user=user, key="key-1", value=7, execute=True, reason="unit"))
    total.scheduled(app)
    assert [one.value for one in times(app, "user")] == [1007]
