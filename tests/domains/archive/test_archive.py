"""Archiving whole months: what is sent, what is dropped, what stays answerable, and what is refused with its reason."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from history import BEFORE, answers, archive_all, bring_back, event, kept, populate, raw, send

from metering import law, people, status
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.archive.inputs import ArchiveUsage, PartitionTable
from nself.domains.archive.model import KeysMissing, LockTimeout, MonthBusy
from nself.domains.archive.service import archive, files, partitions, plan
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits
from nself.domains.total import service as total
from nself.domains.usage.errors import EventsArchived
from nself.domains.usage.inputs import CompareUsage, ShowUsage
from nself.domains.usage.service import aggregate, inspect, show
from object_store import Gate, Request, Store, column


def sql(app: App, query: str, *values: object) -> list[Any]:
    with app.db.reading() as tx:
        return column(tx, query, *values)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(app: App, gate: Gate) -> None:
    populate(app)
    aggregate.aggregate(app)
    before = raw(app)
    found = archive.archive_usage(app, ArchiveUsage(before="2025-12-31", to_s3=True))
    assert [(row.month, row.events, row.action) for row in found] == [
        ("2025-10", 120, "archive"),
        ("2025-11", 120, "archive"),
    ]
    assert "--execute" in found.remarks()[0]
    assert raw(app) == before and gate.requests == [] and kept(app) == []


def test_archived_months_are_dropped_and_every_answer_stays(app: App) -> None:
    users = populate(app)
    before = answers(app, users)
    send(app, event(users[0], "2026-01-05T10:00:00Z", "new"))
    found = archive_all(app)
    assert [(row.month, row.events, row.action, row.objects) for row in found] == [
        (f"2025-{month}", 120, "archived", 1) for month in (10, 11, 12)
    ]
    assert len(raw(app)) == 1
    assert answers(app, users) == before
    assert (status(app).archived, law(app).raw_events) == (360, 1)
    assert archive_all(app) == []


def test_another_program_reads_the_same_events_with_the_checksums_of_the_manifest(
    app: App, objects: Store, bucket: str
) -> None:
    populate(app, months=(11,))
    stored, digests = raw(app), dict(zip(*_keys(app), strict=True))
    archive_all(app)
    found = objects.objects(bucket)
    (place,) = [name for name in found if name.endswith("manifest.json")]
    manifest = json.loads(found[place])
    assert place.startswith(f"nself/usage/{manifest['owner']}/2025-11/")
    plain = json.dumps({**manifest, "sha256": ""}, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(plain.encode()).hexdigest() == manifest["sha256"]
    rows: list[dict[str, Any]] = []
    for piece in manifest["objects"]:
        data = found[place.replace("manifest.json", piece["name"])]
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (piece["sha256"], piece["bytes"])
        rows += pq.read_table(io.BytesIO(data)).to_pylist()
    assert manifest["events"] == len(rows) == 120 and len(found) == 2
    names = ("user_id", "created_at", "idempotency_key", "metric_type", "value", "properties", "source", "recorded_at")
    assert sorted(tuple(row[name] for name in names) for row in rows) == sorted(stored)
    assert {(row["user_id"], row["idempotency_key"]): row["digest"] for row in rows} == digests
    sums: dict[str, int] = {}
    for row in rows:
        sums[row["metric_type"]] = sums.get(row["metric_type"], 0) + row["value"]
    assert {one["metric"]: int(one["total"]) for one in manifest["metrics"]} == sums


def _keys(app: App) -> tuple[list[tuple[str, str]], list[str]]:
    with app.db.reading() as tx:
        rows = tx.connection.execute(
            "select user_id, idempotency_key, encode(digest, 'hex') from billing_usage_keys"
        ).fetchall()
    return [(row[0], row[1]) for row in rows], [row[2] for row in rows]


def test_keys_outlive_the_events_and_late_usage_of_an_archived_month_is_counted(app: App) -> None:
    (user,) = people(app)
    send(app, event(user, "2025-11-05T10:00:00Z", "one", 5))
    archive_all(app)
    late = event(user, "2025-11-05T10:30:00Z", "two", 7)
    assert send(app, event(user, "2025-11-05T10:00:00Z", "one", 5)) == {"counted": 0, "duplicate": 1, "refused": 0}
    assert send(app, event(user, "2025-11-05T10:00:00Z", "one", 6)) == {"counted": 0, "duplicate": 0, "refused": 1}
    assert send(app, late) == {"counted": 1, "duplicate": 0, "refused": 0}
    assert next(iter(answers(app, (user,), ("2025-11",)).values())) == 12
    assert [row.events for row in archive_all(app)] == [1]
    assert [(one.events, one.away) for one in kept(app)] == [(1, 1), (1, 1)]
    assert send(app, late)["duplicate"] == 1


def test_a_month_is_several_objects_where_it_is_large(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE_ROWS", 50)
    monkeypatch.setattr(files, "CHUNK_ROWS", 17)
    populate(app, months=(11,))
    before = raw(app)
    assert [row.objects for row in archive_all(app)] == [3]
    assert bring_back(app, month="2025-11").put_back == 120
    assert raw(app) == before


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Europe/Berlin"])
def test_days_that_begin_inside_an_hour_stay_exact(open_app: Any, zone: str) -> None:
    app = open_app(BILLING_TIMEZONE=zone)
    users = populate(app, each=300)
    send(app, *(event(users[0], f"2025-11-{day:02}T{hour:02}:{minute}:00Z", f"{day} {hour} {minute}", 3)
                for day in (1, 9, 30) for hour in (2, 3, 12, 13, 18, 22) for minute in (29, 31)))  # fmt: skip
    before, stored = answers(app, users), len(raw(app))
    found = archive_all(app, before="2025-12-31")
    assert [row.action for row in found] == ["archived"] * 2
    away = 600 * 3 + 36 - (len(raw(app)) - 900)
    assert status(app).archived == away > 1700 and law(app).raw_events == stored - away
    assert (away < 1836) == (zone not in ("Europe/Berlin",))
    assert answers(app, users) == before
    assert archive_all(app, before="2025-12-31") == []


def test_a_month_that_is_not_over_or_not_counted_is_refused_and_says_why(app: App, clock: Any) -> None:
    clock.now = datetime(2025, 12, 1, 0, 0, 1, tzinfo=UTC)
    (user,) = people(app)
    send(app, event(user, "2025-11-05T10:00:00Z", "one"), event(user, "2025-12-01T00:00:00Z", "two"))
    november, december = (
        plan.look(app, month, False) for month in (datetime(2025, 11, 1).date(), datetime(2025, 12, 1).date())
    )
    assert november.reasons == [], "what waits is folded first"
    assert december.reasons == ["the month is not over yet"]
    assert [(row.month, row.action) for row in archive_all(app, before="2026-02-01")] == [
        ("2025-11", "archived"),
        ("2025-12", "refused"),
    ]


def test_a_month_of_another_zone_that_is_not_over_is_refused(open_app: Any, clock: Any) -> None:
    clock.now = datetime(2025, 12, 1, 3, 0, tzinfo=UTC)
    app = open_app(BILLING_TIMEZONE="America/New_York")
    (user,) = people(app)
    send(app, event(user, "2025-11-05T10:00:00Z", "one"))
    assert [row.note for row in archive_all(app)] == ["the month is not over yet"]


def test_a_month_whose_events_and_rollups_differ_is_refused(app: App) -> None:
    users = populate(app, months=(11,))
    aggregate.aggregate(app)
    (lost,) = sql(
        app, "delete from billing_usage where user_id = %s and idempotency_key like '11-0 %%' returning value", users[0]
    )
    found = archive_all(app)
    assert [row.action for row in found] == ["refused"]
    assert found[0].note == "119 events are stored and 120 were counted or taken out: nself billing usage status"
    sql(
        app,
        "update billing_usage_rollups set events = events - 1, total = total - %s where hour = '2025-11-01' and user_id = %s returning 1",
        lost,
        users[0],
    )
    sql(app, "delete from billing_usage_rollups where events = 0 returning 1")
    sql(
        app,
        "update billing_usage_intake set received = received - 1 where id = (select min(id) from billing_usage_intake) returning 1",
    )
    total.mend(app)


def test_usage_that_is_stored_but_not_folded_when_the_month_is_dropped_stays(
    app: App, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's fold has it in hand at that moment."""
    populate(app, months=(11,))
    with monkeypatch.context() as patch:
        patch.setattr(aggregate, "aggregate", lambda *_: None)
        (row,) = archive_all(app)
    assert row.action == "refused"
    assert (
        row.note
        == "archived and verified, not dropped: 120 events are not folded into rollups yet: nself billing usage aggregate"
    )
    assert len(raw(app)) == 120
    assert [row.action for row in archive_all(app)] == ["archived"]


