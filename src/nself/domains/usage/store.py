"""One function a query of metering."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from operator import attrgetter
from pathlib import Path

from psycopg.types.json import Jsonb

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.total.model import Grown
from nself.domains.usage.facts import Holding, LastFold, RejectedLately, Terms
from nself.domains.usage.figures import Area, Holder
from nself.domains.usage.inputs import ImportUsage
from nself.domains.usage.model import (
    AuditedEvent,
    CountedEvent,
    Counts,
    Delta,
    Pending,
    Progress,
    Reason,
    Recounted,
    RejectedEvent,
    Row,
    Sum,
    Tally,
    Unfolded,
)
from nself.spool.segments import Place

SQL = beside(__file__)
BY_KEY = attrgetter("user", "key")
"""Whoever writes keys writes them in this order, so that two do not wait for each other."""


# Those below that copy write COPY's lines as they are: names are printable and JSON holds no control character (queries.sql).


def add_rows(tx: Tx, rows: Sequence[Row], source: str, now: datetime) -> bool:
    """Store keys and events where all keys are new and none is there twice; else False, and nothing is kept."""
    keys, events, end = list[str](), list[str](), f"\t{source}\t{now.isoformat()}\n"
    for row in rows:
        user, key = row.user, row.key
        keys.append(f"{user}\t{key}\t\\x{row.digest.hex()}\n")
        events.append(
            f"{user}\t{row.at}\t{key}\t{row.metric}\t{row.value}\t{row.properties or ''}\t{row.dimensions or ''}{end}"
        )
    if not tx.copy_new(SQL["add_keys"], _sorted(keys)):
        return False
    tx.copy(SQL["add_events"], _sorted(events))
    return True


def add_deltas(tx: Tx, deltas: Sequence[Delta]) -> None:
    lines = [
        f"{one.user}\t{one.metric}\t{one.hour}\t{one.events}\t{one.total}\t{one.largest}\t{one.last_value}\t{one.last_at}\n"
        for one in deltas
    ]
    tx.copy(SQL["add_deltas"], _sorted(lines))


def _sorted(lines: list[str]) -> bytes:
    """Lines begin with their primary key: in its order the index is read and written page by page."""
    lines.sort()
    return "".join(lines).encode()


def add_new(tx: Tx, rows: Sequence[Row], deltas: Sequence[Delta], source: str, now: datetime) -> bool:
    """Keys, events, deltas and intake of a commit that is nothing else, as one transaction; False where a key is known."""
    rows = sorted(rows, key=BY_KEY)
    return tx.run_new(
        SQL["add_new"],
        users=[row.user for row in rows],
        metrics=[row.metric for row in rows],
        values=[row.value for row in rows],
        ats=[row.at for row in rows],
        keys=[row.key for row in rows],
        digests=[row.digest.hex() for row in rows],
        properties=[row.properties or "" for row in rows],
        dimensions=[row.dimensions or "" for row in rows],
        delta_users=[one.user for one in deltas],
        delta_metrics=[one.metric for one in deltas],
        hours=[one.hour for one in deltas],
        counts=[one.events for one in deltas],
        totals=[one.total for one in deltas],
        largest=[one.largest for one in deltas],
        last_values=[one.last_value for one in deltas],
        last_ats=[one.last_at for one in deltas],
        source=source,
        now=now,
    )


def stage(tx: Tx, rows: Sequence[tuple[int, Row]]) -> None:
    """Put numbered rows into this transaction's staging table."""
    tx.run(SQL["make_staging"])
    lines = [
        f"{n}\t{row.user}\t{row.metric}\t{row.value}\t{row.at}\t{row.key}\t\\x{row.digest.hex()}\t{row.properties or ''}\t{row.dimensions or ''}\n"
        for n, row in rows
    ]
    tx.copy(SQL["fill_staging"], "".join(lines).encode())


def store_staged(tx: Tx, source: str, now: datetime) -> list[int]:
    """Store what is new; the numbers of what was not."""
    return tx.values(SQL["store_staged"], source=source, now=now)


def reused_keys(tx: Tx, numbers: list[int]) -> set[int]:
    """Those of `numbers` whose key was used for other content before."""
    return set(tx.values(SQL["classify_known"], numbers=numbers))


def ensure_month(tx: Tx, first_day: date) -> None:
    tx.run(SQL["ensure_month"], first_day=first_day)


def add_intake(tx: Tx, source: str, received: int, duplicate: int, now: datetime) -> None:
    tx.run(SQL["add_intake"], source=source, received=received, duplicate=duplicate, now=now)


def add_rejected(
    tx: Tx, source: str, instants: list[datetime], events: list[str], codes: list[str], messages: list[str]
) -> None:
    """`instants`: when each came."""
    tx.run(SQL["add_rejected"], source=source, instants=instants, events=events, codes=codes, messages=messages)


