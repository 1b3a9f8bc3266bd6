"""Metrics with filter, groups and versions as an operator sees them; folds by several workers, and one that was left."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from metrics_model import METRICS
from msgspec import UNSET

from metering import app_on, law, people
from nself.app import App
from nself.cli import render
from nself.core.errors import InvalidParameter
from nself.domains.catalog import service as catalog
from nself.domains.catalog.inputs import ListMetrics
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.job import service as job
from nself.domains.usage.figures import GroupTotal
from nself.domains.usage.inputs import ListRejected, ShowAggregation, ShowFormula, ShowUsage, UsageEvent
from nself.domains.usage.service import aggregate, inspect, record, show


class Clock(Protocol):
    now: datetime


@pytest.fixture
def app(place: str, tmp_path: Path, clock: Clock) -> Iterator[App]:
    with app_on(tmp_path / "project", place, clock, METRICS) as made:  # type: ignore[arg-type]
        (made.project.config / "overage-tiers.yml").write_text('overage: {people: {amount: "0.05"}}')
        yield made
        law(made)


@pytest.fixture
def parallel(place: str, tmp_path: Path, clock: Clock) -> Iterator[App]:
    settings = {"USAGE_AGGREGATION_PARALLEL": "true", "USAGE_AGGREGATION_WORKERS": "3"}
    with app_on(tmp_path / "parallel", place, clock, METRICS, **settings) as made:  # type: ignore[arg-type]
        yield made
        law(made)


def use(app: App, user: str, metric: str, value: int, at: str, **properties: object) -> str | None:
    event = UsageEvent(user=user, metric=metric, value=value, at=at, properties=properties or None)
    found = record.ingest(app, [event], "test").refused
    return found[0].code if found else None


def grouped(app: App, user: str, metric: str, **more: str) -> dict[object, int]:
    asked = ShowUsage(user=user, metric=metric, period="2026-01", group_by="region", **more)  # type: ignore[arg-type]
    return {one.group: one.value for one in show.show(app, asked) if isinstance(one, GroupTotal)}


def test_an_event_that_is_filtered_out_is_kept_with_the_reason_and_counted_in_the_law(app: App) -> None:
    (user,) = people(app)
    before = law(app)
    assert use(app, user, "total", 5, "2026-01-15T10:00:00Z", region="eu") is None
    assert use(app, user, "total", 5, "2026-01-15T10:00:00Z", region="mars") == "filtered"
    after = law(app)
    assert (after.accepted - before.accepted, after.rejected - before.rejected) == (2, 1)
    (found,) = inspect.list_rejected(app, ListRejected(code="filtered", limit=1))
    assert found.message == 'total does not count this event: region must be one of "eu", "us"'
    assert json.loads(found.event)["properties"] == {"region": "mars"}
    assert next(one.events for one in after.rejected_by_reason if one.code == "filtered") >= 1


@pytest.mark.parametrize("fold", [True, False])
def test_groups_add_up_to_the_whole(app: App, fold: bool) -> None:
    (user,) = people(app)
    for value, region in ((5, "eu"), (7, "us"), (1, "eu")):
        use(app, user, "total", value, "2026-01-15T10:00:00Z", region=region)
        use(app, user, "number", value, "2026-01-15T10:00:00Z")
    if fold:
        aggregate.aggregate(app)
    assert grouped(app, user, "total") == {"eu": 6, "us": 7}
    assert grouped(app, user, "number") == {None: 3}
    assert grouped(app, user, "total", by="day") == {"eu": 6, "us": 7}


def test_what_holds_is_attributed_to_the_event_that_set_it_also_from_before_the_period(app: App) -> None:
    (user,) = people(app)
    use(app, user, "held", 1, "2025-12-31T23:59:00Z", region="eu")
    use(app, user, "held", 3, "2026-01-01T00:00:10.9Z", region="us")
    use(app, user, "held", 0, "2026-01-01T00:01:00Z", region="us")
    for _ in range(2):
        assert grouped(app, user, "held") == {"eu": 10, "us": 150}
        aggregate.aggregate(app)


def test_a_property_that_is_not_kept_cannot_be_asked_for(app: App) -> None:
    (user,) = people(app)
    with pytest.raises(InvalidParameter, match="total is grouped by region in this period, not by 'who'"):
        show.show(app, ShowUsage(user=user, metric="total", group_by="who"))
    with pytest.raises(InvalidParameter, match="peak is grouped by nothing in this period"):
        show.show(app, ShowUsage(user=user, metric="peak", period="2026-01", group_by="region"))


def test_properties_that_the_database_could_not_read_do_no_harm(app: App) -> None:
    (user,) = people(app)
    assert use(app, user, "people", 1, "2026-01-15T10:00:00Z", status=200, who="ann", other="\0\ud800"[:1]) is None
    assert use(app, user, "people", 1, "2026-01-15T10:00:00Z", status=200, who="\0") == "property_invalid"
    (found,) = show.show(app, ShowUsage(user=user, metric="people", period="2026-01"))
    assert found.value == 1


def test_a_running_period_counts_up_to_now_and_units_say_seconds(app: App, clock: Clock) -> None:
    (user,) = people(app)
    clock.now = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
    use(app, user, "held", 2, "2026-01-01T00:00:20Z")
    (found,) = show.show(app, ShowUsage(user=user, metric="held"))
    assert (found.value, found.unit, found.events) == (20, "byte-second", 1)
    clock.now += timedelta(seconds=60)
    assert show.show(app, ShowUsage(user=user, metric="held"))[0].value == 140


def test_a_formula_is_told_exactly(app: App) -> None:
    found = inspect.show_formula(app, ShowFormula(metric="turned", period="2026-11"))
    assert (found.aggregation, found.unit, str(found.start)) == ("sum", "piece", "2026-10-02")
    assert found.filter == "who is there"
    assert [(str(one.start), one.aggregation, one.field, one.in_force) for one in found.versions] == [
        ("2026-02-10", "time_weighted", None, False),
        ("2026-04-01", "unique", "who", False),
        ("2026-10-02", "sum", None, True),
    ]
    found = inspect.show_formula(app, ShowFormula(metric="people"))
    assert "distinct values of the property who" in found.formula
    assert (found.filter, found.group_by, found.start) == ("status is < 300", ["region"], None)
    assert (found.price, found.figure_unit) == ("0.05 usd / 1", "person")
    assert found.validation == "who is there"
    found = inspect.show_formula(app, ShowFormula(metric="held"))
    assert (found.unit, found.figure_unit) == ("byte", "byte-second")
    assert "whole seconds, cut off" in found.rounding


def test_metrics_are_listed_as_they_are_metered_this_month(app: App, clock: Clock) -> None:
    clock.now = datetime(2026, 5, 1, tzinfo=UTC)
    found = {one.metric: one for one in catalog.list_metrics(app, ListMetrics())}
    turned = found["turned"]
    assert (turned.aggregation, turned.field, turned.versions, str(turned.start)) == ("unique", "who", 3, "2026-04-01")
    assert found["number"].validation == 'value <= 8; region is one of "eu", "us"'


def test_workers_share_the_shards_and_are_told(parallel: App) -> None:
    aggregate.aggregate(parallel)
    users = people(parallel, *(f"shared{n}" for n in range(64)))
    for user in users:
        use(parallel, user, "total", 1, "2026-01-15T10:00:00Z", region="eu")
    done = aggregate.aggregate(parallel)
    assert (done.deltas, done.workers, done.pending) == (64, 3, 0)
    status = inspect.aggregation_status(parallel, ShowAggregation())
    assert (status.workers, status.last_fold_workers, status.last_fold_deltas) == (3, 3, 64)
    assert aggregate.aggregate(parallel).workers == 1  # there was nothing to share


def test_a_shard_that_somebody_holds_is_left_to_him(parallel: App) -> None:
    users = people(parallel, *(f"held{n}" for n in range(32)))
    for user in users:
        use(parallel, user, "total", 1, "2026-01-15T10:00:00Z", region="eu")
    with parallel.db.transaction() as tx:
        aggregate.lock_users(tx, [users[0]])
        done = threading.Thread(target=aggregate.aggregate, args=(parallel,))
        done.start()
        done.join(20)
        assert not done.is_alive()
        left = aggregate.pending_users(tx, 100)
    assert users[0] in left and len(left) < 32
    assert aggregate.aggregate(parallel).pending == 0


def test_a_fold_whose_worker_died_is_stuck_is_told_so_and_taken_over(app: App, clock: Clock) -> None:
    (user,) = people(app)
    use(app, user, "total", 1, "2026-01-15T10:00:00Z", region="eu")
    job.ensure(app)
    with psycopg.connect(app.db.conninfo, autocommit=True, options="-c search_path=billing,public") as link:
        link.execute(
            "update billing_jobs set state = 'running', worker = 'gone:1', lease_until = %s, token = token + 1"
            " where type = 'aggregation' and state = 'queued'",
            (clock.now + timedelta(seconds=60),),
        )
        link.execute("update billing_jobs set due_at = %s where type <> 'aggregation' and state = 'queued'", (clock.now + timedelta(days=9),))  # fmt: skip
    found = inspect.aggregation_status(app, ShowAggregation())
    assert (found.state, found.run_by, found.pending_events) == ("running", "gone:1", 1)
    assert job.run_due(app) == 0
    clock.now += timedelta(seconds=60)
    assert inspect.aggregation_status(app, ShowAggregation()).state == "stuck"
    assert job.run_due(app) == 1
    found = inspect.aggregation_status(app, ShowAggregation())
    assert (found.state, found.run_by, found.pending_events) == ("queued", None, 0)
    assert found.last_result == "1 deltas folded by 1 worker"


def test_usage_of_a_metric_that_was_taken_out_of_the_file_is_shown_as_that(app: App) -> None:
    (user,) = people(app)
    assert use(app, user, "number", 3, "2026-01-15T10:00:00Z", region="eu") is None
    assert use(app, user, "total", 5, "2026-01-15T10:00:00Z", region="eu") is None
    asked = ShowUsage(user=user, period="2026-01")
    assert all(one.configured is UNSET for one in show.show(app, asked))
    path = app.project.config / "usage-metrics.yml"
    path.write_text(path.read_text().replace("  number:", "  other:"))
    found = {one.metric: one for one in show.show(app, asked)}
    assert (found["number"].value, found["number"].unit, found["number"].configured) == (3, "unknown", False)
    assert (found["total"].value, found["total"].configured) == (5, True)
    for more in ({}, {"by": "day"}):
        (alone,) = show.show(app, ShowUsage(user=user, period="2026-01", metric="number", **more))
        assert (alone.value, alone.configured) == (3, False)
    lines = list(render.text(list(found.values()), "table"))
    assert lines[0].split()[-1] == "configured"
    with pytest.raises(NoSuchMetric):
        show.show(app, ShowUsage(user=user, period="2026-02", metric="number"))
