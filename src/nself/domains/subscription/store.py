"""One function a query of subscriptions."""

from __future__ import annotations

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.subscription.inputs import ListSubscriptions
from nself.domains.subscription.model import Kept, Payment

SQL = beside(__file__)


def by_id(tx: Tx, id: str) -> Kept | None:
    return tx.maybe(SQL["by_id"], Kept, id=id)


def payment(tx: Tx, invoice: str) -> Payment | None:
    """Its status is None where it is not mirrored yet."""
    return tx.maybe(SQL["payment"], Payment, invoice=invoice)


def list_subscriptions(tx: Tx, given: ListSubscriptions, livemode: bool) -> list[Kept]:
    return tx.all(
        SQL["list"], Kept, user=given.user, status=given.status, livemode=livemode, limit=given.limit, offset=given.offset
    )  # fmt: skip


def ending_trials(tx: Tx, livemode: bool, after: tuple[int, str], until: int, limit: int) -> list[Kept]:
    """In the order of their ends, behind the end and id `after`; `until` in seconds."""
    return tx.all(
        SQL["ending_trials"], Kept, livemode=livemode, trial_end=after[0], id=after[1], until=until, limit=limit
    )  # fmt: skip


def had_trial(tx: Tx, customer: str) -> bool:
    return bool(tx.value(SQL["had_trial"], customer=customer))
