"""One function a query of the archive."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

import msgspec
import psycopg

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.archive.model import Archive, Event, LockTimeout, Metered, MonthCounts, Partition, Staying

SQL = beside(__file__)


class Known(NamedTuple):
    """What is known here of an archived event."""

    known: bool
    same: bool
    present: bool


class Sum(NamedTuple):
    metric: str
    events: int
    total: Decimal


def partitions(tx: Tx) -> list[Partition]:
    """Oldest first."""
    return tx.all(SQL["partitions"], Partition)


def raw_events(tx: Tx, span: Period) -> int:
    return int(tx.value(SQL["raw_events"], start=span.start, end=span.end))


def month_counts(tx: Tx, month: date, span: Period) -> MonthCounts:
    return tx.one(SQL["month_counts"], MonthCounts, month=month, start=span.start, end=span.end)


def leaving(tx: Tx, span: Period, stay: Staying) -> int:
    return int(
        tx.value(SQL["leaving"], start=span.start, end=span.end, kept=list(stay.hours), metrics=list(stay.metrics))
    )


def metered(tx: Tx, span: Period) -> list[Metered]:
    found = tx.all(SQL["metered"], Sum, start=span.start, end=span.end)
    return [Metered(metric=one.metric, events=one.events, total=one.total) for one in found]


def export(tx: Tx, span: Period, rows: int) -> Generator[bytes]:
    """Lines of COLUMNS, as many as `rows` at once; to be closed, since the connection is taken until the end."""
    with tx.connection.cursor() as cursor, cursor.copy(SQL["export"], {"start": span.start, "end": span.end}) as copy:
        lines = iter(copy)
        while block := b"".join(islice(lines, rows)):
            yield block


def without_limit(tx: Tx) -> None:
    tx.run(SQL["without_limit"])


def try_month(tx: Tx, month: date) -> bool:
    """Whether this transaction is the one that archives or restores the month."""
    return bool(tx.value(SQL["try_month"], month=month))


def lock_month(tx: Tx, month: date, limit: timedelta) -> None:
    """Nobody adds raw events of the month until the end of the transaction. Raises LockTimeout."""
    tx.run(SQL["limit_locks"], milliseconds=str(max(1, round(limit / timedelta(milliseconds=1)))))
    try:
        tx.run(SQL["lock_month"], month=month)
    except psycopg.errors.LockNotAvailable as error:
        raise _timeout(month, limit) from error


def empty_month(tx: Tx, month: date, stay: Staying, limit: timedelta) -> int:
    """Number of raw events that stay. Raises LockTimeout."""
    try:
        return int(tx.value(SQL["empty_month"], month=month, kept=list(stay.hours), metrics=list(stay.metrics)))
    except psycopg.errors.LockNotAvailable as error:
        raise _timeout(month, limit) from error


def _timeout(month: date, limit: timedelta) -> LockTimeout:
    return LockTimeout(month=f"{month:%Y-%m}", limit=f"{limit.total_seconds():g}s")


def owner(tx: Tx, fresh: str) -> str:
    """This database's name in a bucket; `fresh` where it has none yet."""
    tx.run(SQL["make_owner"], owner=fresh)
    return str(tx.value(SQL["owner"]))


def begin(tx: Tx, month: date, location: str, actor: str, now: datetime) -> None:
    tx.run(SQL["begin"], month=month, location=location, actor=actor, now=now)


def under_way(tx: Tx, month: date) -> Archive | None:
    """The archive of the month that is written or verified, but not dropped here."""
    return tx.maybe(SQL["under_way"], Archive, month=month)


def verified(tx: Tx, id: int, events: int, objects: int, bytes: int, sha256: str, now: datetime) -> None:
    tx.run(SQL["verified"], id=id, events=events, objects=objects, bytes=bytes, sha256=sha256, now=now)


def dropped(tx: Tx, id: int, kept: int, now: datetime) -> None:
    tx.run(SQL["dropped"], id=id, kept=kept, now=now)


def dropped_for_good(tx: Tx, month: date, events: int, kept: int, actor: str, now: datetime) -> None:
    tx.run(SQL["dropped_for_good"], month=month, events=events, kept=kept, actor=actor, now=now)


def abandoned(tx: Tx, id: int) -> None:
    tx.run(SQL["abandoned"], id=id)


def returned(tx: Tx, month: date, events: int) -> None:
    tx.run(SQL["returned"], month=month, events=events)


def archives(tx: Tx, month: date | None) -> list[Archive]:
    """Oldest first."""
    return tx.all(SQL["archives"], Archive, month=month)


def note(tx: Tx, month: date, action: str, events: int, detail: str, actor: str, now: datetime) -> None:
    tx.run(SQL["note"], month=month, action=action, events=events, detail=detail, actor=actor, now=now)


def known(tx: Tx, rows: Sequence[Event]) -> list[Known]:
    """For each of the archived events `rows`, in their order."""
    return tx.all(SQL["known"], Known, rows=_json(rows))


def put_back(tx: Tx, rows: Sequence[Event]) -> int:
    """Store events whose keys are known; number of those that were not here."""
    return int(tx.value(SQL["put_back"], rows=_json(rows)))


def _json(rows: Sequence[Event]) -> str:
    """One text: the driver takes ten times as long for a list a column."""
    return msgspec.json.encode(rows).decode()
