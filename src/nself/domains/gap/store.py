"""One function a query of gaps, and the files beside a log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.gap.model import Entry, ImportedFile, Minute, Reconstruction, Rejected, Reread

SQL = beside(__file__)
MOST_REJECTED = 10_000


def minutes(tx: Tx, user: str, metric: str | None, span: Period) -> list[Minute]:
    """Of all metrics in turn, each in order of time."""
    return tx.all(SQL["minutes"], Minute, user=user, metric=metric, start=span.start, end=span.end)


def rejected(tx: Tx, user: str, since: datetime) -> list[Rejected]:
    return tx.all(SQL["rejected"], Rejected, user=user, start=since, limit=MOST_REJECTED)


def stored(tx: Tx, user: str, span: Period) -> list[Entry]:
    return tx.all(SQL["stored"], Entry, user=user, start=span.start, end=span.end)


def lock_user(tx: Tx, user: str) -> None:
    tx.run(SQL["lock_user"], user=user)


def imported(tx: Tx) -> list[ImportedFile]:
    return tx.all(SQL["imported"], ImportedFile)


def add_reconstruction(tx: Tx, one: Reconstruction) -> None:
    tx.run(SQL["add_reconstruction"], **msgspec.structs.asdict(one))


def reconstructed(tx: Tx, user: str | None, since: datetime) -> list[Reread]:
    """For what the logs were read since `since`, of `user` or of everybody."""
    return tx.all(SQL["reconstructed"], Reread, user=user, since=since)


def silent_users(tx: Tx, span: Period, most: int, least: int) -> list[str]:
    """Users who sent at least `least` events in the hour before `span`, some after it and none in it, by the newest `most`."""
    return tx.values(SQL["silent_users"], start=span.start, end=span.end, most=most, least=least)


def rotated(path: Path, since: datetime) -> list[Path]:
    """`path` and what it was rotated to, oldest first, without what was last written before `since`."""
    found = [one for one in (path, *path.parent.glob(f"{path.name}.*")) if one.is_file()]
    times = {one: one.stat().st_mtime for one in found}
    return sorted((one for one in found if times[one] >= since.timestamp()), key=lambda one: (times[one], one))