def totals(
    tx: Tx,
    users: list[str] | None,
    metric: str | None,
    whole_hours: tuple[datetime, datetime],
    start: datetime,
    end: datetime,
    folded: bool = False,
) -> list[Sum]:
    """Sums by user and metric in `[start, end)`; `whole_hours` from `rules.aligned`; `users` None is everybody.

    `folded`: of whole hours only what was folded.
    """
    first, last = whole_hours
    return tx.all(
        SQL["totals"], Sum, users=users, metric=metric, first=first, last=last, start=start, end=end, folded=folded
    )


def months(tx: Tx, zone: str) -> list[datetime]:
    """Beginnings of the months with usage."""
    return tx.values(SQL["months"], zone=zone)


def sums(
    tx: Tx,
    users: list[str] | None,
    metrics: list[str] | None,
    fields: dict[str, str],
    span: tuple[datetime, datetime],
    unit: str | None = None,
    zone: str = "UTC",
    group: str | None = None,
) -> list[Sum]:
    """Sums of raw events in `[start, end)` by hour or day and by a property, where asked for.

    `fields` names the property of each metric whose distinct values are counted; None is all users or metrics.
    """
    start, end = span
    return tx.all(
        SQL["sums"], Sum, users=users, metrics=metrics, fields=Jsonb(fields), start=start, end=end, unit=unit, zone=zone,
        group=group,
    )  # fmt: skip


def holders(tx: Tx, users: list[str] | None, metrics: list[str], end: datetime) -> list[Holder]:
    """Which users have usage of which of `metrics` before `end`; `users` None is everybody."""
    return tx.all(SQL["holders"], Holder, users=users, metrics=metrics, end=end)


def areas(tx: Tx, asked: Sequence[tuple[Holder, tuple[datetime, datetime]]], group: str | None) -> list[Area]:
    """Value times seconds of each holder in each span, by a property where asked for."""
    return tx.all(
        SQL["areas"], Area, users=[one.user for one, _ in asked], metrics=[one.metric for one, _ in asked],
        starts=[start for _, (start, _) in asked], ends=[end for _, (_, end) in asked], group=group,
    )  # fmt: skip


def days(
    tx: Tx, user: str, metric: str | None, unit: str, zone: str, whole_hours: tuple[datetime, datetime], span: Period
) -> list[Sum]:
    """Sums by metric and bucket, whether raw events are here or archived; `whole_hours` from `rules.aligned`."""
    first, last = whole_hours
    return tx.all(
        SQL["days"],
        Sum,
        user=user,
        metric=metric,
        unit=unit,
        zone=zone,
        first=first,
        last=last,
        start=span.start,
        end=span.end,
    )


def archived_months(tx: Tx, span: Period) -> list[date]:
    return tx.values(SQL["archived_months"], start=span.start, end=span.end)


def lock_raw(tx: Tx) -> None:
    """As the first statement of a snapshot: nobody archives until its end."""
    tx.run(SQL["lock_raw"])


def archived_events(tx: Tx) -> int:
    return int(tx.value(SQL["archived_events"]))


def user_months(tx: Tx, user: str, zone: str) -> list[datetime]:
    """Beginnings of the months with usage of `user`."""
    return tx.values(SQL["user_months"], user=user, zone=zone)


def first_events(tx: Tx, user: str, metric: str, start: datetime, end: datetime, limit: int) -> list[CountedEvent]:
    return tx.all(SQL["first_events"], CountedEvent, user=user, metric=metric, start=start, end=end, limit=limit)


def recounted(tx: Tx) -> Recounted:
    return tx.maybe(SQL["recounted"], Recounted) or Recounted(None, 0)


def lock_recount(tx: Tx) -> None:
    tx.run(SQL["lock_recount"])


def recount(tx: Tx, before: datetime, now: datetime) -> int:
    """Raw events that were recorded before a time."""
    return int(tx.value(SQL["recount"], before=before, now=now))


def raw_events_about(tx: Tx) -> int:
    return int(tx.value(SQL["raw_events_about"]))


def gather_intake(tx: Tx, before: datetime, kept: int) -> None:
    """Rows of intake but the `kept` newest and those after `before` are added up by source."""
    tx.run(SQL["gather_intake"], before=before, kept=kept)


def forget_recount(tx: Tx) -> None:
    tx.run(SQL["forget_recount"])


def counts(tx: Tx, known: Recounted) -> Counts:
    return tx.one(SQL["counts"], Counts, before=known.before, events=known.events)


def rejected_reasons(tx: Tx) -> list[Reason]:
    return tx.all(SQL["rejected_reasons"], Reason)


def try_shard(tx: Tx, shard: int) -> bool:
    """Whether this transaction is the one that folds the shard."""
    return bool(tx.value(SQL["try_shard"], shard=shard))


def lock_users(tx: Tx, users: Sequence[str]) -> None:
    """Wait until nobody else changes rollups or quota counters of `users`, to the end of the transaction."""
    tx.run(SQL["lock_users"], users=list(users))


def lock_everybody(tx: Tx) -> None:
    tx.run(SQL["lock_everybody"])


