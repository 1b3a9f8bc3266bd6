"""One function a query of revenue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg.types.json import Jsonb

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.revenue.model import Due, Guessed, Moved, Part, Snapshot, Step, Taken, Worth, WorthChange

SQL = beside(__file__)


class Told(NamedTuple):
    event_id: str
    at: datetime


def told(tx: Tx, events: Sequence[str]) -> dict[str, datetime]:
    """When Stripe made each of those events that are known."""
    return {one.event_id: one.at for one in tx.all(SQL["told"], Told, events=list(events))}


def add_due(tx: Tx, found: Sequence[tuple[Snapshot, int]], seen_at: datetime) -> None:
    """Subscriptions, and since when they are so."""
    tx.run(SQL["add_due"], rows=Jsonb([{"snapshot": one, "at": at} for one, at in found]), seen_at=seen_at)


def subscriptions_of(tx: Tx, customers: Sequence[str]) -> list[Snapshot]:
    return tx.values(SQL["subscriptions_of"], customers=list(customers))


def add_unseen(tx: Tx, live: bool, after: str, now: datetime, limit: int) -> str | None:
    """The last of those that were added, None where there was none."""
    return tx.value(SQL["add_unseen"], live=live, after=after, now=now, limit=limit)


def due(tx: Tx, live: bool, after: int, limit: int) -> list[Due]:
    return tx.all(SQL["due"], Due, live=live, after=after, limit=limit)


def take_due(tx: Tx, id: int) -> bool:
    return tx.run(SQL["take_due"], id=id) == 1


def newest(tx: Tx, subscription: str) -> list[Step]:
    """What its newest note says; the first step is when it became what it is."""
    found = tx.all(SQL["newest"], dict[str, Any], subscription=subscription)
    return [Step(one["at"], msgspec.convert(one["parts"], list[Part])) for one in found]


def add(tx: Tx, one: Due, steps: Sequence[tuple[Step, int]], first: bool, doubt: str | None) -> None:
    """Each step with its worth."""
    rows = [
        {
            "note": one.id, "at": step.at, "subscription": one.subscription, "customer": one.snapshot["customer"],
            "live": one.snapshot["livemode"], "currency": one.snapshot["currency"], "noted_at": steps[0][0].at,
            "seen_at": one.seen_at, "first": first, "minor": minor, "parts": Jsonb(msgspec.to_builtins(step.parts)),
            "doubt": doubt,
        }
        for step, minor in steps
    ]  # fmt: skip
    tx.run_many(SQL["add"], rows)


def moved(tx: Tx, live: bool, customer: str | None, currency: str | None, now: datetime, zone: str) -> list[Moved]:
    return tx.all(SQL["moved"], Moved, live=live, customer=customer, currency=currency, now=now, zone=zone)


def taken(tx: Tx, live: bool, customer: str | None, currency: str | None, span: Period, zone: str) -> list[Taken]:
    return tx.all(
        SQL["taken"], Taken, live=live, customer=customer, currency=currency, zone=zone, start=span.start, end=span.end
    )


def guessed(tx: Tx, live: bool, customer: str | None, zone: str) -> list[Guessed]:
    return tx.all(SQL["guessed"], Guessed, live=live, customer=customer, zone=zone)


def waiting(tx: Tx, live: bool, customer: str | None) -> int:
    return int(tx.value(SQL["waiting"], live=live, customer=customer))


def doubts(tx: Tx, live: bool, customer: str | None, now: datetime) -> list[str]:
    return tx.values(SQL["doubts"], live=live, customer=customer, now=now)


def worths(tx: Tx, live: bool, customer: str, currency: str | None, now: datetime) -> list[Worth]:
    """A customer's subscriptions that are worth something now."""
    found = tx.all(SQL["worths"], dict[str, Any], live=live, customer=customer, currency=currency, now=now)
    return msgspec.convert(found, list[Worth])


def changes(tx: Tx, live: bool, customer: str, currency: str | None, now: datetime) -> list[WorthChange]:
    return tx.all(SQL["changes"], WorthChange, live=live, customer=customer, currency=currency, now=now)
