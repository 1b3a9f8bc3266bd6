"""Looking at metering: figures agree with the events, and where somebody made them differ, that is seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg
import pytest

from metering import people
from nself.app import App
from nself.core.errors import InvalidParameter
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.customer.model import NoSuchUser
from nself.domains.gap.inputs import FindGaps
from nself.domains.gap.service import find
from nself.domains.usage.inputs import AuditUsage, CompareUsage, ListRejected, ShowAggregation, ShowFormula, UsageEvent
from nself.domains.usage.service import aggregate, inspect, record

VALUES = {"calls": (3, 4), "logins": (3, 4), "peak": (3, 4), "seats": (3, 4)}
FIGURES = {"calls": 7, "logins": 2, "peak": 4, "seats": 4}


class Clock(Protocol):
    now: Any


def used(app: App, user: str, *, fold: bool) -> None:
    """Two events of each metric on 15 January 2026, the second later."""
    events = [
        UsageEvent(user=user, metric=metric, value=value, at=f"2026-01-15T1{at}:30:00Z", key=f"{metric}-{at}")
        for metric, values in VALUES.items()
        for at, value in enumerate(values)
    ]
    assert not record.ingest(app, events, "test").refused
    if fold:
        aggregate.aggregate(app)


def change(app: App, statement: str) -> None:
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        link.execute("set search_path = billing, public")
        assert link.execute(statement.encode()).rowcount == 1


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize(
    "span", [("2026-01-01", "2026-01-31"), ("2026-01-15", "2026-01-15"), ("2025-06-01", "2026-02-28")]
)
def test_raw_and_aggregated_are_equal_for_every_aggregation(app: App, fold: bool, span: tuple[str, str]) -> None:
    (user,) = people(app)
    used(app, user, fold=fold)
    found = inspect.compare(app, CompareUsage(user=user, start=span[0], end=span[1]))
    assert {one.metric: (one.raw, one.aggregated) for one in found} == {name: (n, n) for name, n in FIGURES.items()}
    assert {(one.raw_events, one.aggregated_events, one.difference, one.verdict) for one in found} == {
        (2, 2, 0, "equal")
    }


def test_the_last_day_of_a_comparison_is_whole_and_the_next_is_outside(app: App) -> None:
    (user,) = people(app)
    for at in ("2026-01-14T23:59:59Z", "2026-01-15T00:00:00Z", "2026-01-15T23:59:59Z", "2026-01-16T00:00:00Z"):
        record.ingest(app, [UsageEvent(user=user, metric="calls", value=1, at=at)], "test")
    (found,) = inspect.compare(app, CompareUsage(user=user, start="2026-01-15", end="2026-01-15", metric="calls"))
    assert (found.raw, found.aggregated) == (2, 2)


def test_a_changed_rollup_and_a_lost_event_are_seen(app: App) -> None:
    (user,) = people(app)
    used(app, user, fold=True)
    change(app, f"update billing_usage_rollups set total = total + 5 where user_id = '{user}' and metric_type = 'calls' and hour = '2026-01-15 10:00Z'")  # fmt: skip
    change(app, f"delete from billing_usage where user_id = '{user}' and idempotency_key = 'logins-0'")
    found = {
        one.metric: one for one in inspect.compare(app, CompareUsage(user=user, start="2026-01-01", end="2026-01-31"))
    }
    assert (found["calls"].raw, found["calls"].aggregated, found["calls"].difference) == (7, 12, 5)
    assert (found["logins"].raw_events, found["logins"].aggregated_events, found["logins"].difference) == (1, 2, 1)
    assert {name for name, one in found.items() if one.verdict == "differs"} == {"calls", "logins"}
    # Other tests share the database.
    change(app, f"update billing_usage_rollups set total = total - 5 where user_id = '{user}' and metric_type = 'calls' and hour = '2026-01-15 10:00Z'")  # fmt: skip
    change(app, f"insert into billing_usage (user_id, metric_type, value, created_at, idempotency_key, source, recorded_at) values ('{user}', 'logins', 3, '2026-01-15 10:30Z', 'logins-0', 'test', now())")  # fmt: skip


def test_audit_tells_where_events_came_from_and_which_are_alike(app: App) -> None:
    (user,) = people(app)
    twice = [
        UsageEvent(user=user, metric="calls", value=2, at="2026-01-15T10:00:00Z", properties={"path": "/a"})
        for _ in "ab"
    ]
    other = UsageEvent(
        user=user, metric="calls", value=2, at="2026-01-15T10:00:00Z", properties={"path": "/b"}, key="k"
    )
    outside = UsageEvent(user=user, metric="calls", value=9, at="2026-01-16T00:00:00Z")
    record.ingest(app, [*twice, other], "app")
    record.ingest(app, [outside], "other")
    found = inspect.audit(app, AuditUsage(user=user, date="2026-01-15"))
    assert sorted((one.value, one.source, one.same) for one in found) == [(2, "app", 1), (2, "app", 2), (2, "app", 2)]
    assert {json.loads(one.properties or "")["path"] for one in found if one.same == 2} == {"/a"}
    alike = inspect.audit(app, AuditUsage(user=user, date="2026-01-15", check_duplicates=True))
    assert len(alike) == 2 and len({one.key for one in alike}) == 2 and {one.same for one in alike} == {2}
    assert len(inspect.audit(app, AuditUsage(user=user, date="2026-01-15", limit=1))) == 1


def test_lag_is_what_waits_and_never_what_is_answered(app: App, clock: Clock) -> None:
    (user,) = people(app)
    used(app, user, fold=True)
    assert inspect.show_lag(app, ShowAggregation()).lag_seconds == 0
    clock.now += timedelta(minutes=9)
    assert inspect.show_lag(app, ShowAggregation()).lag_seconds == 0
    record.ingest(app, [UsageEvent(user=user, metric="calls", value=1)], "test")
    lag, status = inspect.show_lag(app, ShowAggregation()), inspect.aggregation_status(app, ShowAggregation())
    assert (lag.lag_seconds, lag.pending_events, status.pending_events, status.pending_deltas) == (540, 1, 1, 1)
    aggregate.aggregate(app)
    assert inspect.show_lag(app, ShowAggregation()).lag_seconds == 0
    assert inspect.aggregation_status(app, ShowAggregation()).last_fold_at == clock.now


def test_very_many_rollups_are_estimated_and_that_is_said(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    (user,) = people(app)
    used(app, user, fold=True)
    assert "estimate" not in inspect.aggregation_status(app, ShowAggregation()).note
    monkeypatch.setattr(inspect, "EXACT", 0)
    assert "hourly_rollups is an estimate" in inspect.aggregation_status(app, ShowAggregation()).note


def test_usage_whose_lock_is_held_goes_on_lagging_and_the_fold_says_so(app: App, clock: Clock) -> None:
    (user,) = people(app)
    aggregate.aggregate(app)
    record.ingest(app, [UsageEvent(user=user, metric="calls", value=1)], "test")
    with app.db.transaction() as holder:
        aggregate.lock_users(holder, [user])
        clock.now += timedelta(minutes=5)
        done = aggregate.aggregate(app)
        assert (done.deltas, done.pending) == (0, 1) and "pg_stat_activity" in done.note
        assert inspect.show_lag(app, ShowAggregation()).lag_seconds == 300
    done = aggregate.aggregate(app)
    assert (done.deltas, done.pending, done.note) == (1, 0, "")
    assert inspect.show_lag(app, ShowAggregation()).lag_seconds == 0


def test_time_before_all_usage_is_left_out(app: App) -> None:
    (user,) = people(app)
    assert inspect.given_span(app, "0001-01-01", "2026-01-31").start == datetime(2000, 1, 1, tzinfo=UTC)
    assert find.find(app, FindGaps(user=user, start="0001-01-01", end="2026-01-31")) == []
    with pytest.raises(InvalidParameter, match="There is no usage before 2000-01-01"):
        inspect.compare(app, CompareUsage(user=user, start="0001-01-01", end="0001-01-01"))


def test_the_schedule_follows_the_setting(app: App) -> None:
    assert inspect.show_schedule(app, ShowAggregation()).every_seconds == 300


def test_a_formula_names_aggregation_unit_rounding_and_price(app: App) -> None:
    (app.project.config / "overage-tiers.yml").write_text('overage:\n  calls: {amount: "0.05", per: 10}\n')
    found = inspect.show_formula(app, ShowFormula(metric="calls"))
    assert (found.aggregation, found.unit) == ("sum", "request")
    assert "sum of all values" in found.formula and "half up" in found.rounding
    assert "0.05" in found.price and found.price_source.endswith("overage-tiers.yml")
    with pytest.raises(NoSuchMetric):
        inspect.show_formula(app, ShowFormula(metric="nope"))


def test_rejected_events_are_listed_as_they_came(app: App) -> None:
    (user,) = people(app)
    bad = b'{"user":"nobody","metric":"calls","value":1,"key":"a"}'
    record.ingest(app, [bad, UsageEvent(user=user, metric="calls", value=-1)], "app")
    newest, oldest = inspect.list_rejected(app, ListRejected())
    assert {newest.code, oldest.code} == {"no_such_user", "value_out_of_range"}
    (found,) = inspect.list_rejected(app, ListRejected(code="no_such_user"))
    assert (found.event, found.source) == (bad.decode(), "app")


def test_wrong_questions_are_told(app: App) -> None:
    (user,) = people(app)
    with pytest.raises(NoSuchUser):
        inspect.compare(app, CompareUsage(user="nobody"))
    with pytest.raises(NoSuchMetric):
        inspect.audit(app, AuditUsage(user=user, metric="nope"))
    with pytest.raises(InvalidParameter, match="before"):
        inspect.compare(app, CompareUsage(user=user, start="2026-02-01", end="2026-01-01"))
    with pytest.raises(InvalidParameter, match="Invalid date"):
        inspect.audit(app, AuditUsage(user=user, date="January"))
