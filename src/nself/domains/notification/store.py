"""One function a query of notifications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.notification.model import (
    Channel,
    End,
    Happening,
    Notification,
    Outgoing,
    Posted,
    PutOffMail,
    Reason,
    RefusedMail,
    Suppression,
    storable,
)

SQL = beside(__file__)


def add(tx: Tx, made: Sequence[Outgoing]) -> None:
    tx.run_many(SQL["add"], [msgspec.structs.asdict(one) for one in made])


def alone(tx: Tx) -> None:
    """Until the end of the transaction nobody else counts tries."""
    tx.value(SQL["alone"])


def tried_since(tx: Tx, since: datetime) -> int:
    return tx.value(SQL["tried_since"], since=since)


def claim(tx: Tx, channel: Channel, now: datetime, lease: datetime, limit: int) -> list[Outgoing]:
    return tx.all(SQL["claim"], Outgoing, channel=channel, now=now, lease=lease, limit=limit)


def finish(tx: Tx, one: Outgoing, end: End, due: datetime, now: datetime) -> bool:
    """False where somebody else has it."""
    error = None if end.state == "sent" else storable(end.answer)
    return bool(tx.run(SQL["finish"], id=one.id, token=one.token, state=end.state, due=due, error=error, now=now))


def note(tx: Tx, message: str, what: str, answer: str | None, now: datetime) -> None:
    """A moment in the life of a mail."""
    tx.run(SQL["note"], message=message, what=what, answer=answer and storable(answer), now=now)


def list_notifications(tx: Tx, state: str | None, channel: str | None, limit: int) -> list[Notification]:
    return tx.all(SQL["list"], Notification, state=state, channel=channel, limit=limit)


def requeue(tx: Tx, id: str, now: datetime) -> Channel | None:
    """The channel it goes; None where there is no such notification."""
    found: list[Channel] = tx.values(SQL["requeue"], id=id, now=now)
    return found[0] if found else None


def mails(
    tx: Tx, type: str | None, state: str | None, recipient: str | None, limit: int, since: datetime | None = None
) -> list[Posted]:
    """Newest first."""
    return tx.all(SQL["mails"], Posted, type=type, state=state, recipient=recipient, limit=limit, since=since)


def mail(tx: Tx, id: str) -> Posted | None:
    return tx.maybe(SQL["mail"], Posted, id=id)


def told(tx: Tx, once: str) -> Posted | None:
    return tx.maybe(SQL["told"], Posted, once=once)


def standing(tx: Tx, names: Sequence[str]) -> set[str]:
    return set(tx.values(SQL["standing"], names=list(names)))


def suppressed(tx: Tx, addresses: Sequence[str]) -> set[str]:
    """In lower case."""
    return set(tx.values(SQL["suppressed"], addresses=[one.lower() for one in addresses]))


def happenings(tx: Tx, id: str) -> list[Happening]:
    """Oldest first."""
    return tx.all(SQL["happenings"], Happening, id=id)


def undelivered(tx: Tx, id: str, answer: str) -> bool:
    """False where that was known."""
    return bool(tx.run(SQL["undelivered"], id=id, answer=storable(answer)))


def suppress(tx: Tx, address: str, reason: Reason, detail: str, message: str | None, now: datetime) -> None:
    tx.run(SQL["suppress"], address=address, reason=reason, detail=storable(detail), message=message, now=now)


def suppression(tx: Tx, address: str) -> Suppression | None:
    return tx.maybe(SQL["suppression"], Suppression, address=address)


def suppressions(tx: Tx, limit: int) -> list[Suppression]:
    """Newest first."""
    return tx.all(SQL["suppressions"], Suppression, limit=limit)


def unsuppress(tx: Tx, address: str) -> bool:
    return bool(tx.run(SQL["unsuppress"], address=address))


def waiting(tx: Tx) -> int:
    return tx.value(SQL["waiting"])


def count_suppressed(tx: Tx) -> int:
    return tx.value(SQL["count_suppressed"])


# Root causes


def mailed_since(tx: Tx, since: datetime, livemode: bool) -> bool:
    return tx.value(SQL["mailed_since"], since=since, livemode=livemode)


def put_off(tx: Tx, limit: int) -> list[PutOffMail]:
    """The one that waits longest first."""
    return tx.all(SQL["put_off"], PutOffMail, limit=limit)


def overdue(tx: Tx, before: datetime) -> int:
    return tx.value(SQL["overdue"], before=before)


def refused(tx: Tx, since: datetime, livemode: bool, limit: int) -> list[RefusedMail]:
    """Newest first."""
    return tx.all(SQL["refused"], RefusedMail, since=since, livemode=livemode, limit=limit)
