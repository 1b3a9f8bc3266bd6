"""One function a query of metering."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.usage.model import Counts, Pending, Progress, Reason, Row, Sum, Tally

SQL = beside(__file__)
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _copy_line(n: int, row: Row) -> str:
    """One row of COPY's text format."""
    properties = r"\N" if row.properties is None else row.properties.translate(_ESCAPES)
    return (
        f"{n}\t{row.user.translate(_ESCAPES)}\t{row.metric}\t{row.value}\t{row.at.isoformat()}"
        f"\t{row.key.translate(_ESCAPES)}\t\\\\x{row.digest.hex()}\t{properties}\n"
    )


def stage(tx: Tx, rows: Sequence[tuple[int, Row]]) -> None:
    """Put numbered rows into this transaction's staging table."""
    tx.run(SQL["make_staging"])
    tx.copy(SQL["fill_staging"], "".join(_copy_line(n, row) for n, row in rows).encode())


def store_staged(tx: Tx, source: str, now: datetime) -> list[int]:
    """Count what is new; the numbers of what was not."""
    return tx.values(SQL["store_staged"], source=source, now=now)


def reused_keys(tx: Tx, numbers: list[int]) -> set[int]:
    """Those of `numbers` whose key was used for other content before."""
    return set(tx.values(SQL["classify_known"], numbers=numbers))


def ensure_month(tx: Tx, first_day: date) -> None:
    tx.run(SQL["ensure_month"], first_day=first_day)


def add_intake(tx: Tx, source: str, received: int, duplicate: int, now: datetime) -> None:
    tx.run(SQL["add_intake"], source=source, received=received, duplicate=duplicate, now=now)


def add_rejected(tx: Tx, source: str, now: datetime, events: list[str], codes: list[str], messages: list[str]) -> None:
    tx.run(SQL["add_rejected"], source=source, now=now, events=events, codes=codes, messages=messages)


def totals(
    tx: Tx,
    users: list[str] | None,
    metric: str | None,
    whole_hours: tuple[datetime, datetime],
    start: datetime,
    end: datetime,
) -> list[Sum]:
    """Sums by user and metric in `[start, end)`; `whole_hours` from `rules.aligned`; `users` None is everybody."""
    first, last = whole_hours
    return tx.all(SQL["totals"], Sum, users=users, metric=metric, first=first, last=last, start=start, end=end)


def months(tx: Tx, zone: str) -> list[datetime]:
    """Beginnings of the months with usage."""
    return tx.values(SQL["months"], zone=zone)


def buckets(tx: Tx, user: str, metric: str | None, unit: str, zone: str, start: datetime, end: datetime) -> list[Sum]:
    return tx.all(SQL["buckets"], Sum, user=user, metric=metric, unit=unit, zone=zone, start=start, end=end)


def counts(tx: Tx) -> Counts:
    return tx.one(SQL["counts"], Counts)


def rejected_reasons(tx: Tx) -> list[Reason]:
    return tx.all(SQL["rejected_reasons"], Reason)


def pending_shards(tx: Tx) -> list[int]:
    return tx.values(SQL["pending_shards"])


def try_shard(tx: Tx, shard: int) -> bool:
    """Whether this transaction is the one that folds the shard."""
    return bool(tx.value(SQL["try_shard"], shard=shard))


def lock_users(tx: Tx, users: Sequence[str]) -> None:
    """Wait until nobody else changes rollups or quota counters of `users`, to the end of the transaction."""
    tx.run(SQL["lock_users"], users=list(users))


def lock_everybody(tx: Tx) -> None:
    tx.run(SQL["lock_everybody"])


def pending_of_shard(tx: Tx, shard: int, limit: int) -> list[Pending]:
    return tx.all(SQL["pending_of_shard"], Pending, shard=shard, limit=limit)


def pending_users(tx: Tx, limit: int) -> list[str]:
    return tx.values(SQL["pending_users"], limit=limit)


def pending_of_users(tx: Tx, users: Sequence[str]) -> list[Pending]:
    return tx.all(SQL["pending_of_users"], Pending, users=list(users))


def fold(tx: Tx, deltas: Sequence[Pending]) -> int:
    """Number of deltas folded; the caller holds the locks of their users' shards."""
    return int(tx.value(SQL["fold"], users=[one.user_id for one in deltas], ids=[one.id for one in deltas]))


def note_fold(tx: Tx, now: datetime, deltas: int, duration: timedelta) -> None:
    tx.run(SQL["note_fold"], now=now, deltas=deltas, duration=duration)


def pending_events(tx: Tx) -> int:
    return int(tx.value(SQL["pending_events"]))


def begin_import(tx: Tx, source: str, path: str, format: str, now: datetime) -> None:
    tx.run(SQL["begin_import"], source=source, path=path, format=format, now=now)


def lock_import(tx: Tx, source: str) -> Progress:
    return tx.one(SQL["lock_import"], Progress, source=source)


def advance_import(tx: Tx, source: str, position: int, digest: bytes, tally: Tally, now: datetime) -> None:
    """Add `tally` to what was imported up to `position`."""
    tx.run(
        SQL["advance_import"],
        source=source, position=position, digest=digest, lines=tally.lines, received=tally.events, counted=tally.accepted,
        duplicate=tally.duplicate, rejected=tally.rejected, now=now,
    )  # fmt: skip
