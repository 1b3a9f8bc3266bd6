"""One function a query of synchronisation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.sync.model import Difference, Evidence, Finding, NoSuchRun, Purpose, Run, Start

SQL = beside(__file__)


class Tally(msgspec.Struct, frozen=True):
    cause: str
    state: str
    count: int


class Count(msgspec.Struct, frozen=True):
    name: str
    count: int


class OpenEvents(msgspec.Struct, frozen=True):
    waiting: int
    failed: int


class Said(msgspec.Struct, frozen=True):
    """What an event said an object was."""

    event: str
    type: str
    at: datetime
    snapshot: dict[str, Any]


class Named(msgspec.Struct, frozen=True):
    kind: str
    id: str


class Odd(msgspec.Struct, frozen=True, kw_only=True):
    """A row that cannot be right."""

    kind: str = "customer"
    object: str
    customer: str | None = None
    gone: bool = False
    holder: str = ""
    synced_at: datetime | None = None


def lock_purpose(tx: Tx, purpose: Purpose) -> None:
    tx.value(SQL["lock_purpose"], purpose=purpose)


def add_run(tx: Tx, start: Start, livemode: bool, actor: str, worker: str, lease: timedelta, now: datetime) -> int:
    columns = msgspec.structs.asdict(start)
    return int(tx.value(SQL["add_run"], **columns, livemode=livemode, actor=actor, worker=worker, lease=lease, now=now))


def run(tx: Tx, id: int) -> Run:
    """Raises NoSuchRun."""
    found = tx.maybe(SQL["run"], Run, id=id)
    if found is None:
        raise NoSuchRun(run=id)
    return found


def newest_run(tx: Tx, purposes: Sequence[Purpose], states: Sequence[str], livemode: bool) -> int | None:
    return tx.value(SQL["newest_run"], purposes=list(purposes), states=list(states), livemode=livemode)


def take_run(tx: Tx, run: Run, worker: str, lease: timedelta, now: datetime) -> bool:
    return tx.run(SQL["take_run"], id=run.id, fence=run.fence, worker=worker, lease=lease, now=now) == 1


def give_up(tx: Tx, purpose: Purpose, livemode: bool, id: int, now: datetime) -> None:
    tx.run(SQL["give_up"], purpose=purpose, livemode=livemode, id=id, now=now)


def move_run(tx: Tx, run: Run, pages: int, checked: int, lease: timedelta, now: datetime) -> bool:
    """To where `run` says. False where it was taken over."""
    return (
        tx.run(
            SQL["move_run"],
            id=run.id, fence=run.fence, kind_number=run.kind_number, page_after=run.page_after, page_bound=run.page_bound,
            pages=pages, checked=checked, totals=Jsonb(run.totals), lease=lease, now=now,
        )
        == 1
    )  # fmt: skip


def end_run(tx: Tx, run: Run, state: str, error: str | None, now: datetime) -> bool:
    return tx.run(SQL["end_run"], id=run.id, fence=run.fence, state=state, error=error, now=now) == 1


def newest_complete(tx: Tx, livemode: bool, kinds: Sequence[str]) -> int | None:
    return tx.value(SQL["newest_complete"], livemode=livemode, kinds=list(kinds))


def note_run(tx: Tx, run: Run, error: str) -> None:
    """Why it stands still."""
    tx.run(SQL["note_run"], id=run.id, fence=run.fence, error=error)


def stuck(tx: Tx, ids: Sequence[str], before: datetime) -> set[str]:
    """Those with a failed event that was tried again and again, or came before then."""
    return set(tx.values(SQL["stuck"], ids=list(ids), before=before)) if ids else set()


def rest_run(tx: Tx, run: Run) -> None:
    tx.run(SQL["rest_run"], id=run.id, fence=run.fence)


def ever_complete(tx: Tx, livemode: bool, kinds: Sequence[str]) -> bool:
    return bool(tx.value(SQL["ever_complete"], livemode=livemode, kinds=list(kinds)))


def not_listed(tx: Tx, run: Run, listed: Sequence[str], bound: datetime | None) -> list[str]:
    return tx.values(
        SQL["not_listed"],
        kind=run.kind, livemode=run.livemode, listed=list(listed), bound=bound, before=run.page_bound,
        created_from=run.created_from, created_to=run.created_to,
    )  # fmt: skip


def not_listed_of(tx: Tx, run: Run, listed: Sequence[str], customers: Sequence[str]) -> list[str]:
    return tx.values(
        SQL["not_listed_of"],
        kind=run.kind, livemode=run.livemode, listed=list(listed), customers=list(customers),
        created_from=run.created_from, created_to=run.created_to,
    )  # fmt: skip


def next_customers(tx: Tx, run: Run, limit: int) -> list[str]:
    return tx.values(
        SQL["next_customers"],
        kind=run.kind,
        livemode=run.livemode,
        after=run.page_after,
        created_from=run.created_from,
        created_to=run.created_to,
        limit=limit,
    )


def evidence(tx: Tx, ids: Sequence[str]) -> dict[str, Evidence]:
    return {one.id: one for one in tx.all(SQL["evidence"], Evidence, ids=list(ids))} if ids else {}


def add_differences(
    tx: Tx, run: int, found: Sequence[Finding], state: str, now: datetime, error: str | None = None
) -> None:
    rows = [
        {
            "kind": one.kind, "id": one.id, "cause": one.cause, "detail": one.detail, "action": one.action,
            "money": one.money, "changes": one.changes,
        }
        for one in found
    ]  # fmt: skip
    if rows:
        tx.run(SQL["add_differences"], run=run, rows=Jsonb(rows), state=state, error=error, now=now)


def differences(tx: Tx, run: int, cause: str | None, limit: int) -> list[Difference]:
    return tx.all(SQL["differences"], Difference, run=run, cause=cause, limit=limit)


def difference_counts(tx: Tx, run: int) -> list[Tally]:
    return tx.all(SQL["difference_counts"], Tally, run=run)


def healed_since(tx: Tx, since: datetime) -> dict[str, int]:
    """By cause."""
    return _counts(tx.all(SQL["healed_since"], Count, since=since))


def sums_here(tx: Tx, run: Run, kind: str, fields: Sequence[str]) -> dict[str, int]:
    """By kind, field and currency, in minor units."""
    span = {"created_from": run.created_from, "created_to": run.created_to}
    return _counts(tx.all(SQL["sums_here"], Count, kind=kind, fields=list(fields), livemode=run.livemode, **span))


def mirrored(tx: Tx, livemode: bool, created_from: datetime | None, created_to: datetime | None) -> dict[str, int]:
    """Objects that are here, by kind."""
    return _counts(tx.all(SQL["mirrored"], Count, livemode=livemode, created_from=created_from, created_to=created_to))


def mirrored_about(tx: Tx, livemode: bool, kinds: Sequence[str], most: int) -> dict[str, int]:
    """Objects that are here, by kind; more than `most` are estimated."""
    return _counts(tx.all(SQL["mirrored_about"], Count, livemode=livemode, kinds=list(kinds), most=most))


def _counts(found: Sequence[Count]) -> dict[str, int]:
    return {one.name: one.count for one in found}


def events_open(tx: Tx) -> OpenEvents:
    return tx.one(SQL["events_open"], OpenEvents)


def event_states(tx: Tx, id: str) -> list[Said]:
    return tx.all(SQL["event_states"], Said, id=id)


def objects_of_customer(tx: Tx, customer: str) -> list[Named]:
    return tx.all(SQL["objects_of_customer"], Named, customer=customer)


def tampered(tx: Tx, livemode: bool, limit: int) -> list[Odd]:
    return tx.all(SQL["tampered"], Odd, livemode=livemode, limit=limit)


def other_mode(tx: Tx, livemode: bool, limit: int) -> list[Odd]:
    return tx.all(SQL["other_mode"], Odd, livemode=livemode, limit=limit)


def without_customer(tx: Tx, livemode: bool, limit: int) -> list[Odd]:
    return tx.all(SQL["without_customer"], Odd, livemode=livemode, limit=limit)


def without_user(tx: Tx, livemode: bool, limit: int) -> list[Odd]:
    return tx.all(SQL["without_user"], Odd, livemode=livemode, limit=limit)


def claimed_twice(tx: Tx, livemode: bool, limit: int) -> list[Odd]:
    return tx.all(SQL["claimed_twice"], Odd, livemode=livemode, limit=limit)


def failed_objects(tx: Tx, livemode: bool, limit: int) -> list[Odd]:
    return tx.all(SQL["failed_objects"], Odd, livemode=livemode, limit=limit)


def record_link(
    tx: Tx, customer: str, user: str, before: str | None, livemode: bool, actor: str, reason: str | None, now: datetime
) -> None:
    tx.run(
        SQL["record_link"],
        customer=customer, user=user, before=before, livemode=livemode, actor=actor, reason=reason, now=now,
    )  # fmt: skip
