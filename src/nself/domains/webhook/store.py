"""One function a query of webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.webhook.facts import StoredEvent
from nself.domains.webhook.model import (
    Backlog,
    Claimed,
    Delivery,
    Failure,
    Kept,
    ListedEvent,
    Poll,
    Refusal,
    Repeats,
    Seen,
    SlowEvent,
    Stage,
    Status,
    Twin,
    Undone,
    Waiting,
)

SQL = beside(__file__)


class Odd(msgspec.Struct, frozen=True):
    """An event whose effect and mark do not agree: stored without the mark where `unmarked`, else by two at once."""

    event: str
    object: str
    unmarked: bool


class Interfered(msgspec.Struct, frozen=True):
    """An event that was tried again and processed after a `younger` one of its object."""

    event: str
    object: str
    attempts: int
    younger: str


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """An event that tells of a subscription's end, of one whose row goes on; `status` is what is in the way of it."""

    event: str
    subscription: str
    status: str
    attempts: int
    error: str
    at: datetime


def receive(
    tx: Tx, events: Sequence[Delivery], copies: Mapping[str, int], live: bool, again: bool, now: datetime
) -> list[Kept]:
    """Each event once, in order of their ids. `again`: one that was done with is to be processed anew."""
    return tx.all(
        SQL["receive"],
        Kept,
        **_columns(events, live),
        copies=[copies[one.event_id] for one in events],
        again=again,
        now=now,
    )


def _parked(live: bool) -> str:
    """Why an event of the other mode than ours is kept and not processed."""
    ours, other = ("live", "test") if live else ("test", "live")
    return f"mode_mismatch: it is of {other} mode, and STRIPE_MODE is {ours}"


def _columns(events: Sequence[Delivery], live: bool) -> dict[str, Any]:
    """Of another mode than ours: kept, not processed."""
    return {
        "event_ids": [one.event_id for one in events],
        "types": [one.type for one in events],
        "object_ids": [one.object_id for one in events],
        "object_kinds": [one.object_kind for one in events],
        "livemodes": [one.livemode for one in events],
        "api_versions": [one.api_version or "" for one in events],
        "created": [one.event_created_at for one in events],
        "payloads": [one.payload for one in events],
        "statuses": ["received" if one.livemode == live else "parked" for one in events],
        "parked": _parked(live),
    }


def refuse(tx: Tx, refused: Sequence[Refusal], kept: int) -> None:
    """And forget all but the newest `kept`."""
    tx.run(
        SQL["refuse"],
        codes=[one.code for one in refused],
        reasons=[one.reason for one in refused],
        skews=[one.skew for one in refused],
        event_ids=[one.event_id or "" for one in refused],
        times=[one.times for one in refused],
        refused_at=[one.refused_at for one in refused],
    )
    tx.run(SQL["forget_refusals"], kept=kept)


def poll(tx: Tx, live: bool) -> Poll | None:
    return tx.maybe(SQL["poll"], Poll, live=live)


def begin_polls(tx: Tx, live: bool, at: datetime) -> None:
    """Unless they have begun."""
    tx.run(SQL["begin_polls"], live=live, at=at)


def recover(tx: Tx, events: Sequence[Delivery], live: bool, now: datetime) -> list[str]:
    """Ids of those that were not known."""
    return tx.values(SQL["recover"], **_columns(events, live), now=now)


def note_page(tx: Tx, live: bool, after: str, newest: datetime, missed: int, now: datetime) -> None:
    """The window is read down to event `after`."""
    tx.run(SQL["note_page"], live=live, after=after, newest=newest, missed=missed, now=now)


def end_window(tx: Tx, live: bool, newest: datetime | None, missed: int, now: datetime) -> None:
    """It is read whole."""
    tx.run(SQL["end_window"], live=live, newest=newest, missed=missed, now=now)


def wake(tx: Tx) -> int:
    return tx.run(SQL["wake"])


def unpark(tx: Tx, live: bool, limit: int) -> int:
    """Have parked events of a mode processed; their number."""
    return len(tx.values(SQL["unpark"], live=live, limit=limit))


def claim_objects(
    tx: Tx, limit: int, lease: timedelta, only: Sequence[str] | None, free: bool
) -> list[Claimed]:  # fmt: skip
    """Due ones; `only` these; `free`: also those that another worker has."""
    return tx.all(
        SQL["claim_objects"],
        Claimed,
        limit=limit,
        lease=lease,
        only=list(only) if only is not None else None,
        free=free,
    )


def held_objects(tx: Tx, limit: int, only: Sequence[str] | None) -> list[Claimed]:
    """Those with something new that another worker has."""
    return tx.all(SQL["held_objects"], Claimed, limit=limit, only=list(only) if only is not None else None)


def waiting(tx: Tx, object_ids: Sequence[str]) -> list[Waiting]:
    """Events of these objects that are to be processed, in order of arrival."""
    return tx.all(SQL["waiting"], Waiting, object_ids=list(object_ids))


def lock_objects(tx: Tx, object_ids: Sequence[str]) -> dict[str, int]:
    """The fence of the newest claim of each."""
    found = tx.all(SQL["lock_objects"], Claimed, object_ids=list(object_ids))
    return {one.object_id: one.fence for one in found}


