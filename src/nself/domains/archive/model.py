"""Nouns and errors of the archive."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from nself.core.errors import Conflict, NotFound, Unavailable

FORMAT, VERSION = "nself usage archive", 1
COLUMNS = {
    "user_id": "text", "metric_type": "text", "value": "integer", "created_at": "instant", "idempotency_key": "text",
    "digest": "text", "properties": "text", "dimensions": "text", "source": "text", "recorded_at": "instant",
}  # fmt: skip
"""Of an archived event; `digest` is that of its key, in hex."""


Event = dict[str, Any]
"""An archived event: COLUMNS by name."""


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one metric and the sum of their values."""

    metric: str
    events: int
    total: Decimal


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file of an archive, sorted by user: `name` in the archive's folder, users it may hold."""

    name: str
    bytes: int
    sha256: str
    events: int
    first_user: str
    last_user: str
    metrics: list[Metered]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a folder an archive: written last. `sha256` is of this object's JSON with an empty `sha256`."""

    format: str
    version: int
    owner: str
    livemode: bool
    month: str
    start: datetime
    end: datetime
    created_at: datetime
    actor: str
    columns: dict[str, str]
    events: int
    metrics: list[Metered]
    objects: list[Piece]
    sha256: str = ""


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """A row of billing_usage_archives; `location` is the folder's name in the bucket."""

    id: int
    month: date
    state: str
    location: str
    events: int
    objects: int
    bytes: int
    manifest_sha256: str | None
    kept: int
    returned: int
    actor: str
    started_at: datetime
    verified_at: datetime | None
    dropped_at: datetime | None


class Partition(NamedTuple):
    """A month's partition of raw usage, with the size of its indexes."""

    month: date
    bytes: int


class Staying(NamedTuple):
    """Raw events that stay in the database: of these UTC hours, and of these metrics."""

    hours: list[datetime]
    metrics: list[str]


class MonthCounts(NamedTuple):
    """What is known of a UTC month: raw events here and those that only the archive has, beside what was counted.

    `taken_out` of them do not count, by an operator's decision.
    """

    raw_events: int
    away: int
    counted: int
    pending: int
    taken_out: int


class ShownPartition(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `db partition`: what a month has, what would be or was done with it, and why not."""

    partition: str
    month: str
    events: int
    size_bytes: int
    action: str
    note: str


class ArchivedMonth(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `archive-usage`: events to be archived, or that were, with the reason for what was not done."""

    month: str
    events: int
    size_bytes: int
    action: str
    objects: int = 0
    archived_bytes: int = 0
    location: str = ""
    note: str = ""


class ShownArchive(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `usage archives`: `away` of the month's events are nowhere but there."""

    month: str
    state: str
    events: int
    away: int
    objects: int
    bytes: int
    location: str
    archived_at: datetime | None
    dropped_at: datetime | None
    actor: str
    note: str


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `usage restore`. `put_back` were counted before and are only stored again; `counted` were lost altogether."""

    result: str
    start: datetime
    end: datetime
    archives: int
    events: int
    present: int
    put_back: int
    counted: int
    of_invoiced_months: int
    refused: int
    notes: list[str]


class NotPartitioned(NotFound):
    code, guide, param = "not_partitioned", "8.2", "table"
    text = "{table} is not partitioned by month; billing_usage is, from its first event on"
    hints = ("nself db partition billing_usage",)


class MonthBusy(Conflict):
    code, guide = "month_busy", "8.2"
    text = "{month} is being archived or restored by somebody else at this moment; nothing was changed"
    hints = ("nself billing usage archives",)


class LockTimeout(Unavailable):
    code, guide = "lock_timeout", "8.2"
    text = "Raw usage of {month} is in use: it was not granted to this command within DB_LOCK_TIMEOUT ({limit}); nothing was dropped"
    hints = (
        "nself db query \"SELECT pid, state, xact_start, query FROM pg_stat_activity WHERE state <> 'idle'\"",
        "nself env set DB_LOCK_TIMEOUT=30s",
        "nself billing usage archives",
    )


class KeysMissing(Conflict):
    code, guide = "usage_keys_missing", "2.3"
    text = "{events} raw events of {month} have no idempotency key any more, so that a resend of them would count twice; nothing was archived"
    hints = ("nself billing usage audit --user USER --date {month}-01",)


class ArchiveDiffers(Conflict):
    code, guide = "archive_differs", "8.2"
    text = "What was read back of {location} is not what was written: {detail}; nothing was dropped"
    hints = ("nself billing usage archives --check",)


class NothingArchived(NotFound):
    code, guide = "nothing_archived", "2.4"
    text = "Nothing of {span} is in the archive{other}"
    hints = ("nself billing usage archives",)


class MonthsInvoiced(Conflict):
    code, guide = "months_invoiced", "2.4"
    text = "{events} of the missing events lie in months that were invoiced ({months}); nothing was restored. With --invoiced they are counted, and the next invoice bills the difference"
    hints = ("nself billing usage archives",)
