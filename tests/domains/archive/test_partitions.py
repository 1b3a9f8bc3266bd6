"""Partitions are made ahead and on demand, and nobody waits for them; retention drops what is old as it is told."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from history import answers, archive_all, event, kept, populate, raw, send

from metering import law, people
from nself.app import App
from nself.db.connect import unavailable
from nself.domains.archive.inputs import PartitionTable
from nself.domains.archive.model import NotPartitioned
from nself.domains.archive.service import partitions, plan
from nself.domains.job import service as job
from nself.domains.job.inputs import ListJobs
from nself.domains.usage.service import record


def months(app: App) -> list[str]:
    return [f"{one.month:%Y-%m}" for one in plan.partitions(app, date.max)]


def test_months_are_made_ahead_by_scheduled_work(app: App, clock: Any) -> None:
    assert months(app) == []
    job.ensure(app)
    while job.run_due(app):
        pass
    assert months(app) == ["2026-02", "2026-03", "2026-04"]
    clock.now += timedelta(days=31)
    while job.run_due(app):
        pass
    assert months(app) == ["2026-02", "2026-03", "2026-04", "2026-05"]
    results = [one.result for one in job.list_jobs(app, ListJobs(type="partitions")) if one.result]
    assert sorted(results) == ["made 2026-02, 2026-03, 2026-04", "made 2026-05"]


def test_how_many_months_are_made_ahead_is_the_setting(open_app: Any) -> None:
    assert [f"{one:%Y-%m}" for one in partitions.ahead(open_app(USAGE_PARTITIONS_AHEAD="1"))] == ["2026-02", "2026-03"]
    assert len(partitions.ahead(open_app(USAGE_PARTITIONS_AHEAD="5"))) == 6


def test_usage_of_any_allowed_month_finds_its_partition(app: App, clock: Any) -> None:
    (user,) = people(app)
    clock.now = datetime(2031, 12, 31, 23, 58, tzinfo=UTC)
    for at in ("2000-01-01T00:00:00Z", "2019-02-28T23:59:59.999999Z", "2032-01-01T00:00:00Z", "2031-12-31T23:59:59Z"):
        assert send(app, event(user, at, at))["counted"] == 1
    assert months(app) == ["2000-01", "2019-02", "2031-12", "2032-01"]


def test_two_at_once_make_a_month_once(app: App, open_app: Any) -> None:
    failed: list[Exception] = []

    def make() -> None:
        try:
            mine = open_app()
            partitions.partition(mine, PartitionTable(table="billing_usage", execute=True))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and months(app) == ["2026-02", "2026-03", "2026-04"]


@pytest.mark.parametrize("mode", ["access share", "row exclusive"])
def test_a_new_month_waits_for_no_reader_and_no_writer(app: App, database: str, mode: str) -> None:
    """Somebody reads or writes usage for an hour; those who come with a new month are not held up, nor those behind them."""
    populate(app, months=(11,))
    with psycopg.connect(database) as other:
        other.execute(f"lock table billing.billing_usage in {mode} mode".encode())
        (user,) = people(app)
        began = datetime.now(UTC)
        assert send(app, event(user, "2024-05-05T10:00:00Z", "one"))["counted"] == 1
        assert datetime.now(UTC) - began < timedelta(seconds=30)


def test_a_new_month_that_is_locked_out_is_told_and_can_be_kept_on_disk(open_app: Any, database: str) -> None:
    app = open_app(USAGE_ENABLE_BUFFER="false")
    (user,) = people(app)
    with psycopg.connect(database) as other:
        other.execute("alter function billing.ensure_usage_month set lock_timeout = '0.3s'")
        other.commit()
        other.execute("lock table billing.billing_usage in access exclusive mode")
        with pytest.raises(Exception, match="lock timeout") as caught:
            send(app, event(user, "2024-05-05T10:00:00Z", "one"))
        assert unavailable(caught.value)
        buffered = open_app(USAGE_ENABLE_BUFFER="true")
        given = event(user, "2024-05-05T10:00:00Z", "one")
        assert record.ingest(buffered, [given], "test").buffered
    law(buffered)


def test_other_tables_are_not_partitioned(app: App) -> None:
    with pytest.raises(NotPartitioned, match="billing_transactions is not partitioned by month"):
        partitions.partition(app, PartitionTable(table="billing_transactions"))


def test_late_usage_of_a_month_that_was_emptied_needs_no_new_partition(app: App) -> None:
    users = populate(app, months=(11,))
    archive_all(app)
    assert months(app) == ["2025-11"]
    assert send(app, event(users[0], "2025-11-11T11:11:11Z", "late"))["counted"] == 1


def run_retention(app: App) -> tuple[str | None, str | None]:
    """Result and error of the scheduled work, as `jobs list` shows them."""
    job.ensure(app)
    assert job.run_due(app, "usage_retention") == 1
    last = next(one for one in job.list_jobs(app, ListJobs(type="usage_retention")) if one.finished_at)
    return last.result, last.last_error


def test_retention_is_off_until_it_is_set(app: App) -> None:
    populate(app)
    assert run_retention(app) == ("BILLING_USAGE_RETENTION_DAYS is 0: raw usage is kept", None)
    assert len(raw(app)) == 360 and "raw usage is kept" in kept(app).remarks()[1]  # type: ignore[attr-defined]


def test_retention_archives_what_is_old_enough(open_app: Any) -> None:
    app = open_app(BILLING_USAGE_RETENTION_DAYS="70")  # from 2026-02-10: 2025-12-02
    populate(app)
    result, error = run_retention(app)
    assert result and error is None and result.startswith("2025-10 archived: 120 events; 2025-11 archived: 120 events")
    assert len(raw(app)) == 120
    assert law(app).archived == 240
    assert "70 days ago are archived, then dropped" in kept(app).remarks()[1]  # type: ignore[attr-defined]


def test_retention_drops_nothing_that_it_cannot_archive(open_app: Any) -> None:
    app = open_app(BILLING_USAGE_RETENTION_DAYS="70", ARCHIVE_S3_BUCKET="")
    populate(app)
    result, error = run_retention(app)
    assert result is None and error and error.startswith("archive_not_configured: There is no archive yet")
    assert len(raw(app)) == 360


def test_retention_without_an_archive_drops_only_where_it_is_told_to(open_app: Any) -> None:
    app = open_app(BILLING_USAGE_RETENTION_DAYS="70", BILLING_USAGE_RETENTION_ARCHIVE="false", ARCHIVE_S3_BUCKET="")
    users = populate(app)
    before = answers(app, users)
    assert run_retention(app) == ("2025-10 dropped: 120 events; 2025-11 dropped: 120 events", None)
    assert (len(raw(app)), law(app).archived) == (120, 240)
    assert answers(app, users) == before
    assert [(one.month, one.note) for one in kept(app)] == [
        ("2025-10", "dropped without an archive"),
        ("2025-11", "dropped without an archive"),
    ]
    assert send(app, event(users[0], "2025-10-01T00:00:00Z", "fresh"))["counted"] == 1


def test_retention_does_not_stand_in_the_way_of_other_work(app: App) -> None:
    job.ensure(app)
    done = 0
    while job.run_due(app):
        done += 1
    assert done == sum(not row.long for row in job.kinds(app).values())
    assert [one.status for one in job.list_jobs(app, ListJobs(type="usage_retention"))] == ["queued"]
