"""Puts a backup in the place of the database: into a new one first, checked and migrated, then swapped by name.

Until the swap, which is one transaction, the database is as it was; afterwards it is kept under another name. What a
killed attempt left is removed by the next.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from nself import log
from nself.app import App
from nself.db import dump, server
from nself.db.connect import Tx
from nself.db.migrate import available, migrate
from nself.domains.backup import rules, store
from nself.domains.backup.inputs import ForgetDatabase, RestoreDatabase
from nself.domains.backup.model import (
    FORMAT,
    BackupDamaged,
    BackupTooNew,
    DatabaseInUse,
    ForgetRefused,
    Forgotten,
    Manifest,
    NoSuchBackup,
    OtherMode,
    RestoreDone,
    RestoreFailed,
    RestoreUnderWay,
    ServicesRun,
)
from nself.domains.backup.service.backup import beside
from nself.domains.connection.model import Snapshot
from nself.domains.connection.service import intents
from nself.domains.invoice.service import steps
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus
from nself.domains.trail import service as trail
from nself.domains.trail.rules import command_line
from nself.gateway.live import connect

AT_WORK = ("http", "worker", "usage-collector", "pdf-generator", "mail")


class Prepared(NamedTuple):
    """What was done to a restored copy so that nothing is charged twice."""

    doubted: int
    known: int


LEAVING = 30
"""Looks, a tenth of a second apart: a session that is being closed is there for a moment more."""


def restore(app: App, given: RestoreDatabase) -> RestoreDone:
    """Without `yes` it only checks.

    Raises NoSuchBackup, BackupDamaged, BackupTooNew, OtherMode, ServicesRun, DatabaseInUse, RestoreUnderWay, MayNotCreate, RestoreFailed, DumpFailed, DatabaseUnavailable, and what Stripe answers.
    """
    file = Path(given.file).expanduser().absolute()
    manifest = _checked(app, file)
    if given.yes:
        _require_quiet(app)
    app.ensure_project()
    conninfo = server.ensure(app.project, app.settings)
    name = store.name(conninfo)
    if not given.yes:
        return _answer(file, manifest, name, None, Prepared(manifest.pending_intents, 0))
    with store.maintenance(conninfo) as beside_it:
        if not store.alone(beside_it, name):
            raise RestoreUnderWay(database=name)
        _require_alone(beside_it, name)
        new, old = rules.new_name(name), rules.kept_name(name, app.clock())
        store.drop(beside_it, new)
        store.create(beside_it, new)
        try:
            prepared = _fill(app, store.at(conninfo, new), file, manifest, command_line("nself db restore", given))
            store.swap(beside_it, name, new, old)
        except store.InUse:
            raise DatabaseInUse(database=name, who=_who(beside_it, name)) from None
        finally:
            store.drop(beside_it, new)
    log.warning(
        "database_restored", file=str(file), made_at=manifest.made_at.isoformat(), kept_as=old, actor=app.operator()
    )
    return _answer(file, manifest, name, old, prepared)


def _checked(app: App, file: Path) -> Manifest:
    """The manifest of a file that is what it says and fits here."""
    try:
        manifest = msgspec.json.decode(store.read(beside(file)), type=Manifest)
        sha256, _ = store.checksum(file)
    except OSError as error:
        raise NoSuchBackup(file=error.filename or file, detail=error.strerror) from error
    except msgspec.MsgspecError as error:
        raise BackupDamaged(file=beside(file), detail=error) from error
    if manifest.format > FORMAT or manifest.schema_version > len(available()):
        ours = len(available())
        raise BackupTooNew(file=file, theirs=manifest.schema_version, product=manifest.product, ours=ours)
    if sha256 != manifest.sha256:
        raise BackupDamaged(file=file, detail="its checksum is another one")
    if manifest.livemode != app.settings.live:
        theirs, ours = ("live", "test") if manifest.livemode else ("test", "live")
        raise OtherMode(file=file, theirs=theirs, ours=ours)
    dump.contents(file)
    return manifest


def _require_quiet(app: App) -> None:
    running = [row.service for row in stack.status(app, ShowStatus()) if row.service in AT_WORK and row.pid]
    if running:
        raise ServicesRun(names=", ".join(running))


def _require_alone(tx: Tx, name: str) -> None:
    """Who is just leaving is waited for."""
    for _ in range(LEAVING):
        if not store.sessions(tx, name):
            return
        store.pause()
    if store.sessions(tx, name):
        raise DatabaseInUse(database=name, who=_who(tx, name))


def _who(tx: Tx, name: str) -> str:
    return (
        ", ".join(f"pid {one.pid} ({one.application or 'unnamed'})" for one in store.sessions(tx, name))
        or "nobody any more"
    )


def _fill(app: App, conninfo: str, file: Path, manifest: Manifest, command: str) -> Prepared:
    """The backup in a new database: as it was, then migrated, then told what happened since, `command` last of all."""
    with tempfile.TemporaryDirectory() as folder:
        dump.restore(conninfo, file, Path(folder) / "list")
    with store.session(conninfo) as tx:
        wrong = rules.difference(manifest.rows, store.rows(tx))
        if wrong is None and store.ledger(tx) != manifest.ledger:
            wrong = f"its sums are {store.ledger(tx)} instead of {manifest.ledger}"
        if wrong:
            raise RestoreFailed(detail=wrong)
    migrate(conninfo)
    made = _made_since(app, manifest)
    with store.session(conninfo) as tx, tx.connection.transaction():
        doubted = intents.doubt(tx, manifest.made_at)
        known = sum(steps.adopt(tx, invoice, manifest.livemode) for invoice in made)
        trail.done_with(app, tx, command, app.operator())
    return Prepared(doubted, known)


def _made_since(app: App, manifest: Manifest) -> list[Snapshot]:
    """Invoices at Stripe that are younger than the backup."""
    if not app.settings.text("STRIPE_SECRET_KEY"):
        return []
    # Without the calls' budget, which stands in the database that is about to be replaced; nobody else calls now.
    stripe = connect(app.settings)
    try:
        return list(stripe.listed("invoices", created={"gte": int(manifest.made_at.timestamp())}))
    finally:
        stripe.close()


def _answer(file: Path, manifest: Manifest, name: str, old: str | None, prepared: Prepared) -> RestoreDone:
    return RestoreDone(
        file=str(file),
        made_at=manifest.made_at,
        database=name,
        kept_as=old,
        schema_before=manifest.schema_version,
        schema_now=len(available()),
        rows=sum(manifest.rows.values()),
        invoices=manifest.invoices,
        doubted_intents=prepared.doubted,
        known_invoices=prepared.known,
        next=list(rules.NEXT) if old else [f"nself db restore {file} --yes"],
    )


def forget(app: App, given: ForgetDatabase) -> Forgotten:
    """Raises ForgetRefused, DatabaseUnavailable."""
    conninfo = server.ensure(app.project, app.settings)
    name = store.name(conninfo)
    with store.maintenance(conninfo) as tx:
        if given.name not in store.kept(tx, rules.prefix(name)):
            raise ForgetRefused(name=given.name, why="is no database that a restore kept")
        if not given.yes:
            raise ForgetRefused(name=given.name, why="is dropped for good only with --yes")
        store.drop(tx, given.name)
    log.warning("database_forgotten", database=given.name, actor=app.operator())
    return Forgotten(forgotten=given.name)
