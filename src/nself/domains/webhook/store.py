"""One function a query of webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.webhook.model import Claimed, Delivery, Kept, ListedEvent, Refusal, Status, Waiting

SQL = beside(__file__)


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


def _columns(events: Sequence[Delivery], live: bool) -> dict[str, list[Any]]:
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


def claim_objects(
    tx: Tx, limit: int, lease: timedelta, only: Sequence[str] | None, free: bool
) -> list[Claimed]:  # fmt: skip
    """Due ones; `only` these; `free`: also those that another worker has."""
    return tx.all(
        SQL["claim_objects"], Claimed, limit=limit, lease=lease, only=list(only) if only is not None else None, free=free
    )


def held_objects(tx: Tx, limit: int, only: Sequence[str] | None) -> list[Claimed]:
    """Those with something new that another worker has."""
    return tx.all(SQL["held_objects"], Claimed, limit=limit, only=list(only) if only is not None else None)


def waiting(tx: Tx, object_id: str) -> list[Waiting]:
    """Events of an object that are to be processed, in order of arrival."""
    return tx.all(SQL["waiting"], Waiting, object_id=object_id)


def lock_object(tx: Tx, object_id: str) -> int:
    """The fence of the newest claim."""
    return int(tx.value(SQL["lock_object"], object_id=object_id))


def finish_events(
    tx: Tx, ids: list[int], status: str, claimed_at: datetime, fetch_ms: int, took_ms: int, now: datetime
) -> None:
    tx.run(
        SQL["finish_events"],
        ids=ids,
        status=status,
        claimed_at=claimed_at,
        fetch_ms=fetch_ms,
        took_ms=took_ms,
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


def release_object(tx: Tx, object_id: str, wait: timedelta) -> None:
    tx.run(SQL["release_object"], object_id=object_id, wait=wait)


def list_events(tx: Tx, status: str | None, object: str | None, type: str | None, limit: int) -> list[ListedEvent]:
    return tx.all(SQL["list_events"], ListedEvent, status=status, object=object, type=type, limit=limit)


def status(tx: Tx) -> Status:
    return tx.one(SQL["status"], Status)
