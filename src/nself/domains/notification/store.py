"""One function a query of notifications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.notification.model import Notification, Outgoing, State

SQL = beside(__file__)


def add(tx: Tx, made: Sequence[Outgoing]) -> None:
    tx.run_many(SQL["add"], [msgspec.structs.asdict(one) for one in made])


def claim(tx: Tx, now: datetime, lease: datetime, limit: int) -> list[Outgoing]:
    return tx.all(SQL["claim"], Outgoing, now=now, lease=lease, limit=limit)


def finish(tx: Tx, one: Outgoing, state: State, due: datetime, error: str | None, now: datetime) -> bool:
    """False where somebody else has it."""
    return bool(tx.run(SQL["finish"], id=one.id, token=one.token, state=state, due=due, error=error, now=now))


def list_notifications(tx: Tx, state: str | None, channel: str | None, limit: int) -> list[Notification]:
    return tx.all(SQL["list"], Notification, state=state, channel=channel, limit=limit)


def requeue(tx: Tx, id: str, now: datetime) -> bool:
    return bool(tx.run(SQL["requeue"], id=id, now=now))