def test_overage_that_no_invoice_bills_is_a_reason_unless_asked_otherwise(app: App) -> None:
    (user,) = people(app)
    limits.set_quota(app, SetQuota(user=user, metric="calls", limit=10, mode="overage"))
    send(app, event(user, "2025-11-05T10:00:00Z", "one", 30))
    found = archive_all(app)
    assert [row.action for row in found] == ["refused"]
    assert "is not invoiced: nself billing invoice generate --period 2025-11, or --uninvoiced" in found[0].note
    assert [row.action for row in archive_all(app, uninvoiced=True)] == ["archived"]


def test_events_without_keys_are_not_archived(app: App) -> None:
    populate(app, months=(11,))
    sql(app, "delete from billing_usage_keys where idempotency_key like '11-1 %%' returning 1")
    with pytest.raises(KeysMissing, match="3 raw events of 2025-11"):
        archive_all(app)
    assert len(raw(app)) == 120


def test_a_writer_that_holds_the_month_is_waited_for_and_then_told_of(open_app: Any, database: str) -> None:
    app = open_app(DB_LOCK_TIMEOUT="300ms")
    (user,) = people(app)
    send(app, event(user, "2025-11-05T10:00:00Z", "one"))
    with psycopg.connect(database) as other:
        other.execute("lock table billing.billing_usage_2025_11 in row exclusive mode")
        with pytest.raises(LockTimeout, match=r"2025-11 is in use.*DB_LOCK_TIMEOUT \(0.3s\)"):
            archive_all(app)
        assert [one.state for one in kept(app)] == ["verified"]
        planned = archive.archive_usage(app, ArchiveUsage(before=BEFORE))
        assert "archived and verified it" in planned[0].note
    assert [row.action for row in archive_all(app)] == ["archived"]
    assert [one.state for one in kept(app)] == ["dropped"]
    law(app)


