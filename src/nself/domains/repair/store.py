"""One function a query of repair."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.repair.model import (
    Adjusted,
    Adjustment,
    CrookedHour,
    Hour,
    HourTotal,
    Resent,
    StoredEvent,
    WrongHour,
)
from nself.domains.total.model import Grown
from nself.domains.usage.model import RejectedEvent

SQL = beside(__file__)


def events(tx: Tx, users: Sequence[str], key: str) -> list[StoredEvent]:
    return tx.all(SQL["events"], StoredEvent, users=list(users), key=key)


def alike(
    tx: Tx, user: str, metric: str | None, span: tuple[datetime, datetime], within: timedelta
) -> list[StoredEvent]:
    """Events of `[start, end)` that have their like."""
    start, end = span
    return tx.all(SQL["alike"], StoredEvent, user=user, metric=metric, start=start, end=end, within=within)


def users_of_key(tx: Tx, key: str, user: str | None) -> list[str]:
    """Those of whom the key is known, or `user` alone where it is."""
    return tx.values(SQL["users_of_key"], key=key, user=user)


def adjust(tx: Tx, user: str, made: Sequence[Adjustment], reason: str | None, actor: str, now: datetime) -> None:
    """Decisions about events of one user; an earlier one about the same event gives way."""
    keys = [one.event.key for one in made]
    tx.run(SQL["supersede"], user=user, keys=keys, now=now)
    tx.run(
        SQL["add_adjustments"],
        user=user,
        keys=keys,
        kinds=[one.kind for one in made],
        counts=[one.value is not None for one in made],
        values=[one.value or 0 for one in made],
        before=[one.event.counted or 0 for one in made],
        metrics=[one.event.metric for one in made],
        instants=[one.event.at for one in made],
        duplicate_of=[one.duplicate_of for one in made],
        reason=reason,
        actor=actor,
        now=now,
    )


def adjustments(tx: Tx, user: str, key: str) -> list[Adjusted]:
    """Oldest first."""
    return tx.all(SQL["adjustments"], Adjusted, user=user, key=key)


def rejected_with(tx: Tx, key: str, escaped: str, most: int) -> list[RejectedEvent]:
    """Rejected events in whose text `key` stands, as it is or `escaped`; oldest first."""
    return tx.all(SQL["rejected_with"], RejectedEvent, key=key, escaped=escaped, most=most)


def rejected(tx: Tx, event: int | None, code: str | None, limit: int) -> list[RejectedEvent]:
    """Oldest first."""
    return tx.all(SQL["rejected"], RejectedEvent, event=event, code=code, limit=limit)


def take_rejected(tx: Tx, ids: Sequence[int]) -> set[int]:
    """Those of `ids` that are still there and that nobody else takes up, locked to the end of the transaction."""
    return set(tx.values(SQL["take_rejected"], ids=list(ids)))


def remove_rejected(tx: Tx, ids: Sequence[int]) -> None:
    tx.run(SQL["remove_rejected"], ids=list(ids))


def recompute(tx: Tx, hours: Sequence[Hour]) -> list[Grown]:
    """Rollups of `hours` from the events, and by how much they differ; the caller holds the locks of their users' shards."""
    users, metrics, starts = zip(*hours, strict=True)
    return tx.all(SQL["recompute"], Grown, users=list(users), metrics=list(metrics), hours=list(starts))


def hour(tx: Tx, place: Hour) -> HourTotal:
    return tx.one(SQL["hour"], HourTotal, user=place.user_id, metric=place.metric_type, hour=place.hour)


def wrong_hours(tx: Tx, user: str, metric: str | None, span: tuple[datetime, datetime]) -> list[WrongHour]:
    """Hours of `[start, end)` where rollups and deltas are not what the events say."""
    start, end = span
    return tx.all(SQL["wrong_hours"], WrongHour, user=user, metric=metric, start=start, end=end)


def latest(tx: Tx, since: datetime, most: int) -> datetime | None:
    """Since when the newest `most` events, or those since `since`, were recorded; None where there are none."""
    return tx.value(SQL["latest"], since=since, most=most)


def resent(tx: Tx, since: datetime, most: int, least: int) -> list[Resent]:
    """Users of whom at least `least` events recorded since then repeat earlier ones, most first."""
    return tx.all(SQL["resent"], Resent, since=since, most=most, least=least)


def crooked(tx: Tx, since: datetime, most: int, archived: Sequence[date]) -> list[CrookedHour]:
    """Hours of events recorded since then whose rollups are not what the events say."""
    return tx.all(SQL["crooked"], CrookedHour, since=since, most=most, archived=list(archived))
