"""Restoring: what is missing comes back, nothing is counted twice, and nothing that is damaged is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from history import answers, archive_all, bring_back, event, kept, populate, raw, send

from metering import METRICS, PAGES, app_on, fresh, invoice_month, law, people, status
from nself.app import App
from nself.bucket.errors import BucketNotSet, ObjectDamaged, ObjectMissing
from nself.core.clock import Clock
from nself.core.errors import InvalidParameter
from nself.domains.archive.model import MonthBusy, MonthsInvoiced, NothingArchived
from nself.domains.archive.service import files, restore
from nself.domains.customer.model import NoSuchUser
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import aggregate, show
from object_store import Store

DAY = "2025-11-05"


def test_a_users_day_comes_back_and_is_counted_once(app: App) -> None:
    users = populate(app)
    send(app, event(users[0], f"{DAY}T00:00:00Z", "first"), event(users[0], f"{DAY}T23:59:59.999999Z", "last", 2),
         event(users[0], "2025-11-06T00:00:00Z", "after"), event(users[1], f"{DAY}T12:00:00Z", "of another"))  # fmt: skip
    before, stored = answers(app, users), raw(app)
    wanted = [row for row in stored if row[0] == users[0] and f"{row[1]:%Y-%m-%d}" == DAY]
    archive_all(app)
    planned = bring_back(app, user=users[0], date=DAY, execute=False)
    assert (planned.result, planned.events, planned.put_back) == ("would be restored", len(wanted), len(wanted))
    assert f"--date {DAY} --execute" in planned.notes[0] and raw(app) == []
    done = bring_back(app, user=users[0], date=DAY)
    assert (done.result, done.present, done.put_back, done.counted) == ("restored", 0, len(wanted), 0)
    assert raw(app) == wanted and answers(app, users) == before
    again = bring_back(app, user=users[0], date=DAY)
    assert (again.result, again.present, again.put_back) == ("nothing is missing", len(wanted), 0)
    assert law(app).archived == len(stored) - len(wanted)


def test_what_was_restored_is_archived_and_restored_again(app: App) -> None:
    users = populate(app, months=(11,))
    before, stored = answers(app, users), raw(app)
    for _ in range(3):
        archive_all(app)
        assert (raw(app), law(app).archived) == ([], 120)
        bring_back(app, user=users[1], month="2025-11")
        assert law(app).archived == 80
    archive_all(app)
    assert bring_back(app, month="2025-11", execute=False).put_back == 120
    assert bring_back(app, month="2025-11").put_back == 120
    assert (raw(app), answers(app, users), law(app).archived) == (stored, before, 0)


@pytest.fixture
def older(app: App, server: str, tmp_path: Path, clock: Clock, environ: dict[str, str]) -> Iterator[App]:
    """The same history from a backup that was made before November's usage came in."""
    populate(app, months=(10,))
    files.owner(app)
    app.db.close()
    name = fresh("backup").replace("-", "_")
    source = psycopg.conninfo.conninfo_to_dict(app.db.conninfo)["dbname"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {source}".encode())
        app.db.__init__(app.db.conninfo)  # type: ignore[misc]
        populate(app, months=(11,))
        archive_all(app)
        conninfo = psycopg.conninfo.make_conninfo(server, dbname=name)
        with app_on(tmp_path / "older", conninfo, clock, METRICS, **environ) as older:
            (older.project.config / "overage-tiers.yml").write_text('overage:\n  calls: {amount: "0.10"}\n')
            yield older
            law(older)
        connection.execute(f"drop database {name} with (force)".encode())


def test_what_was_lost_altogether_is_counted(app: App, older: App) -> None:
    users = tuple(sorted({row[0] for row in raw(older)}))
    before, months = answers(app, users), ("2025-10", "2025-11", "2025-12")
    assert answers(older, users, months) != before
    planned = bring_back(older, month="2025-11", execute=False)
    assert (planned.counted, planned.put_back, planned.present) == (120, 0, 0)
    send(older, event(users[0], "2025-11-02T00:00:00Z", "meanwhile", 0))
    done = bring_back(older, month="2025-11")
    assert (done.counted, done.put_back, done.refused) == (120, 0, 0)
    aggregate.aggregate(older)
    assert bring_back(older, month="2025-11").result == "nothing is missing"
    assert {row[6] for row in raw(older) if row[1].month == 11} == {"archive", "test"}
    found = answers(older, users, months)
    assert {key: value for key, value in found.items() if key[1] == "2025-11" and key[0] != users[0]} == {
        key: value for key, value in before.items() if key[1] == "2025-11" and key[0] != users[0]
    }
    assert status(older).raw_events == 241


def test_lost_usage_of_a_month_that_was_invoiced_needs_a_word(
    app: App, older: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = sorted({row[0] for row in raw(older)})
    invoice_month(older, users[0], "2025-11")
    assert bring_back(older, month="2025-11", execute=False).of_invoiced_months == 40
    with pytest.raises(MonthsInvoiced, match=r"40 of the missing events lie in months that were invoiced \(2025-11\)"):
        bring_back(older, month="2025-11")
    assert len(raw(older)) == 120
    assert bring_back(older, month="2025-11", invoiced=True).counted == 120


def test_events_of_strangers_and_reused_keys_are_left_out(app: App, older: App) -> None:
    users = sorted({row[0] for row in raw(older)})
    lost = [row for row in raw(app) if row[1].month == 11] or (bring_back(app, month="2025-11") and raw(app))
    mine = next(row for row in lost if row[0] == users[0] and row[1].month == 11)
    assert send(older, event(users[0], "2025-11-02T00:00:00Z", mine[2], 3))["counted"] == 1
    with older.db.transaction() as tx:
        tx.connection.execute("delete from billing_usage where user_id = %s", (users[1],))
        tx.connection.execute("delete from billing_usage_keys where user_id = %s", (users[1],))
        count = tx.connection.execute(
            "with gone as (delete from billing_usage_rollups where user_id = %(u)s returning events),"
            " away as (delete from billing_usage_deltas where user_id = %(u)s returning events)"
            " select (select coalesce(sum(events), 0) from gone) + (select coalesce(sum(events), 0) from away)",
            {"u": users[1]},
        ).fetchone()
        assert count
        tx.connection.execute(
            "insert into billing_usage_intake (source, received, duplicate, at) values ('test', %s, 0, now())",
            (-int(count[0]),),
        )
        tx.connection.execute("delete from auth.users where id = %s", (users[1],))
    from nself.domains.customer import service as customer

    customer._known.clear()
    done = bring_back(older, month="2025-11")
    assert (done.counted, done.refused) == (79, 41)
    assert [note.partition(",")[0] for note in done.notes] == [
        "events of unknown users are left out",
        "events whose keys other events took since are left out",
    ]
    with pytest.raises(NoSuchUser):
        bring_back(older, month="2025-11", user=users[1])


def test_a_database_made_anew_takes_archives_by_their_owners_name(
    app: App, server: str, template: str, tmp_path: Path, clock: Clock, environ: dict[str, str]
) -> None:
    users = populate(app, months=(11,))
    before, owner = answers(app, users), files.owner(app)
    archive_all(app)
    name = fresh("anew").replace("-", "_")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}".encode())
        conninfo = psycopg.conninfo.make_conninfo(server, dbname=name)
        with app_on(tmp_path / "anew", conninfo, clock, METRICS, **environ) as anew:
            people(anew, *users)
            with pytest.raises(NothingArchived, match="Nothing of 2025-11 is in the archive"):
                bring_back(anew, month="2025-11")
            from nself.domains.archive.inputs import ListArchives
            from nself.domains.archive.service import retention

            found = retention.archives(anew, ListArchives(check=True))
            assert f"the bucket also holds archives of {owner}" in found.remarks()
            assert bring_back(anew, month="2025-11", owner=owner).counted == 120
            assert answers(anew, users) == before
            law(anew)
        connection.execute(f"drop database {name} with (force)".encode())


def test_without_an_archive_a_look_says_so_and_a_restore_is_refused(app: App, open_app: Any) -> None:
    (user,) = people(app)
    looked = bring_back(app, user=user, date=DAY, execute=False)
    assert looked.result == "nothing is archived" and looked.notes[0] == f"Nothing of {DAY} is in the archive"
    with pytest.raises(NothingArchived):
        bring_back(app, user=user, date=DAY)
    without = open_app(ARCHIVE_S3_BUCKET="")
    looked = bring_back(without, user=user, date=DAY, execute=False)
    assert looked.result == "nothing is archived" and "nself env set ARCHIVE_S3_BUCKET" in looked.notes[1]
    with pytest.raises(BucketNotSet):
        bring_back(without, user=user, date=DAY)


def one(found: dict[str, bytes], end: str) -> str:
    (name,) = [name for name in found if name.endswith(end)]
    return name


def damaged(app: App, objects: Store, bucket: str, end: str, data: bytes | None) -> None:
    """Put other bytes, or none, where an object was."""
    name = one(objects.objects(bucket), end)
    if data is None:
        objects.client().delete_object(Bucket=bucket, Key=name)
    else:
        objects.client().put_object(Bucket=bucket, Key=name, Body=data)


@pytest.mark.parametrize("change", ["a bit", "cut", "empty", "another file"])
def test_a_damaged_object_is_told_and_nothing_is_restored(
    app: App, objects: Store, bucket: str, change: str, tmp_path: Path
) -> None:
    populate(app, months=(11,))
    archive_all(app)
    data = objects.objects(bucket)[one(objects.objects(bucket), ".parquet")]
    place = len(data) // 2
    other = {
        "a bit": data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :],
        "cut": data[:-10],
        "empty": b"",
        "another file": b"x" * len(data),
    }[change]
    damaged(app, objects, bucket, ".parquet", other)
    with pytest.raises(ObjectDamaged, match="is not what was written"):
        bring_back(app, month="2025-11")
    assert raw(app) == []
    assert kept(app, check=True)[0].note.startswith("damaged: ")
    damaged(app, objects, bucket, ".parquet", data)
    assert kept(app, check=True)[0].note == "all objects are as they were written"
    assert bring_back(app, month="2025-11").put_back == 120


