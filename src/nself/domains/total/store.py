"""One function a query of the usage of all users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.total.model import Grown, MonthEvents, Share, ShareCount, Sum

SQL = beside(__file__)


def add(tx: Tx, grown: Sequence[Grown]) -> None:
    tx.run(
        SQL["add"],
        metrics=[one.metric_type for one in grown],
        hours=[one.hour for one in grown],
        shards=[one.shard for one in grown],
        events=[one.events for one in grown],
        totals=[one.total for one in grown],
        late=[one.late for one in grown],
    )


def sums(tx: Tx, span: Period, metric: str | None, unit: str | None, zone: str, late: bool) -> list[Sum]:
    """Of hours that begin in `span`, by hour or day where asked for; `late`: only those with late events."""
    return tx.all(SQL["sums"], Sum, start=span.start, end=span.end, metric=metric, unit=unit, zone=zone, late=late)


def drift(tx: Tx) -> list[Grown]:
    """By how much totals are not what rollups are; until the end of the transaction nobody else is told."""
    tx.run(SQL["lock_drift"])
    return tx.all(SQL["drift"], Grown)


def months(tx: Tx, zone: str) -> list[MonthEvents]:
    return tx.all(SQL["months"], MonthEvents, zone=zone)


def many(tx: Tx, most: int) -> bool:
    """Whether there are more rollups or raw events than `most`."""
    return bool(tx.value(SQL["many"], most=most))


def users(tx: Tx, metric: str, aggregation: str, span: Period, limit: int) -> list[Share]:
    return tx.all(
        SQL["users"], Share, metric=metric, aggregation=aggregation, start=span.start, end=span.end, limit=limit
    )


def groups(tx: Tx, metric: str, aggregation: str, dimension: str, span: Period, limit: int) -> list[Share]:
    return tx.all(
        SQL["groups"], Share, metric=metric, aggregation=aggregation, dimension=dimension, start=span.start,
        end=span.end, limit=limit,
    )  # fmt: skip


def patient(tx: Tx) -> None:
    """No time limit for this transaction's statements."""
    tx.run(SQL["patient"])


def archived(tx: Tx, span: Period) -> bool:
    return bool(tx.value(SQL["archived"], start=span.start, end=span.end))


def share_counts(tx: Tx, month: datetime | None) -> list[ShareCount]:
    """When which shares were counted; `month` None is every month."""
    return tx.all(SQL["share_counts"], ShareCount, month=month)


def doubt_shares(tx: Tx, metrics: Sequence[str], hours: Sequence[datetime]) -> None:
    """They are counted anew, whatever the number of events is."""
    tx.run(SQL["doubt_shares"], metrics=list(metrics), hours=list(hours))


def keep_shares(
    tx: Tx, month: datetime, metric: str, dimension: str, shares: Sequence[Share], events: int, now: datetime
) -> None:
    """In the place of those that were there."""
    tx.run(SQL["note_count"], month=month, metric=metric, dimension=dimension, events=events, now=now)
    tx.run(SQL["forget_shares"], month=month, metric=metric, dimension=dimension)
    tx.run(
        SQL["keep_shares"], month=month, metric=metric, dimension=dimension, names=[one.name for one in shares],
        amounts=[one.value for one in shares], events=[one.events for one in shares],
    )  # fmt: skip


def shares(tx: Tx, month: datetime, metric: str, dimension: str, limit: int) -> list[Share]:
    return tx.all(SQL["shares"], Share, month=month, metric=metric, dimension=dimension, limit=limit)
