"""One function a query of incidents."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.incident.model import Incident, Moment

SQL = beside(__file__)


def add(tx: Tx, made: Incident) -> None:
    tx.run(SQL["add"], **msgspec.structs.asdict(made))


def find(tx: Tx, id: str) -> Incident | None:
    return tx.maybe(SQL["find"], Incident, id=id)


def incidents(tx: Tx, state: str | None, limit: int) -> list[Incident]:
    """Newest first."""
    return tx.all(SQL["incidents"], Incident, state=state, limit=limit)


def close(tx: Tx, id: str, now: datetime, actor: str, resolution: str) -> bool:
    """False where it is closed already."""
    return tx.run(SQL["close"], id=id, now=now, actor=actor, resolution=resolution) == 1


def note(tx: Tx, id: str, now: datetime, actor: str, text: str) -> None:
    tx.run(SQL["note"], id=id, now=now, actor=actor, text=text)


def timeline(tx: Tx, id: str, since: datetime, until: datetime, livemode: bool) -> list[Moment]:
    """What stands in rows: notes, mails, refunds."""
    return tx.all(SQL["timeline"], Moment, id=id, since=since, until=until, livemode=livemode)