def pending(tx: Tx, after: Pending, limit: int) -> list[Pending]:
    """What has unfolded deltas, behind `after`, in order."""
    return tx.all(SQL["pending"], Pending, user=after.user_id, metric=after.metric_type, hour=after.hour, limit=limit)


def pending_users(tx: Tx, limit: int) -> list[str]:
    return tx.values(SQL["pending_users"], limit=limit)


def pending_of_users(tx: Tx, users: Sequence[str]) -> list[Pending]:
    return tx.all(SQL["pending_of_users"], Pending, users=list(users))


def fold(tx: Tx, places: Sequence[Pending], counted: datetime | None) -> list[Grown]:
    """By how much hours have grown; the caller holds the locks of their users' shards. `counted`: the last fold's time."""
    users, metrics, hours, _, _ = zip(*places, strict=True)
    return tx.all(SQL["fold"], Grown, users=list(users), metrics=list(metrics), hours=list(hours), counted=counted)


def note_fold(tx: Tx, now: datetime, deltas: int, duration: timedelta, workers: int) -> None:
    tx.run(SQL["note_fold"], now=now, deltas=deltas, duration=duration, workers=workers)


def pending_events(tx: Tx) -> int:
    return int(tx.value(SQL["pending_events"]))


def last_fold_at(tx: Tx) -> datetime | None:
    return tx.value(SQL["last_fold_at"])


def spool_place(tx: Tx, spool: str) -> Place | None:
    """How far the buffer `spool` was drained; None before its first drain."""
    return tx.maybe(SQL["spool_place"], Place, spool=spool)


def lock_spool(tx: Tx, spool: str, first: Place) -> Place:
    """The same to the end of this transaction; `first` where it was never drained."""
    tx.run(SQL["begin_spool"], spool=spool, segment=first.segment, position=first.offset)
    return tx.one(SQL["lock_spool"], Place, spool=spool)


def advance_spool(tx: Tx, spool: str, place: Place, events: int, now: datetime) -> None:
    tx.run(SQL["advance_spool"], spool=spool, segment=place.segment, position=place.offset, events=events, now=now)


def begin_import(tx: Tx, source: str, path: Path, format: str, given: ImportUsage, now: datetime) -> None:
    tx.run(
        SQL["begin_import"],
        source=source, path=str(path), format=format, count_metric=given.count_metric, bytes_metric=given.bytes_metric,
        origin=given.origin, now=now,
    )  # fmt: skip


def lock_import(tx: Tx, source: str) -> Progress:
    return tx.one(SQL["lock_import"], Progress, source=source)


def advance_import(tx: Tx, source: str, position: int, digest: bytes, tally: Tally, now: datetime) -> None:
    """Add `tally` to what was imported up to `position`."""
    tx.run(
        SQL["advance_import"],
        source=source, position=position, digest=digest, lines=tally.lines, received=tally.events, counted=tally.accepted,
        duplicate=tally.duplicate, rejected=tally.rejected, now=now,
    )  # fmt: skip


def unfolded(tx: Tx, most: int) -> Unfolded:
    """More rollups than `most` are estimated."""
    return tx.one(SQL["unfolded"], Unfolded, most=most)


def audit(
    tx: Tx, user: str, metric: str | None, span: tuple[datetime, datetime], only_same: bool, limit: int
) -> list[AuditedEvent]:
    """Raw events of `[start, end)`, oldest first; `only_same`: those that have their like."""
    start, end = span
    return tx.all(
        SQL["audit"], AuditedEvent, user=user, metric=metric, start=start, end=end, only_same=only_same, limit=limit
    )


def rejected(tx: Tx, code: str | None, limit: int) -> list[RejectedEvent]:
    return tx.all(SQL["rejected"], RejectedEvent, code=code, limit=limit)


def last_recorded_at(tx: Tx) -> datetime | None:
    return tx.value(SQL["last_recorded_at"])


def rejected_lately(tx: Tx, codes: Sequence[str] | None, since: datetime, most: int) -> list[RejectedLately]:
    """Of the newest `most` that were rejected, newest first; `codes` None is every reason."""
    return tx.all(
        SQL["rejected_lately"], RejectedLately, codes=None if codes is None else list(codes), since=since, most=most
    )


def fold_holders(tx: Tx, seconds: int) -> list[Holding]:
    """Sessions that keep folds waiting for longer than `seconds`, oldest first."""
    return tx.all(SQL["fold_holders"], Holding, seconds=seconds)


def last_fold(tx: Tx) -> LastFold | None:
    return tx.maybe(SQL["last_fold"], LastFold)


def long_fold(tx: Tx) -> float:
    """Seconds for which the statement that folds has been at work; 0 where none is."""
    return tx.value(SQL["long_fold"]) or 0.0


def note_terms(tx: Tx, terms: Terms) -> None:
    tx.run(SQL["note_terms"], month=terms.month, zone=terms.zone, formulas=terms.formulas, now=terms.noted_at)


def terms(tx: Tx, month: date) -> Terms | None:
    """By what figures of a month were counted when it began."""
    return tx.maybe(SQL["terms"], Terms, month=month)
