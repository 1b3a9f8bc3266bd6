"""One function a query of payments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.payment.model import Failed, Kept, ListedRefund, Owed, Transaction

SQL = beside(__file__)


class Alike(msgspec.Struct, frozen=True):
    count: int
    newest: str | None
    newest_at: datetime | None


class TestCustomer(msgspec.Struct, frozen=True):
    __test__ = False
    id: str | None
    gone: int


def methods(tx: Tx, customer: str | None, livemode: bool, limit: int) -> list[Kept]:
    """Newest first."""
    return tx.all(SQL["methods"], Kept, customer=customer, livemode=livemode, limit=limit)


def method(tx: Tx, id: str) -> Kept | None:
    return tx.maybe(SQL["method"], Kept, id=id)


def failures(
    tx: Tx, customer: str | None, method: str | None, since: datetime | None, livemode: bool, limit: int
) -> list[Failed]:
    """Newest first."""
    return tx.all(
        SQL["failures"], Failed, customer=customer, method=method, since=since, livemode=livemode, limit=limit
    )  # fmt: skip


def alike(tx: Tx, customer: str, request: str) -> Alike:
    return tx.one(SQL["alike"], Alike, customer=customer, request=request)


def invoice_of(tx: Tx, customer: str | None, payment_intent: str | None) -> str | None:
    """The invoice that a payment intent paid."""
    return tx.value(SQL["invoice_of"], customer=customer, payment_intent=payment_intent)


def newest_wish(tx: Tx) -> int:
    return tx.value(SQL["newest_wish"])


def given_back_meanwhile(
    tx: Tx, customers: Sequence[str], collections: Sequence[str], since: int, own: str, livemode: bool
) -> set[str]:
    found = tx.values(
        SQL["given_back_meanwhile"],
        customers=list(customers),
        collections=list(collections),
        since=since,
        own=own,
        livemode=livemode,
    )
    return set(found)


def transactions(
    tx: Tx, customer: str | None, kind: str | None, livemode: bool, limit: int, offset: int
) -> list[Transaction]:
    """Newest first."""
    return tx.all(
        SQL["transactions"], Transaction, customer=customer, kind=kind, livemode=livemode, limit=limit, offset=offset
    )  # fmt: skip


def refunds(
    tx: Tx, charge: str | None, customer: str | None, livemode: bool, limit: int, offset: int
) -> list[ListedRefund]:
    """Newest first."""
    return tx.all(
        SQL["refunds"], ListedRefund, charge=charge, customer=customer, livemode=livemode, limit=limit, offset=offset
    )  # fmt: skip


def test_customer(tx: Tx) -> TestCustomer:
    return tx.one(SQL["test_customer"], TestCustomer)


def owed(tx: Tx, livemode: bool, early: datetime, limit: int) -> list[Owed]:
    """Newest first; `early`: first payments that began before."""
    return tx.all(SQL["owed"], Owed, livemode=livemode, early=early, limit=limit)