def test_readers_do_not_hold_it_up_for_ever_either(open_app: Any, database: str) -> None:
    app = open_app(DB_LOCK_TIMEOUT="300ms")
    (user,) = people(app)
    send(app, event(user, "2025-11-05T10:00:00Z", "one"))
    with psycopg.connect(database) as other:
        other.execute("select count(*) from billing.billing_usage")
        with pytest.raises(LockTimeout):
            archive_all(app)
        assert len(raw(app)) == 1
    archive_all(app)


def test_usage_that_comes_while_a_month_is_archived_begins_it_anew(
    app: App, gate: Gate, objects: Store, bucket: str
) -> None:
    users = populate(app, months=(11,))
    sent: list[int] = []

    def late(request: Request) -> None:
        if request.method == "PUT" and request.path.endswith("manifest.json") and not sent:
            sent.append(send(app, event(users[0], "2025-11-30T10:00:00Z", "late"))["counted"])
            aggregate.aggregate(app)

    gate.before = late  # type: ignore[assignment]
    assert [(row.events, row.action) for row in archive_all(app)] == [(121, "archived")]
    assert len(objects.objects(bucket)) == 2, "what was begun first is gone"
    assert [one.events for one in kept(app)] == [121]
    assert bring_back(app, month="2025-11").put_back == 121


def test_two_at_once_archive_a_month_once(app: App, gate: Gate) -> None:
    populate(app)
    before = raw(app)
    hang = gate.hang(2)
    first = threading.Thread(target=lambda: _quiet(app))
    first.start()
    assert hang.reached.wait(20)
    with pytest.raises(MonthBusy, match="2025-10 is being archived"):
        archive_all(app)
    hang.release()
    first.join()
    gate.forget()
    assert [row.action for row in archive_all(app)] == ["archived"] * 3
    for month in ("2025-10", "2025-11", "2025-12"):
        bring_back(app, month=month)
    assert raw(app) == before