def finish_events(tx: Tx, done: Sequence[tuple[int, str, datetime, int, int]], live: bool, now: datetime) -> None:
    """Id of the row, status, when it was claimed, milliseconds that the fetch and all of it took."""
    ids, statuses, claimed_at, fetch_ms, took_ms = ([one[at] for one in done] for at in range(5))
    tx.run(
        SQL["finish_events"],
        ids=ids,
        statuses=statuses,
        claimed_at=claimed_at,
        fetch_ms=fetch_ms,
        took_ms=took_ms,
        parked=_parked(live),
        now=now,
    )


def fail_events(
    tx: Tx, ids: list[int], error: str, permanent: bool, claimed_at: datetime, fetch_ms: int, took_ms: int
) -> None:
    tx.run(
        SQL["fail_events"],
        ids=ids,
        error=error,
        permanent=permanent,
        claimed_at=claimed_at,
        fetch_ms=fetch_ms,
        took_ms=took_ms,
    )


def release_objects(tx: Tx, object_ids: Sequence[str], wait: timedelta) -> None:
    """`wait` before what is still to be processed of them."""
    tx.run(SQL["release_objects"], object_ids=list(object_ids), wait=wait)


def replay(
    tx: Tx, event: str | None, statuses: Sequence[str], since: datetime, live: bool, limit: int
) -> list[int]:  # fmt: skip
    """Rows that are to be processed again: one event, or the oldest of those with a status."""
    return tx.values(SQL["replay"], event=event, statuses=list(statuses), since=since, live=live, limit=limit)


def mark_duplicates(tx: Tx, twins: Sequence[Twin]) -> int:
    return tx.run(
        SQL["mark_duplicates"], ids=[one.id for one in twins], originals=[one.twin_of for one in twins]
    )  # fmt: skip


def list_events(tx: Tx, status: str | None, object: str | None, type: str | None, limit: int) -> list[ListedEvent]:
    return tx.all(SQL["list_events"], ListedEvent, status=status, object=object, type=type, limit=limit)


def events_by_id(tx: Tx, ids: Sequence[int]) -> list[ListedEvent]:
    return tx.all(SQL["events_by_id"], ListedEvent, ids=list(ids))


def event(tx: Tx, event: str) -> ListedEvent | None:
    return tx.maybe(SQL["event"], ListedEvent, event=event)


def shown(tx: Tx, event: str) -> StoredEvent | None:
    return tx.maybe(SQL["shown"], StoredEvent, event=event)


def status(tx: Tx, now: datetime) -> Status:
    return tx.one(SQL["status"], Status, now=now)


def refusals(tx: Tx, since: datetime) -> list[Refusal]:
    """By reason, the newest first; the skew is the newest one's."""
    return tx.all(SQL["refusals"], Refusal, since=since)


def standing_refusals(tx: Tx, since: datetime) -> list[Refusal]:
    """By reason, since Stripe's last accepted delivery, with the newest event and skew."""
    return tx.all(SQL["standing_refusals"], Refusal, since=since)


def lock_endpoints(tx: Tx) -> bool:
    """Whether this connection is the one that changes them, until `unlock_endpoints`."""
    return bool(tx.value(SQL["lock_endpoints"]))


def unlock_endpoints(tx: Tx) -> None:
    tx.value(SQL["unlock_endpoints"])


def failures(tx: Tx, last: int) -> list[Failure]:
    return tx.all(SQL["failures"], Failure, last=last)


def arrivals(tx: Tx, object: str, limit: int) -> list[Seen]:
    return tx.all(SQL["arrivals"], Seen, object=object, limit=limit)


def timing(tx: Tx, since: datetime, type: str | None) -> list[Stage]:
    return tx.all(SQL["timing"], Stage, since=since, type=type)


def slow(tx: Tx, threshold_ms: int, since: datetime, limit: int, now: datetime) -> list[SlowEvent]:
    """Each with its status as the cause."""
    return tx.all(SQL["slow"], SlowEvent, threshold_ms=threshold_ms, since=since, limit=limit, now=now)


def undone(tx: Tx) -> Undone:
    return tx.one(SQL["undone"], Undone)


def backlog(tx: Tx, now: datetime) -> Backlog:
    return tx.one(SQL["backlog"], Backlog, now=now)


def repeats(tx: Tx, since: datetime) -> Repeats:
    return tx.one(SQL["repeats"], Repeats, since=since)


def twins(tx: Tx, since: datetime) -> list[Twin]:
    """Later ones of each group, with the first."""
    return tx.all(SQL["twins"], Twin, since=since)


def odd(tx: Tx, since: datetime) -> list[Odd]:
    return tx.all(SQL["odd"], Odd, since=since)


def worked(tx: Tx, since: datetime, limit: int) -> list[SlowEvent]:
    """Newest first, slow or not, as they were last worked at; the cause is the error, else the status."""
    return tx.all(SQL["worked"], SlowEvent, since=since, limit=limit)


def interfered(tx: Tx, since: datetime, object: str | None) -> list[Interfered]:
    return tx.all(SQL["interfered"], Interfered, since=since, object=object)


def unprocessed_cancellations(tx: Tx, live: bool, late: datetime, limit: int) -> list[Cancellation]:
    """Newest first; `late`: what came before should have been processed."""
    return tx.all(SQL["unprocessed_cancellations"], Cancellation, livemode=live, late=late, limit=limit)


def lost_cancellations(tx: Tx, live: bool, since: datetime, limit: int) -> list[Cancellation]:
    """Newest first."""
    return tx.all(SQL["lost_cancellations"], Cancellation, livemode=live, since=since, limit=limit)
