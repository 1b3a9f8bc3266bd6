"""One function a query of scheduled work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg.types.json import Jsonb

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.job.model import Asked, Claimed, Job, Operation

SQL = beside(__file__)


def ensure(tx: Tx, types: Sequence[str], now: datetime) -> int:
    return tx.run(SQL["ensure"], types=list(types), now=now)


def hasten(tx: Tx, types: Sequence[str], latest: Sequence[datetime]) -> None:
    tx.run(SQL["hasten"], types=list(types), latest=list(latest))


def claim(tx: Tx, types: Sequence[str], worker: str, now: datetime, lease: datetime) -> Claimed | None:
    return tx.maybe(SQL["claim"], Claimed, types=list(types), worker=worker, now=now, lease=lease)


def beat(tx: Tx, job: Claimed, lease: datetime) -> bool:
    """Whether the job is still this worker's."""
    return tx.run(SQL["beat"], id=job.id, token=job.token, lease=lease) == 1


def finish(tx: Tx, job: Claimed, state: str, now: datetime, result: str | None, error: str | None) -> bool:
    """Whether the job was still this worker's."""
    return tx.run(SQL["finish"], id=job.id, token=job.token, state=state, now=now, result=result, error=error) == 1


def queue(tx: Tx, type: str, due: datetime) -> None:
    tx.run(SQL["queue"], type=type, due=due)


def due(tx: Tx, type: str, at: datetime) -> int:
    return tx.run(SQL["due"], type=type, at=at)


def forget(tx: Tx, type: str, kept: int) -> None:
    tx.run(SQL["forget"], type=type, kept=kept)


def list_jobs(tx: Tx, type: str | None, status: str | None, limit: int, now: datetime) -> list[Job]:
    return tx.all(SQL["list"], Job, type=type, status=status, limit=limit, now=now)


def free_stuck(tx: Tx, type: str | None, now: datetime) -> int:
    return tx.run(SQL["free_stuck"], type=type, now=now)


def clear_failed(tx: Tx, type: str | None) -> list[str]:
    """Types of what was cleared."""
    return tx.values(SQL["clear_failed"], type=type)


def ask(tx: Tx, use: str, input: str, given: object, actor: str, livemode: bool, now: datetime) -> int | None:
    """The number of the operation, new or standing; None where one that stood has just ended."""
    return tx.value(
        SQL["ask"], use=use, input=input, given=Jsonb(given), actor=actor, livemode=livemode, now=now
    )  # fmt: skip


def take(tx: Tx, livemode: bool, now: datetime) -> Asked | None:
    return tx.maybe(SQL["take"], Asked, livemode=livemode, now=now)


def end(tx: Tx, id: int, state: str, result: object, error: str | None, now: datetime) -> None:
    told = None if result is None else Jsonb(result)
    tx.run(SQL["end"], id=id, state=state, result=told, error=error, now=now)


def operations(tx: Tx, limit: int) -> list[Operation]:
    """Newest first."""
    return tx.all(SQL["operations"], Operation, limit=limit)