def test_an_object_that_is_gone_is_told(app: App, objects: Store, bucket: str) -> None:
    populate(app, months=(11,))
    archive_all(app)
    damaged(app, objects, bucket, ".parquet", None)
    with pytest.raises(ObjectMissing, match="is gone: s3://"):
        bring_back(app, month="2025-11")
    assert "is gone" in kept(app, check=True)[0].note


def test_an_archive_that_is_given_up_meanwhile_is_no_damage(
    app: App, objects: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(app, months=(11,))
    archive_all(app)
    opened = files.open_piece

    def given_up(app: App, folder: str, piece: Any) -> Any:
        files.remove(app, folder)
        return opened(app, folder, piece)

    monkeypatch.setattr(files, "open_piece", given_up)
    with pytest.raises(MonthBusy, match="2025-11 is being archived or restored by somebody else"):
        bring_back(app, month="2025-11")


@pytest.mark.parametrize("change", [b"", b"{}", b'"total":"0"', b"\xff"])
def test_a_damaged_manifest_is_told(app: App, objects: Store, bucket: str, change: bytes) -> None:
    populate(app, months=(11,))
    archive_all(app)
    damaged(app, objects, bucket, "manifest.json", change)
    with pytest.raises(ObjectDamaged, match="manifest"):
        bring_back(app, month="2025-11")


def test_a_folder_without_manifest_is_no_archive(app: App, objects: Store, bucket: str) -> None:
    populate(app, months=(11,))
    archive_all(app)
    damaged(app, objects, bucket, "manifest.json", None)
    with pytest.raises(NothingArchived):
        bring_back(app, month="2025-11")
    assert kept(app, check=True)[0].note == "damaged: its manifest is gone"


def test_rows_that_do_not_add_up_are_not_trusted(app: App, objects: Store, bucket: str, tmp_path: Path) -> None:
    """A whole Parquet file with the right columns, but without the checksum."""
    populate(app, months=(11,))
    archive_all(app)
    found = objects.objects(bucket)
    path = tmp_path / "other.parquet"
    path.write_bytes(found[one(found, ".parquet")])
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    damaged(app, objects, bucket, ".parquet", path.read_bytes())
    with pytest.raises(ObjectDamaged, match="checksum"):
        bring_back(app, month="2025-11")


@pytest.mark.parametrize("given", [{}, {"date": DAY, "month": "2025-11"}, {"date": "soon"}, {"month": "2025-13"}])
def test_what_cannot_be_a_day_or_a_month_is_refused(app: App, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        bring_back(app, **given)


def test_a_large_restore_goes_batch_by_batch(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "BATCH", 7)
    users = populate(app, months=(11,))
    before, stored = answers(app, users), raw(app)
    archive_all(app)
    bring_back(app, month="2025-11")
    assert (raw(app), answers(app, users)) == (stored, before)


def test_what_was_lost_keeps_what_it_is_grouped_and_counted_by(
    app: App, server: str, template: str, tmp_path: Path, clock: Clock, environ: dict[str, str]
) -> None:
    metrics = METRICS + PAGES + "  accounts: {unit: account, aggregation: unique, field: account}\n"
    (app.project.config / "usage-metrics.yml").write_text(metrics)
    (user,) = people(app)
    send(app, event(user, f"{DAY}T10:00:00Z", "page", 3, "pages", region="eu", status=200))
    send(app, *(event(user, f"{DAY}T11:00:00Z", name, 1, "accounts", account=name) for name in ("ann", "bob")))
    archive_all(app)
    name = fresh("regrouped").replace("-", "_")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}".encode())
        conninfo = psycopg.conninfo.make_conninfo(server, dbname=name)
        with app_on(tmp_path / "regrouped", conninfo, clock, metrics, **environ) as anew:
            people(anew, user)
            assert bring_back(anew, month="2025-11", owner=files.owner(app)).counted == 3
            assert figures(anew, user, "accounts") == {None: 2}
            assert figures(anew, user, "pages", "region") == {"eu": 3}
            law(anew)
        connection.execute(f"drop database {name} with (force)".encode())


def figures(app: App, user: str, metric: str, group: str | None = None) -> dict[Any, int]:
    found = show.show(app, ShowUsage(user=user, metric=metric, period="2025-11", group_by=group))
    return {getattr(one, "group", None): one.value for one in found}
