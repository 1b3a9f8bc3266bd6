"""One function a query of webhooks."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.webhook.model import Claimed, Delivery, ListedEvent, Status, Waiting

SQL = beside(__file__)


def receive(tx: Tx, delivery: Delivery, status: str, now: datetime) -> bool:
    """Whether the event was new."""
    return bool(tx.value(SQL["receive"], **msgspec.structs.asdict(delivery), status=status, now=now))


def claim_objects(tx: Tx, limit: int, lease: timedelta) -> list[Claimed]:
    return tx.all(SQL["claim_objects"], Claimed, limit=limit, lease=lease)


def waiting(tx: Tx, object_id: str) -> list[Waiting]:
    """Events of an object that are to be processed, in order of arrival."""
    return tx.all(SQL["waiting"], Waiting, object_id=object_id)


def lock_object(tx: Tx, object_id: str) -> int:
    """The fence of the newest claim."""
    return int(tx.value(SQL["lock_object"], object_id=object_id))


def finish_events(tx: Tx, ids: list[int], status: str, now: datetime) -> None:
    tx.run(SQL["finish_events"], ids=ids, status=status, now=now)


def fail_events(tx: Tx, ids: list[int], error: str, permanent: bool) -> None:
    tx.run(SQL["fail_events"], ids=ids, error=error, permanent=permanent)


def release_object(tx: Tx, object_id: str, wait: timedelta) -> None:
    tx.run(SQL["release_object"], object_id=object_id, wait=wait)


def list_events(tx: Tx, status: str | None, object: str | None, type: str | None, limit: int) -> list[ListedEvent]:
    return tx.all(SQL["list_events"], ListedEvent, status=status, object=object, type=type, limit=limit)


def status(tx: Tx) -> Status:
    return tx.one(SQL["status"], Status)
