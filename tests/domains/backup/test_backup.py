"""`db backup` and `db restore`: money and usage come back as they were, and nobody is charged twice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest
from money_bench import MONTH, Bench, charge_overage
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from nself.app import App
from nself.db import dump
from nself.db.dump import DiskFull
from nself.domains.backup import store
from nself.domains.backup.inputs import BackupDatabase, ForgetDatabase, RestoreDatabase
from nself.domains.backup.model import (
    BackupDamaged,
    BackupExists,
    BackupTooNew,
    DatabaseInUse,
    ForgetRefused,
    MayNotCreate,
    NoSuchBackup,
    OtherMode,
    RestoreDone,
    ServicesRun,
)
from nself.domains.backup.service import restore as service
from nself.domains.backup.service.backup import backup
from nself.domains.connection.model import StillPending
from nself.domains.connection.service import intents
from nself.domains.stack.model import ServiceStatus
from nself.domains.trail.inputs import ShowLog
from nself.domains.trail.service import show_log
from nself.files import FileNotWritten


def save(bench: Bench, file: Path) -> Any:
    return backup(bench.app(), BackupDatabase(output=str(file)))


def bring_back(bench: Bench, file: Path, **more: str) -> RestoreDone:
    """As an operator does: with everything stopped."""
    bench.reconnect()
    for app in bench.apps:
        app.close()
    app = App(bench.apps[0].project, bench.apps[0].registry, environ=bench.environ(**more), clock=bench.apps[0].clock)
    try:
        return service.restore(app, RestoreDatabase(file=str(file), yes=True))
    finally:
        app.close()


def ledger(bench: Bench) -> list[tuple[Any, ...]]:
    return bench.sql(
        "select (select sum(total) from billing_usage_rollups), (select array_agg(snapshot::text order by invoice_id) from billing_invoices),"
        " (select array_agg((operation, step, idempotency_key, state)::text order by id) from billing_intents),"
        " (select count(*) from billing_usage)"
    )


def test_what_was_there_is_there_again(bench: Bench, tmp_path: Path) -> None:
    bench.create(bench.app(), "anna")
    bench.use(bench.app(), "anna", 120)
    bench.bill(bench.app(), "anna")
    bench.deliver(bench.app())
    bench.work(bench.app())
    file = tmp_path / "saved.dump"
    made = save(bench, file)
    assert made.invoices == 1 and made.pending_intents == 0 and made.rows > 5 and made.entries > 100
    assert {oct(path.stat().st_mode)[-3:] for path in (file, Path(made.manifest))} == {"600"}
    before, books = ledger(bench), bench.books("anna")
    bench.use(bench.app(), "berta", 7)
    bench.sql("delete from billing_invoices")
    done = bring_back(bench, file)
    assert ledger(bench) == before and bench.books("anna") == books
    assert bench.bill(bench.app(), "anna").planned_now == 0 and bench.books("anna") == books
    bench.check_law()
    # The audit log of the restored database says who did it, and is unbroken.
    (deed,) = show_log(bench.app(), ShowLog(since="1h"))
    assert deed.command.startswith(f"nself db restore {file}") and deed.outcome == "done" and deed.actor
    assert show_log(bench.app(), ShowLog(verify=True)).entries == 2
    # What was there meanwhile is kept until somebody says otherwise.
    assert done.kept_as
    app = bench.app()
    with psycopg.connect(make_conninfo(bench.database, dbname=done.kept_as)) as old:
        assert old.execute("select count(*) from billing.billing_invoices").fetchone() == (0,)
    with pytest.raises(ForgetRefused, match="--yes"):
        service.forget(app, ForgetDatabase(name=done.kept_as))
    with pytest.raises(ForgetRefused, match="no database that"):
        service.forget(app, ForgetDatabase(name=str(conninfo_to_dict(bench.database)["dbname"]), yes=True))
    service.forget(app, ForgetDatabase(name=done.kept_as, yes=True))
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(make_conninfo(bench.database, dbname=done.kept_as))


@pytest.mark.parametrize("days", [0, 3])
def test_what_was_open_then_and_done_since_is_done_once(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The invoice waits at the backup and is made afterwards; Stripe knows its key for a day."""
    bench.create(bench.app(), "anna")
    bench.use(bench.app(), "anna", 120)
    bench.sandbox.fault("/v1/invoices", status=503, times=20)
    monkeypatch.setattr(intents, "PATIENCE", 0)
    with pytest.raises(StillPending):
        bench.bill(bench.app(STRIPE_MAX_RETRIES="0"), "anna")
    saved = save(bench, tmp_path / "saved.dump")
    assert saved.pending_intents == 1
    bench.sandbox.admin("faults/clear")
    bench.pass_time()
    bench.work(bench.app())
    paid = bench.books("anna")
    assert paid.charged and paid.invoices[0][0] == "paid"
    done = bring_back(bench, tmp_path / "saved.dump")
    assert done.doubted_intents == 1
    bench.pass_time(days * 86400 + 1)
    bench.work(bench.app())
    assert bench.books("anna") == paid
    assert [state for _, state, _ in bench.intents() if state != "done"] == []


