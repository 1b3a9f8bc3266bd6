"""What a backup tells of itself, what the use cases answer, and how they fail."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from nself.core.errors import Conflict, Denied, NotFound

FORMAT = 1


class Facts(NamedTuple):
    server: str
    made_at: datetime
    schema_version: int


class StoredTable(NamedTuple):
    schema: str
    name: str


class Session(NamedTuple):
    pid: int
    application: str


class Ledger(NamedTuple):
    """`usage` is the sum of all rollups, as text; `invoiced_minor` adds all currencies up."""

    usage: str
    invoices: int
    invoiced_minor: int
    pending_intents: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """FILE.json beside the dump FILE; `rows` by table, `sha256` and `bytes` of the dump."""

    format: int
    product: str
    server: str
    database: str
    made_at: datetime
    livemode: bool
    schema_version: int
    sha256: str
    bytes: int
    rows: dict[str, int]
    usage: str
    invoices: int
    invoiced_minor: int
    pending_intents: int

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.usage, self.invoices, self.invoiced_minor, self.pending_intents)


class BackupMade(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db backup`; `entries` is what the file was read back to hold."""

    file: str
    manifest: str
    bytes: int
    sha256: str
    entries: int
    tables: int
    rows: int
    invoices: int
    pending_intents: int
    seconds: float


class RestoreDone(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `db restore`; without --yes `kept_as` is None and nothing was changed."""

    file: str
    made_at: datetime
    database: str
    kept_as: str | None
    schema_before: int
    schema_now: int
    rows: int
    invoices: int
    doubted_intents: int
    known_invoices: int
    """Of ours that Stripe has and the backup has not: they are not made again."""
    next: list[str]


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    forgotten: str


class BackupExists(Conflict):
    code = "backup_exists"
    text = "{file} exists already and is kept; choose another --output"


class NoSuchBackup(NotFound):
    code = "no_such_backup"
    text = "{file} cannot be read: {detail}"
    hints = ("nself db backup",)


class BackupDamaged(Conflict):
    code = "backup_damaged"
    text = "{file} is not what `nself db backup` wrote: {detail}. Nothing was changed"


class BackupTooNew(Conflict):
    code = "backup_too_new"
    text = "{file} has schema {theirs} of nself {product}; this version knows {ours}. Install that version; nothing was changed"


class OtherMode(Denied):
    code = "backup_of_other_mode"
    text = "{file} is of {theirs} mode and this project works in {ours} mode; nothing was changed"
    hints = ("nself env get STRIPE_MODE",)


class ServicesRun(Conflict):
    code = "services_run"
    text = "Services still work on the database: {names}. Nothing was changed"
    hints = ("nself stop billing", "nself stop mail")


class DatabaseInUse(Conflict):
    code = "database_in_use"
    text = "Somebody else works on the database {database}: {who}. The restored copy was removed, nothing was changed"
    hints = ("nself db slow-queries --min-time 0s",)


class RestoreUnderWay(Conflict):
    code = "restore_under_way"
    text = "Another restore works on the database {database}"


class MayNotCreate(Denied):
    code = "may_not_create_database"
    text = "The role of DATABASE_URL may not make databases ({detail}): its administrator runs ALTER ROLE … CREATEDB. Nothing was changed"


class RestoreFailed(Conflict):
    code = "restore_failed"
    text = "The restored copy is not right: {detail}. It was removed, the database was not changed"


class ForgetRefused(Denied):
    code = "forget_refused"
    text = "{name} {why}; nothing was dropped"
