"""One function a query of the connection with Stripe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from nself.core import acting
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.connection.model import (
    FailedWish,
    Intent,
    IntentCounts,
    ListedIntent,
    OperationState,
    Queued,
    Second,
    Unpaid,
    Wish,
    Wished,
)

SQL = beside(__file__)


def add_intents(
    tx: Tx,
    wishes: Sequence[Wish],
    payments: Sequence[bool],
    keys: Sequence[str],
    livemode: bool,
    known_for: float | None,
) -> int:
    """Number of intents that were added; `known_for`: seconds for which Stripe may know the keys."""
    return tx.run(
        SQL["add_intents"],
        operations=[wish.operation for wish in wishes],
        steps=[wish.step for wish in wishes],
        kinds=[wish.kind for wish in wishes],
        params=[Jsonb(wish.params) for wish in wishes],
        payments=list(payments),
        keys=list(keys),
        livemode=livemode,
        known_for=None if known_for is None else timedelta(seconds=known_for),
        cause=acting.cause.get(),
    )


def adopt(tx: Tx, wish: Wish, key: str, object_id: str, livemode: bool) -> int:
    """0 where it is known."""
    return tx.run(
        SQL["adopt"],
        operation=wish.operation,
        step=wish.step,
        kind=wish.kind,
        params=Jsonb(wish.params),
        key=key,
        object_id=object_id,
        livemode=livemode,
    )


def close_adopted(tx: Tx, operation: str, root: str, object_id: str, livemode: bool) -> int:
    return tx.run(SQL["close_adopted"], operation=operation, root=root, object_id=object_id, livemode=livemode)


def doubt_unsent(tx: Tx, since: datetime) -> int:
    return tx.run(SQL["doubt_unsent"], since=since)


def claim(
    tx: Tx, livemode: bool, operations: list[str] | None, limit: int, lease: timedelta, *, queued: bool = False
) -> list[Intent]:  # fmt: skip
    """What is due or, where `queued`, what waits in the payment queue."""
    return tx.all(
        SQL["claim"], Intent, livemode=livemode, operations=operations, limit=limit, lease=lease, queued=queued
    )  # fmt: skip


def enqueue(tx: Tx, livemode: bool, operations: list[str] | None, kind: str | None) -> int:
    return tx.run(SQL["enqueue"], livemode=livemode, operations=operations, kind=kind)


def enqueue_failed(tx: Tx, livemode: bool, since: datetime, codes: Sequence[str]) -> int:
    return tx.run(SQL["enqueue_failed"], livemode=livemode, since=since, codes=list(codes))


def queued(tx: Tx, livemode: bool, after: int, limit: int) -> list[Queued]:
    """Those with a higher id than `after`, in order."""
    return tx.all(SQL["queued"], Queued, livemode=livemode, after=after, limit=limit)


def unpaid(tx: Tx, livemode: bool) -> Unpaid:
    return tx.one(SQL["unpaid"], Unpaid, livemode=livemode)


def hasten(tx: Tx, operations: Sequence[str]) -> None:
    tx.run(SQL["hasten"], operations=list(operations))


def settle(tx: Tx, intent: Intent, object_id: str | None) -> bool:
    """False where the claim was lost to somebody else meanwhile."""
    return tx.run(SQL["settle"], id=intent.id, fence=intent.fence, object_id=object_id) == 1


def fail(tx: Tx, intent: Intent, code: str, error: str, failure: Mapping[str, Any] | None) -> None:
    told = Jsonb(failure) if failure else None
    tx.run(SQL["fail"], id=intent.id, fence=intent.fence, code=code, error=error, failure=told)


def postpone(tx: Tx, intent: Intent, wait: timedelta, code: str | None, error: str | None, new_key: str | None) -> None:
    tx.run(SQL["postpone"], id=intent.id, fence=intent.fence, wait=wait, code=code, error=error, new_key=new_key)


def wished(tx: Tx, operation: str, step: int, livemode: bool) -> Wished | None:
    """The newest intent of a step."""
    return tx.maybe(SQL["wished"], Wished, operation=operation, step=step, livemode=livemode)


def made(tx: Tx, operation: str, step: int) -> str | None:
    """The id of the object that a step made."""
    return tx.value(SQL["made"], operation=operation, step=step)


def asked(tx: Tx, key: str, root: str) -> dict[str, Any] | None:
    """The parameters of the intent with an idempotency key."""
    return tx.value(SQL["asked"], key=key, root=root)


def failed_wishes(tx: Tx, operations: Sequence[str], kinds: Sequence[str]) -> list[FailedWish]:
    return tx.all(SQL["failed_wishes"], FailedWish, operations=list(operations), kinds=list(kinds))


def operation_states(tx: Tx, operations: Sequence[str]) -> list[OperationState]:
    return tx.all(SQL["operation_states"], OperationState, operations=list(operations))


def list_intents(tx: Tx, state: str | None, limit: int) -> list[ListedIntent]:
    return tx.all(SQL["list_intents"], ListedIntent, state=state, limit=limit)


def standing(tx: Tx, livemode: bool) -> IntentCounts:
    return tx.one(SQL["standing"], IntentCounts, livemode=livemode)


def granted(tx: Tx, livemode: bool, back: timedelta) -> list[Second]:
    return tx.all(SQL["granted"], Second, livemode=livemode, back=int(back.total_seconds()))


def lease_calls(tx: Tx, livemode: bool, want: int, limit: int) -> int:
    return int(tx.value(SQL["lease_calls"], livemode=livemode, want=want, limit=limit))


def cached(tx: Tx, key: str, now: datetime) -> str | None:
    return tx.value(SQL["cached"], key=key, now=now)


def cache(tx: Tx, entries: Mapping[str, str], expires_at: datetime) -> None:
    tx.run(SQL["cache"], keys=list(entries), values=list(entries.values()), expires_at=expires_at)


def uncache(tx: Tx, key: str) -> None:
    tx.run(SQL["uncache"], key=key)


def cache_keys(tx: Tx) -> list[str]:
    return tx.values(SQL["cache_keys"])


def uncache_all(tx: Tx, keys: Sequence[str]) -> int:
    return tx.run(SQL["uncache_all"], keys=list(keys))


def uncache_expired(tx: Tx, now: datetime) -> int:
    return tx.run(SQL["uncache_expired"], now=now)
