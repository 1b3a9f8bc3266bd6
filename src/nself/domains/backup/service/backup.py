"""Writes the database to a file, with what must be true of it after it was read back."""

from __future__ import annotations

import errno
import os
from importlib.metadata import version
from pathlib import Path

import msgspec

from nself import files, log
from nself.app import App
from nself.core.clock import monotonic
from nself.db import dump
from nself.domains.backup import rules, store
from nself.domains.backup.inputs import BackupDatabase
from nself.domains.backup.model import FORMAT, BackupDamaged, BackupMade, Manifest


def beside(file: Path) -> Path:
    """Where the manifest of a dump lies."""
    return file.with_name(f"{file.name}.json")


def backup(app: App, given: BackupDatabase) -> BackupMade:
    """Services may go on working. Raises BackupExists, FileNotWritten, DumpFailed, BackupDamaged, NoPostgres, DatabaseUnavailable."""
    started, target = monotonic(), _target(app, given.output)
    with store.writing(target) as fresh:
        manifest = _dump(app, fresh)
        entries = [line for line in dump.contents(fresh) if line and not line.startswith(";")]
        missing = [table for table in manifest.rows if not _holds(entries, table)]
        if missing:
            raise BackupDamaged(file=target, detail=f"{missing[0]} is not in it")
        with store.writing(beside(target)) as note:
            note.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    log.info("database_backed_up", file=str(target), bytes=manifest.bytes, actor=app.operator())
    return BackupMade(
        file=str(target),
        manifest=str(beside(target)),
        bytes=manifest.bytes,
        sha256=manifest.sha256,
        entries=len(entries),
        tables=len(manifest.rows),
        rows=sum(manifest.rows.values()),
        invoices=manifest.invoices,
        pending_intents=manifest.pending_intents,
        seconds=round(monotonic() - started, 2),
    )


def _target(app: App, output: str | None) -> Path:
    if output:
        return Path(output).expanduser().absolute()
    app.ensure_project()
    folder = app.project.state / "backups"
    with files.refusing(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        files.sweep(folder)
    return folder / rules.file_name(app.clock())


def _dump(app: App, file: Path) -> Manifest:
    """Dump and figures are of one snapshot."""
    with store.session(app.db.conninfo) as tx, store.snapshot(tx):
        facts, ledger, rows = store.facts(tx), store.ledger(tx), store.rows(tx)
        try:
            dump.dump(app.db.conninfo, file, store.export_snapshot(tx))
        except dump.DiskFull as error:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    sha256, length = store.checksum(file)
    return Manifest(
        format=FORMAT,
        product=version("nself-billing"),
        server=facts.server,
        database=store.name(app.db.conninfo),
        made_at=facts.made_at,
        livemode=app.settings.live,
        schema_version=facts.schema_version,
        sha256=sha256,
        bytes=length,
        rows=rows,
        usage=ledger.usage,
        invoices=ledger.invoices,
        invoiced_minor=ledger.invoiced_minor,
        pending_intents=ledger.pending_intents,
    )


def _holds(entries: list[str], table: str) -> bool:
    schema, _, name = table.partition(".")
    return any(f" TABLE {schema} {name} " in entry for entry in entries)