def _quiet(app: App) -> None:
    with contextlib.suppress(BillingError):
        archive_all(app)


def test_compare_says_that_raw_events_are_archived(app: App) -> None:
    users = populate(app, months=(11,))
    given = CompareUsage(user=users[0], start="2025-11-01", end="2025-11-30", metric="calls")
    assert inspect.compare(app, given)[0].verdict == "equal"
    archive_all(app)
    assert inspect.compare(app, given)[0].verdict == "raw events of 2025-11 are archived"
    bring_back(app, month="2025-11")
    assert inspect.compare(app, given)[0].verdict == "equal"


def test_everything_is_audited(app: App) -> None:
    populate(app, months=(11,))
    archive_all(app)
    bring_back(app, month="2025-11")
    with app.db.reading() as tx:
        rows = tx.connection.execute(
            "select action, events, actor from billing_usage_archive_log order by id"
        ).fetchall()
    assert [(action, events) for action, events, _ in rows] == [("verified", 120), ("dropped", 120), ("restored", 120)]
    assert {actor for _, _, actor in rows} == {app.operator()}


def test_db_partition_archives_what_is_older(app: App) -> None:
    populate(app)
    aggregate.aggregate(app)
    given = PartitionTable(table="billing_usage", by_month=True, keep_months=2)
    shown = {row.month: (row.events, row.action) for row in partitions.partition(app, given)}
    assert shown["2025-11"] == (120, "archive") and shown["2025-12"] == (120, "keep")
    assert shown["2026-02"] == shown["2026-04"] == (0, "make") and len(raw(app)) == 360
    done = PartitionTable(table="billing_usage", keep_months=2, execute=True)
    shown = {row.month: (row.events, row.action) for row in partitions.partition(app, done)}
    assert shown["2025-10"] == shown["2025-11"] == (0, "archived") and shown["2026-04"] == (0, "keep")
    again = partitions.partition(app, given)
    assert {row.action for row in again} == {"keep"} and "nothing to do" in again.remarks()[0]


def test_events_of_metrics_that_are_no_sum_of_hours_stay(app: App) -> None:
    """Distinct values, and what holds over time, are told from events: their figures are the same afterwards."""
    (app.project.config / "usage-metrics.yml").write_text(
        """\
metrics:
  calls: {unit: request, aggregation: sum, group_by: [region]}
  people: {unit: person, aggregation: unique, field: account}
  disk: {unit: byte, aggregation: time_weighted}
"""
    )
    (user,) = people(app)
    send(
        app,
        *(event(user, f"2025-11-0{day}T10:10:00Z", f"calls {day}", 2, region=day % 2) for day in range(1, 9)),
        *(
            event(user, f"2025-11-0{day}T10:20:00Z", f"people {day}", 1, "people", account=day % 3)
            for day in range(1, 9)
        ),
        *(event(user, f"2025-11-0{day}T10:30:00Z", f"disk {day}", day, "disk") for day in range(1, 9)),
    )

    def figures(**more: Any) -> dict[Any, int]:
        found = show.show(app, ShowUsage(user=user, period="2025-11", **more))
        return {(one.metric, one.period_start, getattr(one, "group", None)): one.value for one in found}

    before, days, groups = figures(), figures(by="day"), figures(metric="calls", group_by="region")
    assert before["people", datetime(2025, 11, 1, tzinfo=UTC), None] == 3 and len(groups) == 2
    (row,) = archive_all(app)
    assert (row.action, row.note) == ("archived", "16 events stay that answers need one by one")
    assert (figures(), figures(by="day")) == (before, days)
    with pytest.raises(EventsArchived, match="2025-11"):
        figures(metric="calls", group_by="region")
    assert archive_all(app) == []
    assert bring_back(app, month="2025-11").put_back == 8
    assert (figures(), figures(metric="calls", group_by="region")) == (before, groups)