def test_an_invoice_that_was_made_since_is_not_made_again(bench: Bench, tmp_path: Path) -> None:
    bench.create(bench.app(), "anna")
    bench.use(bench.app(), "anna", 120)
    save(bench, tmp_path / "saved.dump")
    bench.bill(bench.app(), "anna")
    books = bench.books("anna")
    assert len(books.invoices) == len(books.charged) == 1
    assert bring_back(bench, tmp_path / "saved.dump").known_invoices == 1
    bench.bill(bench.app(), "anna", MONTH)
    bench.work(bench.app())
    assert bench.books("anna") == books
    made = bench.sql("select invoice_id from billing_invoice_plans")
    assert len(made) == 1 and made[0][0]


def expire_keys(bench: Bench, days: int) -> None:
    """Stripe forgets the keys of calls that are a day old, and our clock goes on as well."""
    bench.pass_time(days * 86400 + 1)
    if days:
        bench.sandbox.admin("clock", advance=days * 86400)


@pytest.mark.parametrize("days", [0, 3])
def test_a_draft_that_was_left_between_two_lines_gets_each_once(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The first line waits at the backup; afterwards both are added and the process dies."""
    charge_overage(bench.app(), "bandwidth", 0)
    bench.create(bench.app(), "anna")
    bench.use(bench.app(), "anna", 120)
    bench.use(bench.app(), "anna", 2**20, "bandwidth")
    bench.sandbox.fault("/v1/invoiceitems", status=503, times=20)
    monkeypatch.setattr(intents, "PATIENCE", 0)
    with pytest.raises(StillPending):
        bench.bill(bench.app(STRIPE_MAX_RETRIES="0"), "anna")
    assert save(bench, tmp_path / "saved.dump").pending_intents == 1
    bench.sandbox.admin("faults/clear")
    for _ in range(2):
        bench.pass_time()
        assert intents.perform_due(bench.app()) == 1
    lines = bench.books("anna").lines
    assert [metric for metric, _ in lines] == ["api_calls", "bandwidth"]
    assert bring_back(bench, tmp_path / "saved.dump").doubted_intents == 1
    expire_keys(bench, days)
    bench.work(bench.app())
    books = bench.books("anna")
    assert books.lines == lines and books.charged == [sum(amount for _, amount in lines)]
    assert [state for _, state, _ in bench.intents() if state != "done"] == []


@pytest.mark.parametrize("days", [0, 3])
def test_what_was_made_under_another_key_since_is_found(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Stripe keeps an error under a key: it is of no more use, and the line is made under the next."""
    bench.create(bench.app(), "anna")
    bench.use(bench.app(), "anna", 120)
    bench.sandbox.fault("/v1/invoiceitems", status=503, times=20)
    monkeypatch.setattr(intents, "PATIENCE", 0)
    with pytest.raises(StillPending):
        bench.bill(bench.app(STRIPE_MAX_RETRIES="0"), "anna")
    save(bench, tmp_path / "saved.dump")
    (before,) = bench.sql("select idempotency_key from billing_intents where state = 'pending'")
    bench.sandbox.admin("faults/clear")
    bench.sandbox.fault("/v1/invoiceitems", status=500)
    bench.pass_time()
    assert intents.perform_due(bench.app(STRIPE_MAX_RETRIES="0")) == 1
    bench.pass_time()
    bench.work(bench.app())
    made, lines = (
        bench.sql("select idempotency_key from billing_intents where kind = 'invoice.add_line'"),
        bench.books("anna").lines,
    )
    assert len(lines) == 1 and made != [before]
    bring_back(bench, tmp_path / "saved.dump")
    expire_keys(bench, days)
    bench.work(bench.app())
    books = bench.books("anna")
    assert books.lines == lines and len(books.charged) == 1
    assert [state for _, state, _ in bench.intents() if state != "done"] == []


def test_what_does_not_fit_is_refused_and_changes_nothing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, note = tmp_path / "saved.dump", tmp_path / "saved.dump.json"
    save(bench, file)
    with pytest.raises(BackupExists):
        save(bench, file)
    before, manifest, content = ledger(bench), note.read_text(), file.read_bytes()

    def refused(error: type[Exception], match: str, **more: str) -> None:
        with pytest.raises(error, match=match):
            bring_back(bench, file, **more)

    with pytest.raises(NoSuchBackup):
        bring_back(bench, tmp_path / "nowhere")
    live = {"STRIPE_MODE": "live", "STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_MOCK_ENABLED": "false"}
    refused(OtherMode, "is of test mode", **live)
    note.write_text(json.dumps({**json.loads(manifest), "schema_version": 9999}))
    refused(BackupTooNew, "schema 9999")
    note.write_text("{}")
    refused(BackupDamaged, "saved.dump.json")
    note.write_text(manifest)
    file.write_bytes(content[:-100])
    refused(BackupDamaged, "checksum")
    file.write_bytes(content)
    other = {**json.loads(manifest), "invoices": 7}
    note.write_text(json.dumps(other))
    refused(Exception, "instead of Ledger")
    note.write_text(manifest)
    with psycopg.connect(bench.database, application_name="report"):
        refused(DatabaseInUse, r"\(report\)")
    row = ServiceStatus(
        service="worker", group="billing", state="running", pid=os.getpid(), uptime=None, port=None, memory=None, settings="-",
        changed=False, note="",
    )  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(service.stack, "status", lambda app, given: [row])
        refused(ServicesRun, "worker")
    assert ledger(bench) == before
    with psycopg.connect(bench.database) as link:
        name = conninfo_to_dict(bench.database)["dbname"]
        found = link.execute(
            "select datname from pg_database where starts_with(datname, %s) and datname <> %s", (f"{name}_", name)
        )
        assert found.fetchall() == []


def test_a_role_that_may_not_make_databases_is_told(bench: Bench, tmp_path: Path) -> None:
    save(bench, tmp_path / "saved.dump")
    bench.sql("create role plain login")
    try:
        with pytest.raises(MayNotCreate, match="CREATEDB"):
            bring_back(bench, tmp_path / "saved.dump", DATABASE_URL=make_conninfo(bench.database, user="plain"))
    finally:
        bench.sql("drop role plain")


def test_a_full_disk_is_told_as_such(bench: Bench) -> None:
    with store.session(bench.database) as tx, store.snapshot(tx), pytest.raises(DiskFull, match="No space left"):
        dump.dump(bench.database, Path("/dev/full"), store.export_snapshot(tx))


def test_what_keeps_a_backup_from_being_written_is_the_error_of_files(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotWritten, match="it is a folder"):
        save(bench, tmp_path)
    monkeypatch.setattr(dump, "dump", lambda *_: (_ for _ in ()).throw(DiskFull(tool="pg_dump", detail="full")))
    with pytest.raises(FileNotWritten, match="No space left"):
        save(bench, tmp_path / "saved.dump")
    assert list(tmp_path.glob("*dump*")) == list(tmp_path.glob(".*")) == []


def test_without_yes_it_only_looks(bench: Bench, tmp_path: Path) -> None:
    save(bench, tmp_path / "saved.dump")
    bench.use(bench.app(), "anna", 1)
    before = ledger(bench)
    looked = service.restore(bench.app(), RestoreDatabase(file=str(tmp_path / "saved.dump")))
    assert looked.kept_as is None and looked.next[0].endswith("--yes") and ledger(bench) == before


def test_a_killed_restore_leaves_the_database_as_it_was(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed right before the swap: the copy stays, and the next attempt removes it."""
    bench.use(bench.app(), "anna", 5)
    save(bench, tmp_path / "saved.dump")
    before = ledger(bench)
    drops: list[str] = []
    with monkeypatch.context() as patched:
        real = store.drop
        patched.setattr(store, "swap", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patched.setattr(
            store, "drop", lambda tx, name: drops.append(name) if drops else (drops.append(name), real(tx, name))
        )
        with pytest.raises(KeyboardInterrupt):
            bring_back(bench, tmp_path / "saved.dump")
    assert len(drops) == 2 and ledger(bench) == before
    bring_back(bench, tmp_path / "saved.dump")
    assert ledger(bench) == before
