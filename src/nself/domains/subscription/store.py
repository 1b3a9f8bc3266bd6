"""One function a query of subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from psycopg.types.json import Jsonb

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription.inputs import ListSubscriptions
from nself.domains.subscription.model import (
    AskedTrial,
    CanceledTwice,
    ChangedBy,
    FailedCreation,
    Kept,
    KeptPreview,
    Payment,
    Requested,
    WantedTrial,
    Withdrawn,
    Young,
)

SQL = beside(__file__)


def by_id(tx: Tx, id: str) -> Kept | None:
    return tx.maybe(SQL["by_id"], Kept, id=id)


def payment(tx: Tx, invoice: str) -> Payment | None:
    """Its status is None where it is not mirrored yet."""
    return tx.maybe(SQL["payment"], Payment, invoice=invoice)


def list_subscriptions(tx: Tx, given: ListSubscriptions, livemode: bool) -> list[Kept]:
    return tx.all(
        SQL["list"], Kept, user=given.user, customer=given.customer, status=given.status, livemode=livemode,
        limit=given.limit, offset=given.offset,
    )  # fmt: skip


def count_live(tx: Tx) -> int:
    return tx.value(SQL["count_live"])


def ending_trials(tx: Tx, livemode: bool, after: tuple[int, str], until: int, limit: int) -> list[Kept]:
    """In the order of their ends, behind the end and id `after`; `until` in seconds."""
    return tx.all(
        SQL["ending_trials"], Kept, livemode=livemode, trial_end=after[0], id=after[1], until=until, limit=limit
    )  # fmt: skip


def had_trial(tx: Tx, customers: Sequence[str]) -> list[str]:
    """Those of `customers` with a subscription that had one."""
    return tx.values(SQL["had_trial"], customers=list(customers))


def add_preview(tx: Tx, one: KeptPreview, livemode: bool) -> None:
    tx.run(
        SQL["add_preview"],
        token=one.token,
        subscription=one.subscription,
        item=one.item,
        price=one.price,
        quantity=one.quantity,
        behavior=one.behavior,
        proration_date=one.proration_date,
        state=Jsonb(one.state),
        livemode=livemode,
        made_at=one.made_at,
    )


def preview(tx: Tx, token: str, subscription: str, livemode: bool) -> KeptPreview | None:
    return tx.maybe(SQL["preview"], KeptPreview, token=token, subscription=subscription, livemode=livemode)


def last_preview(tx: Tx, subscription: str, livemode: bool, since: datetime) -> KeptPreview | None:
    return tx.maybe(SQL["last_preview"], KeptPreview, subscription=subscription, livemode=livemode, since=since)


def invoices_of(tx: Tx, subscription: str) -> list[Snapshot]:
    """Whole, oldest first."""
    return tx.values(SQL["invoices_of"], subscription=subscription)


def add_comp(
    tx: Tx, subscription: str, livemode: bool, reason: str, actor: str, now: datetime, until: datetime
) -> None:  # fmt: skip
    tx.run(
        SQL["add_comp"], subscription=subscription, livemode=livemode, reason=reason, actor=actor, now=now, until=until
    )  # fmt: skip


def add_request(tx: Tx, one: Requested, livemode: bool, zone: str, now: datetime) -> None:
    tx.run(
        SQL["add_request"], livemode=livemode, what=one.what, customer=one.customer, subscription=one.subscription,
        price=one.price, asked=one.asked, trial_end=one.trial_end, behavior=one.behavior, zone=zone, failure=one.failure,
        error=one.error, made_at=now,
    )  # fmt: skip


def open_creations(tx: Tx, failure: str, since: datetime, livemode: bool) -> FailedCreation | None:
    """The newest, and how many there are."""
    return tx.maybe(SQL["open_creations"], FailedCreation, failure=failure, since=since, livemode=livemode)


def trial_asked(tx: Tx, subscription: str) -> AskedTrial | None:
    return tx.maybe(SQL["trial_asked"], AskedTrial, subscription=subscription)


def wanted_trials(tx: Tx, now: datetime, livemode: bool, limit: int) -> list[WantedTrial]:
    """Newest first."""
    return tx.all(SQL["wanted_trials"], WantedTrial, now=now, livemode=livemode, limit=limit)


def young(tx: Tx, since: datetime, livemode: bool, limit: int) -> list[Young]:
    """Newest first."""
    return tx.all(SQL["young"], Young, since=since, livemode=livemode, limit=limit)


def canceled_twice(tx: Tx, since: datetime, livemode: bool, limit: int) -> list[CanceledTwice]:
    """Newest first."""
    return tx.all(SQL["canceled_twice"], CanceledTwice, since=since, livemode=livemode, limit=limit)


def changed_by(tx: Tx, behavior: str, since: datetime, livemode: bool) -> ChangedBy | None:
    return tx.maybe(SQL["changed_by"], ChangedBy, behavior=behavior, since=since, livemode=livemode)


def late_trials(tx: Tx, since: datetime, livemode: bool, limit: int) -> list[Snapshot]:
    """Newest first."""
    return tx.values(SQL["late_trials"], since=since, livemode=livemode, limit=limit)


def withdrawn(tx: Tx, since: datetime, new: timedelta, livemode: bool, limit: int) -> list[Withdrawn]:
    """Newest change first; of prices that were younger than `new` then."""
    return tx.all(SQL["withdrawn"], Withdrawn, since=since, new=new, livemode=livemode, limit=limit)
